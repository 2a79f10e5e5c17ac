"""`mark version`."""

from __future__ import annotations

import platform

import grpc
import typer

from mark import __version__, _core

__all__ = ["version"]


def version() -> None:
    """Print the versions of mark and of what it runs on.

    Example: mark version
    """
    build = "assertions on" if _core.assertions_enabled else "release"
    typer.echo(f"mark {__version__} (core: {build}), Python {platform.python_version()}, grpcio {grpc.__version__}")
