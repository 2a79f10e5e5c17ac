"""Which spot instances a cloud takes away, and what it does not sell for a while after that: a passive object."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from mark.cloud.interruptions import Interruptions, pool_of
from mark.domain.fleet import Instance
from mark.domain.offering import Market, Offering

__all__ = ["SpotMarket", "SpotMarketParams"]

_ROUNDING = 1e-9  # 0.28 * 25 is a hair's breadth above 7


@dataclass(frozen=True, slots=True)
class SpotMarketParams:
    """How a cloud takes spot instances away. Defaults are EC2's, or assumed as `CloudBehaviour` says.

    Attributes:
        notice_s: from the notice of an interruption to its end.
        taken_share: of a pool's instances that one interruption takes, each by chance.
        sold_out_after_s: a pool that was interrupted sells nothing for so long, on average.
    """

    notice_s: float = 120.0
    taken_share: float = 0.5
    sold_out_after_s: float = 240.0

    def __post_init__(self) -> None:
        if not 0 < self.taken_share <= 1 or min(self.notice_s, self.sold_out_after_s) < 0:
            raise ValueError("needs 0 < taken_share <= 1, and notice_s and sold_out_after_s of 0 or more")


class SpotMarket:
    """Draws interruptions, and knows what is sold out. Shared by the simulated cloud and the local one.

    Thread safety: none.
    """

    def __init__(
        self,
        offerings: Sequence[Offering],
        params: SpotMarketParams,
        draws: random.Random,
        interruptions: Interruptions,
    ) -> None:
        """Make a market.

        Args:
            offerings: what the cloud sells; only those on spot are taken away.
            params: how it takes them.
            draws: decides who is hit, and how long a pool sells nothing.
            interruptions: decides when.
        """
        self._offerings = {offering.name: offering for offering in offerings}
        self._params = params
        self._draws = draws
        self._interruptions = interruptions
        self._sold_out_until_ns: dict[str, int] = {}

    @classmethod
    def drawn(cls, offerings: Sequence[Offering], params: SpotMarketParams, seed: int, began_ns: int) -> SpotMarket:
        """A market whose draws depend on the seed alone, from `began_ns` on."""
        interruptions = Interruptions(offerings, params.taken_share, random.Random(f"interruptions {seed}"), began_ns)
        return cls(offerings, params, random.Random(f"market {seed}"), interruptions)

    def notice_ns(self, notice_s: float | None = None) -> int:
        """From a notice to the end: as long as the market gives, unless told otherwise."""
        return round((self._params.notice_s if notice_s is None else notice_s) * 1e9)

    def next_ns(self) -> int | None:
        """When a pool is interrupted next; None when none ever is."""
        return self._interruptions.next_ns()

    def interrupt_next(self, alive: Collection[Instance], at_ns: int) -> list[Instance]:
        """Interrupt the pool whose turn it is; those that it hits, of the instances that live."""
        pool = self._interruptions.pop()
        hit = []
        for instance in alive:
            offering = self._offerings[instance.offering]
            in_pool = offering.market is Market.SPOT and pool_of(offering) == pool
            if in_pool and self._draws.random() < self._interruptions.share(offering):
                hit.append(instance)
        self._sell_out_for_a_while(pool, at_ns)
        return hit

    def interrupt_share(self, alive: Collection[Instance], share: float, at_ns: int) -> list[Instance]:
        """Interrupt a share of all spot instances that live, the oldest first, rounded up; those that it hits.

        Args:
            alive: oldest first.
            share: in (0, 1].
            at_ns: the time.
        """
        running = [each for each in alive if self._offerings[each.offering].market is Market.SPOT]
        hit = running[: math.ceil(share * len(running) - _ROUNDING)]
        for pool in dict.fromkeys(pool_of(self._offerings[instance.offering]) for instance in hit):
            self._sell_out_for_a_while(pool, at_ns)
        return hit

    def sell_out(self, name: str, until_ns: int) -> None:
        """Sell nothing of an offering or a pool until then."""
        self._sold_out_until_ns[name] = max(until_ns, self._sold_out_until_ns.get(name, 0))

    def is_sold_out(self, offering: Offering, now_ns: int) -> bool:
        """Whether nothing of an offering, or of its pool, is to be had now."""
        return any(now_ns < self._sold_out_until_ns.get(name, now_ns) for name in (offering.name, pool_of(offering)))

    def _sell_out_for_a_while(self, pool: str, at_ns: int) -> None:
        pause_s = self._draws.uniform(0.5, 1.5) * self._params.sold_out_after_s
        self.sell_out(pool, at_ns + round(pause_s * 1e9))
