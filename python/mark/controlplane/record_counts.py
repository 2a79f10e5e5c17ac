"""Counts what the decision log has of one model, and holds its forecasts against what came."""

from __future__ import annotations

from collections import Counter

from mark.controlplane.coverage import Coverage
from mark.domain.plan import Launch
from mark.domain.record import Record, RecordKind

__all__ = ["RecordCounts"]


class RecordCounts:
    """What the records of one model add up to.

    Thread safety: none.

    Attributes:
        kinds: records by kind.
        actions: what was decided to be done, "launch" or "retire", by the kind of the record.
        coverage: of the forecasts of its plans.
    """

    def __init__(self) -> None:
        """Count from nothing."""
        self.kinds: Counter[RecordKind] = Counter()
        self.actions: Counter[tuple[str, RecordKind]] = Counter()
        self.coverage = Coverage()

    def count(self, record: Record) -> None:
        """Take note of one record; they come in the order in which they were written."""
        self.kinds[record.kind] += 1
        for action in record.actions:
            self.actions["launch" if isinstance(action, Launch) else "retire", record.kind] += 1
        seen = record.snapshot
        if record.kind is RecordKind.PLAN and seen.forecast is not None:
            self.coverage.planned(record.at_ns, seen.load_per_s, seen.forecast)
