"""When a cloud takes spot instances away: by pool, many at once."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from mark.domain.offering import Market, Offering

__all__ = ["Interruptions", "pool_of"]


def pool_of(offering: Offering) -> str:
    """The pool that an offering belongs to; its own, if it names none."""
    return offering.pool or offering.name


class Interruptions:
    """Draws the instants at which each pool of spot instances is interrupted: a Poisson process for each.

    One instance is taken as often as its offering's `interruptions_per_hour` on average. As an interruption takes
    `taken_share` of a pool, the pool is interrupted that much more often; of an offering that is taken less often than
    another of its pool, it takes a smaller share.

    Thread safety: none.
    """

    def __init__(
        self, offerings: Sequence[Offering], taken_share: float, random: random.Random, began_ns: int = 0
    ) -> None:
        self._random = random
        rates: dict[str, float] = {}
        for offering in offerings:
            if offering.market is Market.SPOT:
                pool = pool_of(offering)
                rates[pool] = max(rates.get(pool, 0.0), offering.interruptions_per_hour / taken_share)
        self._rates_per_hour = rates
        self._next_ns = {pool: self._after(pool, began_ns) for pool in rates}

    def next_ns(self) -> int | None:
        """When the next pool is interrupted; None when none ever is."""
        return min((at_ns for at_ns in self._next_ns.values() if at_ns is not None), default=None)

    def pop(self) -> str:
        """The pool that is interrupted next; the one after that is drawn."""
        at_ns = self.next_ns()
        pool = next(pool for pool, next_ns in self._next_ns.items() if next_ns == at_ns)
        self._next_ns[pool] = self._after(pool, at_ns or 0)
        return pool

    def share(self, offering: Offering) -> float:
        """Of the instances of a spot offering, how many an interruption of its pool takes."""
        return offering.interruptions_per_hour / self._rates_per_hour[pool_of(offering)]

    def _after(self, pool: str, now_ns: int) -> int | None:
        per_hour = self._rates_per_hour[pool]
        if per_hour <= 0 or not math.isfinite(per_hour):
            return None
        return now_ns + round(self._random.expovariate(per_hour) * 3600e9)
