"""The live request path under a clock that a test moves: real loop, endpoint, messages, and links that are on time."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from mark import _core
from mark._core import DispatcherParams, Endpoint, LatencyProfile, ModelSignature, Outcome, WorkerSpec
from mark.errors import RequestError
from mark.live import dispatch_loop
from mark.live.dispatch_loop import DispatchLoop
from mark.testing import ManualClock

SIGNATURE = ModelSignature("m", "1", [("x", "INT32", [-1])], [("y", "INT32", [-1])], 64)
BATCH = ModelSignature("m", "1", [("x", "INT32", [-1])], [("y", "INT32", [-1])], 1000)
_TURNS = 12  # of the event loop, after which nothing moves any more without the clock

Batch = tuple[int, int, list[int]]  # launched at ns, worker, requests by their order of arrival


class ManualTimer:
    """Fires when the test finds it due."""

    made: ManualTimer | None = None
    clock: ManualClock

    def __init__(self) -> None:
        self._eventfd = os.eventfd(0, os.EFD_NONBLOCK)
        self.due_ns: int | None = None
        type(self).made = self

    def fileno(self) -> int:
        return self._eventfd

    def arm(self, delay_ns: int) -> None:
        self.due_ns = self.clock.now_ns() + delay_ns

    def acknowledge(self) -> None:
        os.eventfd_read(self._eventfd)

    def fire(self) -> None:
        self.due_ns = None
        os.eventfd_write(self._eventfd, 1)

    def close(self) -> None:
        os.close(self._eventfd)


@dataclass
class Worker:
    """A stub worker: one batch takes what its profile says."""

    number: int
    profile: LatencyProfile
    rows_max: int = 8

    @property
    def spec(self) -> WorkerSpec:
        return WorkerSpec(self.profile, rows_max=self.rows_max)


@dataclass
class LiveRun:
    """What live serving did with a sequence of arrivals."""

    batches: list[Batch] = field(default_factory=list)
    answered: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    ended: dict[Outcome, int] = field(default_factory=dict)


class _Link:
    address = "by hand"

    def __init__(self, driver: Driver, worker: Worker) -> None:
        self._driver = driver
        self._worker = worker

    async def wait_ready(self) -> None:
        """It is."""

    async def send(self, batch: bytes, timeout_s: float, headers: object = None) -> bytes:
        parsed = _core.parse_infer_request(batch, BATCH)
        assert isinstance(parsed, _core.InferRequest)
        ordinals = np.frombuffer(parsed.raw(0), np.int32).tolist()
        # Request 0 comes first wherever it is: a zero further on is padding.
        await self._driver.computed(self._worker, [each for at, each in enumerate(ordinals) if each > 0 or at == 0])
        return _core.write_infer_response("m", "1", parsed.id, [("y", "INT32", parsed.shape(0), parsed.raw(0))])

    async def close(self) -> None:
        """Nothing to close."""


class Driver:
    """Moves the clock from one event to the next; at one instant: workers, answers, arrivals, and then the loop."""

    def __init__(self, params: DispatcherParams, rt_max_ns: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self._clock = ManualClock()
        ManualTimer.clock = self._clock
        monkeypatch.setattr(dispatch_loop, "WakeupTimer", ManualTimer)
        self._rt_max_ns = rt_max_ns
        self._loop = DispatchLoop(Endpoint(SIGNATURE, params), self._clock, rt_max_ns)
        assert ManualTimer.made is not None
        self._timer = ManualTimer.made
        self._finishes: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._run = LiveRun()

    async def computed(self, worker: Worker, ordinals: list[int]) -> None:
        now_ns = self._clock.now_ns()
        self._run.batches.append((now_ns, worker.number, ordinals))
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        finish_ns = now_ns + worker.profile.predict_ns(len(ordinals))
        heapq.heappush(self._finishes, (finish_ns, next(self._numbers), done))
        await done

    async def run(self, arrivals_ns: Sequence[int], workers: Mapping[int, list[Worker | int]]) -> LiveRun:
        """Serve; `workers` says who comes up (a worker) or goes (its number), by the instant."""
        waiting = list(enumerate(arrivals_ns))[::-1]
        changes = sorted(workers.items(), reverse=True)
        asking: list[asyncio.Task[None]] = []
        while True:
            due = [waiting[-1][1]] if waiting else []
            due += [changes[-1][0]] if changes else []
            due += [self._finishes[0][0]] if self._finishes else []
            due += [self._timer.due_ns] if self._timer.due_ns is not None else []
            if not due:
                break
            now_ns = max(min(due), self._clock.now_ns())
            self._clock.advance_s((now_ns - self._clock.now_ns()) / 1e9)
            if changes and changes[-1][0] <= now_ns:
                await self._change(changes.pop()[1])
                continue
            self._answer(now_ns)
            while waiting and waiting[-1][1] <= now_ns:
                asking.append(asyncio.ensure_future(self._ask(waiting.pop()[0])))
            if self._timer.due_ns is not None and self._timer.due_ns <= now_ns:
                self._timer.fire()
            await self._settle()
        await asyncio.gather(*asking)
        statistics = self._loop.statistics()
        self._run.ended = {outcome: statistics.ended(outcome) for outcome in Outcome}
        await self._loop.close()
        self._timer.close()
        return self._run

    async def _change(self, changes: list[Worker | int]) -> None:
        for change in changes:
            if isinstance(change, Worker):
                self._loop.add_worker(change.number, _Link(self, change), change.spec)  # type: ignore[arg-type]
            else:
                await self._loop.remove_worker(change)
        await self._settle()

    def _answer(self, now_ns: int) -> None:
        while self._finishes and self._finishes[0][0] <= now_ns:
            done = heapq.heappop(self._finishes)[2]
            if not done.done():  # its worker is gone
                done.set_result(None)

    async def _ask(self, ordinal: int) -> None:
        message = _core.write_infer_request("m", "", "", [("x", "INT32", [1], np.array([ordinal], np.int32))], [])
        try:
            await self._loop.infer(message, self._clock.now_ns() + self._rt_max_ns)
            self._run.answered.add(ordinal)
        except RequestError:
            self._run.refused.add(ordinal)

    async def _settle(self) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)
