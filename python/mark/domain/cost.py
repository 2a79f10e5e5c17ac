"""What the fleet costs: billed by the second, from launch to the end of the instance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mark.domain.fleet import TAKEN_AWAY, Instance, InstanceState
from mark.domain.offering import Offering

__all__ = [
    "billed_until_ns",
    "cost_usd",
    "instance_cost_usd",
    "instance_usd_per_hour",
    "usd_per_hour_by_market",
    "usd_per_million_rows",
]

_NS_PER_HOUR = 3_600 * 1_000_000_000


def instance_cost_usd(instance: Instance, offering: Offering, now_ns: int) -> float:
    """Dollars that one instance has cost until `now_ns`, or until it ended.

    At least `billed_s_min`, and nothing for one that the cloud took away within `free_when_taken_s`.
    """
    lived_ns = _lived_ns(instance, now_ns)
    if instance.detail == TAKEN_AWAY and lived_ns < offering.free_when_taken_s * 1e9:
        return 0.0
    billed_ns = billed_until_ns(instance, offering, now_ns) - instance.launched_at_ns
    return billed_ns / _NS_PER_HOUR * instance_usd_per_hour(instance, offering)


def instance_usd_per_hour(instance: Instance, offering: Offering) -> float:
    """What an instance is billed at: its own price where it has one, else its offering's."""
    return offering.price_usd_per_hour if instance.price_usd_per_hour is None else instance.price_usd_per_hour


def billed_until_ns(instance: Instance, offering: Offering, now_ns: int) -> int:
    """Until when an instance is billed by now, `billed_s_min` included: that may lie ahead."""
    return instance.launched_at_ns + max(_lived_ns(instance, now_ns), round(offering.billed_s_min * 1e9))


def usd_per_hour_by_market(instances: Iterable[Instance], offerings: Mapping[str, Offering]) -> dict[str, float]:
    """Dollars an hour that those of these instances which run or boot are billed now, by market."""
    usd: dict[str, float] = {}
    for instance in instances:
        if instance.state is not InstanceState.GONE:
            offering = offerings[instance.offering]
            market = offering.market.value
            usd[market] = usd.get(market, 0.0) + instance_usd_per_hour(instance, offering)
    return usd


def cost_usd(instances: Iterable[Instance], offerings: Mapping[str, Offering], now_ns: int) -> float:
    """Dollars that all of these instances have cost until `now_ns`."""
    return sum(instance_cost_usd(instance, offerings[instance.offering], now_ns) for instance in instances)


def usd_per_million_rows(price_usd_per_hour: float, rows_per_s: float) -> float | None:
    """Dollars for a million rows on an instance that always serves so many a second; None where it serves none."""
    return price_usd_per_hour / 3_600 / rows_per_s * 1e6 if rows_per_s > 0 else None


def _lived_ns(instance: Instance, now_ns: int) -> int:
    return max(0, (now_ns if instance.ended_at_ns is None else instance.ended_at_ns) - instance.launched_at_ns)
