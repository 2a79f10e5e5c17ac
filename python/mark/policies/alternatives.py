"""What could have been launched at once instead of what was, what it would have cost, and why it was not."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from mark.domain.offering import Offering
from mark.domain.plan import Alternative
from mark.policies.fastest import fastest_first
from mark.policies.provisioning import Purchase

__all__ = ["HURRY_HORIZON_S", "Considered", "rejected"]

HURRY_HORIZON_S = 3600.0
"""What is launched in a hurry is compared by what it costs in this time: nobody knows yet how long it is needed."""

_DEARER = "it costs more for what it serves"


@dataclass(frozen=True, slots=True)
class Considered:
    """What a choice was made from.

    Attributes:
        offerings: what might be launched.
        capacities: rows per second of one instance, by offering.
        alive: instances that exist, by offering; they count towards max_count.
        unavailable: names of offerings that cannot be launched now.
    """

    offerings: Sequence[Offering]
    capacities: Mapping[str, float]
    alive: Mapping[str, int]
    unavailable: Collection[str] = ()


def rejected(
    chosen: Sequence[Purchase], missing_per_s: float, considered: Considered, otherwise: str = _DEARER
) -> tuple[Alternative, ...]:
    """Every offering that was not chosen: the fastest to be ready first, those that cannot be had last.

    Args:
        chosen: what is launched.
        missing_per_s: rows per second that it is for.
        considered: what it was chosen from; its offerings are those of `chosen`, too.
        otherwise: why not, of one that is no slower to be ready than what was chosen.
    """
    names = {purchase.offering for purchase in chosen}
    by_name = {each.name: each for each in considered.offerings}
    bought = [by_name[purchase.offering] for purchase in chosen if purchase.offering in by_name]
    usd_per_hour = sum(each.price_usd_per_hour for each in bought)
    slowest_s = max((each.boot_s for each in bought), default=math.inf)
    others = [each for each in considered.offerings if each.name not in names]
    found, missing = [], []
    for offering in fastest_first(others, considered.capacities):
        room = max(0, offering.max_count - considered.alive.get(offering.name, 0))
        if offering.name in considered.unavailable or not room:
            why = f"all {offering.max_count} that may exist do" if not room else "it was not to be had a moment ago"
            missing.append(Alternative(f"a new {offering.name}", None, why))
            continue
        wanted = max(1, math.ceil(missing_per_s / considered.capacities[offering.name]))
        count = min(room, wanted)
        extra_usd = (count * offering.price_usd_per_hour - usd_per_hour) * HURRY_HORIZON_S / 3600
        slower = offering.boot_s > slowest_s
        why = f"it is ready in {offering.boot_s:g} s, not {slowest_s:g} s" if slower else otherwise
        why += f"; {wanted} would be needed, and no more may exist" if count < wanted else ""
        found.append(Alternative(f"{count} x {offering.name}", extra_usd, why))
    return (*found, *missing)
