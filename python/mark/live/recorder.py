"""Keeps records in memory, and tells the log about those that act."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Collection
from dataclasses import replace
from itertools import takewhile

from mark.domain.record import Record, RecordKind
from mark.ports import Recorder

__all__ = ["MemoryRecorder"]

_log = logging.getLogger(__name__)


class MemoryRecorder:
    """The last records of every model, passed on to another recorder, too. Implements `mark.ports.Recorder`.

    Thread safety: all of it.

    Invariants:
        - records are numbered from 1 on in the order in which they came, over all models;
        - each deque of `_kept` holds the newest of one model with their numbers, newest last;
        - from the last plan of a model on, records have the whole fan of their forecast; older ones its first step,
          which is what it is judged by, for a fan takes more memory than all else of a record.
    """

    def __init__(self, records_max: int = 4096, then: Recorder | None = None) -> None:
        """Make one that keeps so many of each model, and gives each to `then`."""
        self._then = then
        self._records_max = records_max
        self._lock = threading.Lock()
        self._kept: dict[str, deque[tuple[int, Record]]] = {}
        self._seen = 0

    def record(self, record: Record) -> None:
        """Keep one; the oldest of its model makes room."""
        with self._lock:
            self._seen += 1
            kept = self._kept.setdefault(record.model, deque(maxlen=self._records_max))
            if record.kind is RecordKind.PLAN:
                _slim_since_last_plan(kept)
            kept.append((self._seen, record))
        if self._then is not None:
            self._then.record(record)
        if record.actions:
            _log.info("%s: %s", record.model, record.reason)

    def records(self, model: str) -> list[Record]:
        """What was kept for a model, oldest first."""
        with self._lock:
            return [record for _, record in self._kept.get(model, ())]

    def last(self, model: str, kinds: Collection[RecordKind] = tuple(RecordKind)) -> Record | None:
        """The newest record of a model that is of one of these kinds; None when none was kept."""
        with self._lock:
            newest_first = (record for _, record in reversed(self._kept.get(model, ())))
            return next((record for record in newest_first if record.kind in kinds), None)

    def since(self, seen: int) -> tuple[int, list[Record]]:
        """What came after the first `seen` records, over all models and in order, as far as it was kept.

        Returns:
            How many there were in all, to be passed the next time; and those that are new.
        """
        with self._lock:
            new = [
                numbered
                for kept in self._kept.values()
                for numbered in takewhile(lambda numbered: numbered[0] > seen, reversed(kept))
            ]
            return self._seen, [record for _, record in sorted(new, key=lambda numbered: numbered[0])]


def _slim_since_last_plan(kept: deque[tuple[int, Record]]) -> None:
    for index in range(len(kept) - 1, -1, -1):
        number, record = kept[index]
        kept[index] = number, _slimmed(record)
        if record.kind is RecordKind.PLAN:
            return


def _slimmed(record: Record) -> Record:
    forecast = record.snapshot.forecast
    if forecast is None or not forecast.quantiles_per_s:
        return record
    first = tuple(quantiles[:1] for quantiles in forecast.quantiles_per_s)
    return replace(record, snapshot=replace(record.snapshot, forecast=replace(forecast, quantiles_per_s=first)))
