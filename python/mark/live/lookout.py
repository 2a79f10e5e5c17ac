"""Looks at every model once a second: what has to be watched over time, whether or not anybody asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from mark.controlplane.error_budget import ErrorBudget
from mark.controlplane.record_counts import RecordCounts
from mark.live.recorder import MemoryRecorder
from mark.live.server import ServedModel
from mark.ports import Clock

__all__ = ["Lookout"]

_EVERY_S = 1.0


class Lookout:
    """Keeps the error budgets of all models, and counts their records.

    Thread safety: belongs to the router's event loop.

    Attributes:
        budgets: by model.
        counts: of the records, by model.
    """

    def __init__(self, models: Mapping[str, ServedModel], recorder: MemoryRecorder, clock: Clock) -> None:
        """Look at nothing yet."""
        self.budgets = {name: ErrorBudget(model.slo.sl_min) for name, model in models.items()}
        self.counts = {name: RecordCounts() for name in models}
        self._models = models
        self._recorder = recorder
        self._clock = clock
        self._seen = 0

    def look(self) -> None:
        """Take note of everything since the last look."""
        now_ns = self._clock.now_ns()
        for name, model in self._models.items():
            self.budgets[name].observe(now_ns, *model.dispatch.attained())
        self._seen, records = self._recorder.since(self._seen)
        for record in records:
            self.counts.setdefault(record.model, RecordCounts()).count(record)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(_EVERY_S)
