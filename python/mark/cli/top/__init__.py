"""`mark top`: what the live page shows, in a terminal."""

from __future__ import annotations

from mark.cli.top.command import top

__all__ = ["top"]
