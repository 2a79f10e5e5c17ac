"""What all parts of the driver look at and change, under one lock."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import replace

from mark.cloud.aws.billing import billed_by_ec2
from mark.cloud.aws.fleet_state import FleetState
from mark.cloud.aws.machines import Machine
from mark.cloud.aws.pools import Pool, Pools
from mark.cloud.aws.price_book import PoolPrices, PriceBook
from mark.cloud.aws.settings import AwsSettings
from mark.cloud.aws.standby_bill import StandbyBill
from mark.cloud.aws.standbys import Standbys
from mark.cloud.instance_bill import InstanceBill
from mark.domain.artifact import ModelArtifact
from mark.domain.bill import Bill
from mark.domain.fleet import Instance
from mark.domain.offering import Market
from mark.ports import Clock

__all__ = ["ClusterState"]

# Until then spot prices of its last hour may still be told.
_SETTLES_AFTER_S = 7200.0


class ClusterState:
    """The passive objects of one cluster, the lock that guards them, and the count of changes.

    Thread safety: everything is touched with `lock` held, but for `clock_ns` and `present_ns`.

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
        self._billed = InstanceBill(self._epoch_ns, _SETTLES_AFTER_S, self._as_billed)
        self._prices = prices
        self.standby_bill = StandbyBill(self._usd_per_hour, time.time())
        self._models = None if models is None else frozenset(models)

    def present_ns(self) -> int:
        """The router's clock."""
        return self._clock.now_ns()

    def clock_ns(self, epoch_s: float) -> int:
        """Seconds since the epoch on the router's clock."""
        return round(epoch_s * 1e9) + self._epoch_ns

    def is_adoptable(self, machine: Machine) -> bool:
        """Whether the configuration has the offering and the model of a machine."""
        return self.is_known(machine.offering, machine.model)

    def is_known(self, offering: str, model: str) -> bool:
        """Whether the configuration has an offering and a model."""
        return offering in self.offerings and (self._models is None or model in self._models)

    def bill_now(self) -> Bill:
        """What all instances and standbys have cost so far, by EC2's terms."""
        offerings = {
            name: billed_by_ec2(replace(each.offering, price_usd_per_hour=self._prices.price(each)))
            for name, each in self.offerings.items()
        }
        # Standbys are billed as machines.
        rented = [each for each in self.fleet.instances if "@" not in each.id]
        lines = self._billed.lines(rented, offerings, self.present_ns())
        return Bill.of((*lines, *self.standby_bill.lines(time.time())))

    def announce(self) -> None:
        """Something changed."""
        self.changes += 1
        self.lock.notify_all()

    def price(self, instance: Instance, pool: Pool) -> Instance:
        """Bill an instance at the price of its pool, where that is known."""
        usd = self._pool_price(pool)
        # What it begins at, for whoever looks; `bill_now` knows how spot changes.
        return instance if usd is None or instance.ended_at_ns is not None else self.fleet.priced(instance.id, usd)

    def _as_billed(self, instance: Instance) -> Instance:
        """With what it is billed on average: spot has another price each hour."""
        pool = self.pool_of.get(str(instance.id))
        if pool is None or pool.market is not Market.SPOT or not isinstance(self._prices, PoolPrices):
            return instance
        ended_ns = self.present_ns() if instance.ended_at_ns is None else instance.ended_at_ns
        usd = self._prices.mean_price(pool, self._epoch_s(instance.launched_at_ns), self._epoch_s(ended_ns))
        return instance if usd is None else replace(instance, price_usd_per_hour=usd)

    def _epoch_s(self, clock_ns: int) -> float:
        return (clock_ns - self._epoch_ns) / 1e9

    def _pool_price(self, pool: Pool) -> float | None:
        return self._prices.pool_price(pool) if isinstance(self._prices, PoolPrices) else None

    def _usd_per_hour(self, machine: Machine) -> float:
        usd = self._pool_price(machine.pool)
        if usd is None and machine.offering in self.offerings:
            usd = self._prices.price(self.offerings[machine.offering])
        return usd or 0.0
