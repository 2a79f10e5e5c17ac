"""A fake AWS that ships with mark: moto's server, and what moto lacks. Needs the extra "testing"."""

from __future__ import annotations

from mark.testing.aws.cloud import FakeAws
from mark.testing.aws.params import DwellTimes, FakeAwsParams

__all__ = ["DwellTimes", "FakeAws", "FakeAwsParams"]
