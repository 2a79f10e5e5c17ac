"""The least fleet that is kept, whatever the load."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from mark.domain.fleet import Instance
from mark.domain.offering import Offering
from mark.policies.provisioning import Keep, Proposal, Purchase

__all__ = ["at_least"]


def at_least(
    minimum: int,
    proposal: Proposal,
    instances: Sequence[Instance],
    offerings: Sequence[Offering],
    capacities: Mapping[str, float],
    unavailable: Collection[str],
) -> Proposal:
    """Fill a proposal up to `minimum` instances: with what runs, cheapest first, then with the cheapest to be had.

    Args:
        minimum: how many are to be kept.
        proposal: what the load needs.
        instances: those that run or boot, and stay.
        offerings: what can be rented; max_count is what `instances` and launches may come to.
        capacities: rows per second of one instance, by offering.
        unavailable: names of offerings that cannot be launched now.
    """
    missing = minimum - len(proposal.keeps) - len(proposal.purchases)
    if missing <= 0:
        return proposal
    prices = {offering.name: offering.price_usd_per_hour for offering in offerings}
    needed = {keep.instance for keep in proposal.keeps}
    spare = sorted(
        (instance for instance in instances if instance.id not in needed),
        key=lambda instance: (prices[instance.offering], instance.launched_at_ns),
    )
    reason = f"min_instances is {minimum}"
    keeps = tuple(Keep(instance.id, reason) for instance in spare[:missing])
    missing -= len(keeps)
    alive = Counter(instance.offering for instance in instances)
    alive.update(purchase.offering for purchase in proposal.purchases)
    purchases: list[Purchase] = []
    for offering in sorted(offerings, key=lambda offering: offering.price_usd_per_hour):
        if offering.name in unavailable or capacities.get(offering.name, 0.0) <= 0:
            continue
        room = max(0, offering.max_count - alive[offering.name])
        purchases += [Purchase(offering.name, reason)] * min(room, missing - len(purchases))
    return replace(proposal, keeps=proposal.keeps + keeps, purchases=proposal.purchases + tuple(purchases))
