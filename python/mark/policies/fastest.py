"""Capacity that serves as soon as possible, whatever it costs next to what serves later."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from mark.domain.offering import Offering
from mark.policies.provisioning import Purchase

__all__ = ["buy_fastest", "fastest_first"]

_ROUNDING = 1e-9


def fastest_first(
    offerings: Sequence[Offering], capacities: Mapping[str, float], unavailable: Collection[str] = ()
) -> list[Offering]:
    """Those that can be had and serve, the fastest to be ready first, then the cheapest for what they serve.

    Args:
        offerings: what may be launched.
        capacities: rows per second of one instance, by offering.
        unavailable: names of offerings that cannot be launched now.
    """
    able = [each for each in offerings if each.name not in unavailable and capacities.get(each.name, 0.0) > 0]
    return sorted(able, key=lambda each: (each.boot_s, each.price_usd_per_hour / capacities[each.name]))


def buy_fastest(
    able: Sequence[Offering],
    capacities: Mapping[str, float],
    alive: Mapping[str, int],
    missing_per_s: float,
    reason: str,
) -> tuple[Purchase, ...]:
    """Instances for a rate, as many of each offering as may exist before any of the next.

    Args:
        able: in the order in which they are taken.
        capacities: rows per second of one instance, by offering.
        alive: instances that exist, by offering; max_count holds for both together.
        missing_per_s: rows per second that they are for.
        reason: in words.
    """
    purchases: list[Purchase] = []
    for offering in able:
        room = max(0, offering.max_count - alive.get(offering.name, 0))
        # Sums of capacities are rounded: a hair's breadth is not one more instance.
        count = min(room, max(0, math.ceil(missing_per_s / capacities[offering.name] - _ROUNDING)))
        purchases += [Purchase(offering.name, reason)] * count
        missing_per_s -= count * capacities[offering.name]
    return tuple(purchases)
