"""What a router has spent: the bill of its cloud, its functions, and what it measured."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from mark.controlplane.meter import Meter
from mark.domain.bill import MEASURING, SERVERLESS, Bill
from mark.domain.budget import BudgetCaps
from mark.live.server import ServedModel
from mark.live.shared_budget import SharedBudget
from mark.ports import Clock, Cloud

__all__ = ["Accounts"]

_READ_S = 10.0
_TELL_BUDGET_S = 1.0


class Accounts:
    """One bill for everything that a router spends.

    Thread safety: belongs to the router's event loop.
    """

    def __init__(
        self, cloud: Cloud, models: Mapping[str, ServedModel], clock: Clock, budget: SharedBudget | None = None
    ) -> None:
        """Keep the accounts of a cloud and of models, which may be added later; the budget is told what they say."""
        self._budget = budget
        self._cloud = cloud
        self._models = models
        self._clock = clock
        self._epoch_ns = clock.now_ns() - time.time_ns()
        self._meter = Meter(self.unix_ns())

    @property
    def caps(self) -> BudgetCaps:
        """What may be spent; infinite where there is no cap."""
        return BudgetCaps() if self._budget is None else self._budget.caps

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
        """Look now and then, until cancelled: each dollar belongs in the hour that it was spent in."""
        while True:
            await self.look()
            await asyncio.sleep(_READ_S if self._budget is None else _TELL_BUDGET_S)

    async def look(self) -> None:
        """Read the functions, and tell the budget what this day has cost so far."""
        self._read()
        if self._budget is not None:
            bill = await self.ask_bill()
            unix_ns = self.unix_ns()
            self._budget.spent(unix_ns, bill.of_day(unix_ns).usd)

    async def ask_bill(self) -> Bill:
        """As `bill`, without keeping the event loop from its work while the cloud is busy."""
        self._read()
        return await asyncio.to_thread(self._cloud.bill) + self._meter.bill()

    def _read(self) -> None:
        unix_ns = self.unix_ns()
        for name, model in self._models.items():
            if model.bursts is not None:
                self._meter.read(name, SERVERLESS, "function", (unix_ns, model.bursts.use().usd))
