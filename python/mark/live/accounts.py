"""What a router has spent: the bill of its cloud, its functions, and what it measured."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from mark.controlplane.meter import Meter
from mark.domain.bill import MEASURING, SERVERLESS, Bill
from mark.live.server import ServedModel
from mark.ports import Clock, Cloud

__all__ = ["Accounts"]

_READ_S = 10.0


class Accounts:
    """One bill for everything that a router spends.

    Thread safety: belongs to the router's event loop.
    """

    def __init__(self, cloud: Cloud, models: Mapping[str, ServedModel], clock: Clock) -> None:
        """Keep the accounts of a cloud and of models, which may be added later."""
        self._cloud = cloud
        self._models = models
        self._clock = clock
        self._epoch_ns = clock.now_ns() - time.time_ns()
        self._meter = Meter(self.unix_ns())

    @property
    def cloud(self) -> Cloud:
        """What instances are rented from."""
        return self._cloud

    def unix_ns(self) -> int:
        """Nanoseconds since 1970 UTC, on a clock that never goes back."""
        return self._clock.now_ns() - self._epoch_ns

    def measured(self, model: str, usd: float) -> None:
        """Calls of functions that found out how long those of a model take have cost so much."""
        self._meter.add(model, SERVERLESS, MEASURING, (self.unix_ns(), usd))

    def bill(self) -> Bill:
        """What instances, functions and measuring have cost so far."""
        self._read()
        return self._cloud.bill() + self._meter.bill()

    async def keep(self) -> None:
        """Read the functions now and then, until cancelled: each dollar belongs in the hour that it was spent in."""
        while True:
            self._read()
            await asyncio.sleep(_READ_S)

    def _read(self) -> None:
        unix_ns = self.unix_ns()
        for name, model in self._models.items():
            if model.bursts is not None:
                self._meter.read(name, SERVERLESS, "function", (unix_ns, model.bursts.use().usd))
