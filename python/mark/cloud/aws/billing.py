"""How EC2 bills."""

from __future__ import annotations

from dataclasses import replace

from mark.domain.offering import Market, Offering

__all__ = ["billed_by_ec2"]

_BILLED_S_MIN = 60.0
_FREE_WHEN_TAKEN_S = 3600.0


def billed_by_ec2(offering: Offering) -> Offering:
    """The offering with EC2's terms: a minute at least for each start, and nothing for what it takes within an hour.

    Source: Amazon EC2 User Guide, "Billing for interrupted Spot Instances"; EC2 on-demand pricing.
    """
    free_s = _FREE_WHEN_TAKEN_S if offering.market is Market.SPOT else 0.0
    return replace(offering, billed_s_min=_BILLED_S_MIN, free_when_taken_s=free_s)
