"""A fake AWS that ships with mark: moto's server, and what moto lacks. Needs the extra "testing"."""

from __future__ import annotations

from mark.testing.aws.billing import Bill, BillLine
from mark.testing.aws.cloud import FakeAws
from mark.testing.aws.params import DwellTimes, FakeAwsParams

__all__ = ["Bill", "BillLine", "DwellTimes", "FakeAws", "FakeAwsParams"]
