"""The budget that all models of a router share: each plans on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Collection

from mark.controlplane.budget import Budget
from mark.domain.budget import BudgetCaps

__all__ = ["SharedBudget"]


class SharedBudget:
    """A `Budget` for several threads. Implements `mark.controlplane.spending.Granting`.

    Thread safety: every method may be called from any thread.

    Invariant: `_budget` is touched only with `_lock` held, and nothing is waited for meanwhile.
    """

    def __init__(self, caps: BudgetCaps, models: Collection[str]) -> None:
        """As `Budget`."""
        self._lock = threading.Lock()
        self._budget = Budget(caps, models)

    @property
    def caps(self) -> BudgetCaps:
        """What it was made with."""
        return self._budget.caps  # they never change

    def spent(self, unix_ns: int, usd_today: float) -> None:
        """Take note of what was spent since midnight, UTC."""
        with self._lock:
            self._budget.spent(unix_ns, usd_today)

    def ask(self, model: str, wanted_usd_per_hour: float, held_usd_per_hour: float) -> float:
        """What a model may commit from now on."""
        with self._lock:
            return self._budget.ask(model, wanted_usd_per_hour, held_usd_per_hour)
