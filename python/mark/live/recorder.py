"""Keeps decisions in memory, and tells the log about those that act."""

from __future__ import annotations

import logging
from collections import deque

from mark.domain.plan import Decision

__all__ = ["MemoryRecorder"]

_log = logging.getLogger(__name__)


class MemoryRecorder:
    """The last decisions of every model, newest last."""

    def __init__(self, decisions_max: int = 4096) -> None:
        self._decisions_max = decisions_max
        self._decisions: dict[str, deque[Decision]] = {}

    def record(self, decision: Decision, model: str) -> None:
        """Keep one decision; the oldest makes room."""
        kept = self._decisions.setdefault(model, deque(maxlen=self._decisions_max))
        kept.append(decision)
        if decision.actions:
            _log.info("%s: %s", model, decision.reason)

    def decisions(self, model: str) -> list[Decision]:
        """What was kept for a model, oldest first."""
        return list(self._decisions.get(model, ()))

    def last(self, model: str) -> Decision | None:
        """The newest decision for a model."""
        kept = self._decisions.get(model)
        return kept[-1] if kept else None
