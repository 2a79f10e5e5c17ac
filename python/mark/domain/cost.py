"""What the fleet costs: billed by the second, from launch to the end of the instance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mark.domain.fleet import TAKEN_AWAY, Instance
from mark.domain.offering import Offering

__all__ = ["cost_usd", "instance_cost_usd", "usd_per_million_rows"]

_NS_PER_HOUR = 3_600 * 1_000_000_000


def instance_cost_usd(instance: Instance, offering: Offering, now_ns: int) -> float:
    """Dollars that one instance has cost until `now_ns`, or until it ended.

    At least `billed_s_min`, and nothing for one that the cloud took away within `free_when_taken_s`.
    """
    end_ns = now_ns if instance.ended_at_ns is None else instance.ended_at_ns
    lived_ns = max(0, end_ns - instance.launched_at_ns)
    if instance.detail == TAKEN_AWAY and lived_ns < offering.free_when_taken_s * 1e9:
        return 0.0
    price = offering.price_usd_per_hour if instance.price_usd_per_hour is None else instance.price_usd_per_hour
    return max(lived_ns, round(offering.billed_s_min * 1e9)) / _NS_PER_HOUR * price


def cost_usd(instances: Iterable[Instance], offerings: Mapping[str, Offering], now_ns: int) -> float:
    """Dollars that all of these instances have cost until `now_ns`."""
    return sum(instance_cost_usd(instance, offerings[instance.offering], now_ns) for instance in instances)


def usd_per_million_rows(price_usd_per_hour: float, rows_per_s: float) -> float | None:
    """Dollars for a million rows on an instance that always serves so many a second; None where it serves none."""
    return price_usd_per_hour / 3_600 / rows_per_s * 1e6 if rows_per_s > 0 else None
