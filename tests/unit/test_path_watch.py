"""What is written down of a model whose workers are all foreign."""

from __future__ import annotations

import asyncio

import pytest

from mark._core import Outcome
from mark.controlplane.chronicle import Chronicle
from mark.domain.record import RecordKind
from mark.live import path_watch
from mark.live.path_watch import watch_path
from mark.live.recorder import MemoryRecorder
from mark.testing import ManualClock


class Path:
    """As much of a request path as is read: what was refused so far."""

    bursts = None
    submitted_rows = 0

    def __init__(self) -> None:
        self.refused = 0
        self.looked = asyncio.Event()

    def statistics(self) -> Path:
        self.looked.set()
        return self

    async def next_look(self) -> None:
        self.looked.clear()
        await self.looked.wait()

    def ended(self, outcome: Outcome) -> int:
        return self.refused if outcome is Outcome.QUEUE_FULL else 0


async def test_a_burst_of_refusals_is_a_record_between_a_beginning_and_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path_watch, "_LOOK_S", 0.0)
    recorder, clock, path = MemoryRecorder(), ManualClock(), Path()
    watching = asyncio.ensure_future(
        watch_path(path, Chronicle(("m", "run"), recorder), clock, {"version": "1"})  # type: ignore[arg-type]
    )
    await path.next_look()
    path.refused = 4
    clock.advance_s(1.0)
    await path.next_look()
    await path.next_look()
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching

    first, shed, last = recorder.records("m")
    assert (first.kind, first.details) == (RecordKind.START, {"version": "1"})
    assert shed.kind is RecordKind.SHED
    assert shed.details["by_reason"] == {"queue_full": 4}
    assert last.kind is RecordKind.STOP
    assert last.details["tally"]["shed"]["queue_full"] == 4
