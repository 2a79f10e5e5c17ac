"""Fakes that ship with mark, held to the same contracts as the real thing."""

from __future__ import annotations

from mark.testing.clock import ManualClock
from mark.testing.cloud import FakeCloud
from mark.testing.functions import FakeFunctions

__all__ = ["FakeCloud", "FakeFunctions", "ManualClock"]
