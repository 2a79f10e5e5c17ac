"""Which pools of EC2 can be bought from, and which are left alone for a while after a refusal. Passive."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from mark.cloud.aws.settings import AwsOffering
from mark.domain.offering import Market

__all__ = ["Pool", "Pools", "pools_of", "quota_of"]

# AWS counts running vCPUs against one quota for each of these groups of families, on demand and on spot.
_FAMILIES = {"g": "g", "vt": "g", "p": "p", "inf": "inf", "trn": "trn", "dl": "dl", "f": "f", "x": "x", "u": "u"}


@dataclass(frozen=True, slots=True)
class Pool:
    """A type of machine in a zone, on demand or on spot: what EC2 has capacity of, or has not."""

    instance_type: str
    zone: str
    market: Market

    def __str__(self) -> str:
        return f"{self.instance_type} in {self.zone} ({self.market.value})"


def pools_of(offering: AwsOffering, zones: Iterable[str]) -> tuple[Pool, ...]:
    """The pools that an offering may be bought from, of a cluster with subnets in these zones."""
    market = Market.SPOT if offering.offering.market is Market.SPOT else Market.ON_DEMAND
    wanted = [zone for zone in zones if not offering.zones or zone in offering.zones]
    return tuple(Pool(each, zone, market) for each in offering.types for zone in wanted)


def quota_of(pool: Pool) -> str:
    """The quota of the account that machines of a pool count against."""
    letters = itertools.takewhile(str.isalpha, pool.instance_type)  # "g4dn" and "g5" are of one group
    bought = "spot" if pool.market is Market.SPOT else "on_demand"
    return f"{bought}/{_FAMILIES.get(''.join(letters), 'standard')}"


class Pools:
    """Remembers refusals: a pool or a quota is left alone for a time that doubles with each one.

    Thread safety: none.

    Invariant: `_refusals` has an entry for exactly those that were refused since something was last bought there.
    """

    def __init__(self, pause_s: float, pause_max_s: float) -> None:
        """Make one in which everything can be bought.

        Args:
            pause_s: after the first refusal.
            pause_max_s: after any.
        """
        self._pause_s = pause_s
        self._pause_max_s = pause_max_s
        self._refusals: dict[Pool | str, int] = {}
        self._until_ns: dict[Pool | str, int] = {}

    def refused(self, pool: Pool, now_ns: int) -> None:
        """EC2 has no capacity in a pool, or took some of it back."""
        self._mask(pool, now_ns)

    def quota_reached(self, pool: Pool, now_ns: int) -> None:
        """No more may run of what counts against the pool's quota."""
        self._mask(quota_of(pool), now_ns)

    def bought(self, pool: Pool) -> None:
        """Something was bought there: what was refused before is forgotten."""
        for key in (pool, quota_of(pool)):
            self._refusals.pop(key, None)
            self._until_ns.pop(key, None)

    def available(self, pools: Iterable[Pool], now_ns: int) -> tuple[Pool, ...]:
        """Those that may be tried now, in order."""
        return tuple(pool for pool in pools if self._free_at_ns(pool) <= now_ns)

    def wait_s(self, pools: Iterable[Pool], now_ns: int) -> float:
        """How long until one of them may be tried."""
        return max(0.0, min((self._free_at_ns(pool) for pool in pools), default=now_ns) - now_ns) / 1e9

    def is_quota_reached(self, pools: Iterable[Pool], now_ns: int) -> bool:
        """Whether all of them wait for a quota."""
        return all(self._until_ns.get(quota_of(pool), now_ns) > now_ns for pool in pools)

    def _free_at_ns(self, pool: Pool) -> int:
        return max(self._until_ns.get(pool, 0), self._until_ns.get(quota_of(pool), 0))

    def _mask(self, key: Pool | str, now_ns: int) -> None:
        # Refusals that come together, of several instances of one call, are one.
        if self._until_ns.get(key, now_ns) > now_ns:
            return
        refusals = self._refusals[key] = self._refusals.get(key, 0) + 1
        pause_s = min(self._pause_max_s, self._pause_s * 2.0 ** min(refusals - 1, 32))
        self._until_ns[key] = now_ns + round(pause_s * 1e9)
