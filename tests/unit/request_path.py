"""A dispatcher with its own clock, for the tests of the request path."""

from __future__ import annotations

from typing import Any

from mark._core import (
    Admission,
    Dispatch,
    Dispatcher,
    DispatcherParams,
    Failure,
    LatencyProfile,
    Outcome,
    WorkerSpec,
    request_id,
)

__all__ = ["FLAT", "MS", "PROPORTIONAL", "RT_MAX", "Path", "ids"]

MS = 1_000_000
RT_MAX = 100 * MS
FLAT = LatencyProfile([1, 8], [10 * MS, 10 * MS])  # batching is free: waiting for more can pay
PROPORTIONAL = LatencyProfile([1], [2 * MS])  # batching gains nothing: nothing ever waits


class Path:
    """A dispatcher with its own clock, in milliseconds, and requests named by their slot."""

    def __init__(self, *workers: LatencyProfile, **params: Any) -> None:
        self.dispatcher = Dispatcher(DispatcherParams(RT_MAX, **({"rows_max": 8} | params)))
        self.now = 0.0
        for worker, profile in enumerate(workers):
            self.dispatcher.worker_up(worker, WorkerSpec(profile), 0)

    @property
    def now_ns(self) -> int:
        return round(self.now * MS)

    def submit(self, slot: int, deadline_ms: float | None = None, **about: int) -> Admission:
        deadline = self.now_ns + RT_MAX if deadline_ms is None else round(deadline_ms * MS)
        return self.dispatcher.submit(request_id(slot, 1), deadline, self.now_ns, **about)

    def poll(self) -> tuple[list[Dispatch], list[tuple[int, Outcome]]]:
        decisions = self.dispatcher.poll(self.now_ns)
        return decisions.dispatches, [(drop.request, drop.outcome) for drop in decisions.drops]

    def launched(self) -> Dispatch:
        dispatches, drops = self.poll()
        assert len(dispatches) == 1
        assert drops == []
        return dispatches[0]

    def quiet(self) -> bool:
        return self.poll() == ([], [])

    def wakeup_ms(self) -> float | None:
        wakeup = self.dispatcher.next_wakeup_ns()
        return None if wakeup is None else wakeup / MS

    def ended(self, outcome: Outcome) -> int:
        return self.dispatcher.statistics().ended(outcome)

    def fail(self, dispatch: Dispatch, failure: Failure) -> list[tuple[int, Outcome]]:
        drops = self.dispatcher.fail(dispatch.batch, failure, self.now_ns)
        return [(drop.request, drop.outcome) for drop in drops]


def ids(*slots: int) -> list[int]:
    return [request_id(slot, 1) for slot in slots]
