"""What may be rented when as much as possible is to be bought on spot."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from mark.domain.offering import Market, Offering

__all__ = ["spot_first"]


def spot_first(
    offerings: Sequence[Offering], capacities: Mapping[str, float], unavailable: Collection[str]
) -> tuple[list[Offering], frozenset[str]]:
    """The offerings with pools that may carry any share of the load, and the names of those that are to wait.

    Nothing is launched on demand while something on spot is to be had that serves; what runs on demand may stay.

    Args:
        offerings: what can be rented.
        capacities: rows per second of one instance, by offering.
        unavailable: names of offerings that cannot be launched now.
    """
    eased = [replace(each, pool_share_max=1.0) if each.market is Market.SPOT else each for each in offerings]
    there_is_spot = any(
        each.market is Market.SPOT and each.name not in unavailable and capacities.get(each.name, 0.0) > 0
        for each in offerings
    )
    waiting = frozenset(each.name for each in offerings if each.market is Market.ON_DEMAND)
    return eased, waiting if there_is_spot else frozenset()
