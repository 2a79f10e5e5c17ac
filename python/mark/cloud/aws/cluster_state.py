"""What all parts of the driver look at and change, under one lock."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

from mark.cloud.aws.fleet_state import FleetState
from mark.cloud.aws.machines import Machine
from mark.cloud.aws.pools import Pool, Pools
from mark.cloud.aws.price_book import PoolPrices, PriceBook
from mark.cloud.aws.settings import AwsSettings
from mark.cloud.aws.standbys import Standbys
from mark.domain.artifact import ModelArtifact
from mark.domain.fleet import Instance
from mark.ports import Clock

__all__ = ["ClusterState"]


class ClusterState:
    """The passive objects of one cluster, the lock that guards them, and the count of changes.

    Thread safety: everything is touched with `lock` held, but for `clock_ns` and `now_ns`.

    Invariant: whoever changes an instance calls `announce` before the lock is released.
    """

    def __init__(self, settings: AwsSettings, clock: Clock, prices: PriceBook, models: Iterable[str] | None) -> None:
        """Know nothing yet; `models` as of `AwsParts`."""
        rhythm = settings.rhythm
        self.lock = threading.Condition()
        self.offerings = {each.offering.name: each for each in settings.offerings}
        self.artifacts: dict[str, ModelArtifact] = {}  # of models that something is kept stopped for
        self.pools = Pools(rhythm.unavailable_s, rhythm.unavailable_max_s)
        self.fleet = FleetState(self.is_adoptable, self.clock_ns, rhythm.orphan_after_s)
        self.standbys = Standbys(self.offerings, self.clock_ns, rhythm.boot_max_s, rhythm.unavailable_s)
        self.pool_of: dict[str, Pool] = {}  # by machine
        self.changes = 0
        self.closed = False
        self._clock = clock
        # EC2 tells times of day, the router's clock is steady: what is between them is fixed once.
        self._epoch_ns = clock.now_ns() - time.time_ns()
        self._prices = prices
        self._models = None if models is None else frozenset(models)

    def now_ns(self) -> int:
        """The router's clock."""
        return self._clock.now_ns()

    def clock_ns(self, epoch_s: float) -> int:
        """Seconds since the epoch on the router's clock."""
        return round(epoch_s * 1e9) + self._epoch_ns

    def is_adoptable(self, machine: Machine) -> bool:
        """Whether the configuration has the offering and the model of a machine."""
        return machine.offering in self.offerings and (self._models is None or machine.model in self._models)

    def announce(self) -> None:
        """Something changed."""
        self.changes += 1
        self.lock.notify_all()

    def price(self, instance: Instance, pool: Pool) -> Instance:
        """Bill an instance at the price of its pool, where that is known."""
        usd = self._prices.pool_price(pool) if isinstance(self._prices, PoolPrices) else None
        return instance if usd is None else self.fleet.priced(instance.id, usd)
