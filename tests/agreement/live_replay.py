"""A sequence through the request path of live serving, in virtual time: nothing here waits for a real clock."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import os
from collections.abc import Callable
from unittest import mock

import grpc.aio
import numpy as np
from agreement.recorded import MS, RT_MAX_NS, Change, Functions, Replayed, Sequence, Server, counts_of

from mark import _core
from mark._core import BurstPolicy, BurstVerdict, Endpoint, FunctionPrice
from mark.app.parts import core_signature
from mark.domain.signature import ModelSignature, TensorSpec
from mark.domain.slo import Slo
from mark.errors import RequestError
from mark.live import dispatch_loop
from mark.live.burst_loop import BurstLoop, BurstLoopParams, GivenUp
from mark.live.dispatch_loop import DispatchLoop
from mark.live.server import InferenceServer, ServedModel
from mark.testing import FakeFunctions, ManualClock

__all__ = ["replay_live"]

SIGNATURE = ModelSignature("m", "1", (TensorSpec("x", "INT32", (-1,)),), (TensorSpec("y", "INT32", (-1,)),), 8)
# More than the longest chain of callbacks: an answer, its poll, the batch of that poll; a drain that ends adds some.
_TURNS = 12


class ManualTimer:
    """A `WakeupTimer` that fires when the manual clock has come so far: told to, and through its descriptor."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.due_ns: int | None = None

    def fileno(self) -> int:
        return self._descriptor

    def arm(self, delay_ns: int) -> None:
        self.due_ns = self._clock.now_ns() + max(1, delay_ns)

    def acknowledge(self) -> None:
        os.eventfd_read(self._descriptor)

    def fire(self) -> None:
        self.due_ns = None
        os.eventfd_write(self._descriptor, 1)

    def close(self) -> None:
        os.close(self._descriptor)


class AnyContext:
    """A call whose client set no deadline."""

    def time_remaining(self) -> float | None:
        return None


class StubLink:
    """A worker that takes exactly as long as its profile says, one batch after another: y = x."""

    address = "stub"
    last_probe = ""

    def __init__(self, worker: int, server: Server, replay: LiveReplay) -> None:
        self._worker = worker
        self._profile = server.profile()
        self._replay = replay
        self._free_at_ns = 0

    async def wait_ready(self) -> None:
        """It is ready as soon as it is added."""

    async def send(self, batch: bytes, timeout_s: float, headers: object = None) -> bytes:
        parsed = _core.parse_infer_request(batch, core_signature(SIGNATURE))
        assert isinstance(parsed, _core.InferRequest)
        now_ns = self._replay.clock.now_ns()
        ordinals = np.frombuffer(parsed.raw(0), np.int32).tolist()
        self._replay.replayed.batches.append((now_ns, self._worker, ordinals))
        self._free_at_ns = max(now_ns, self._free_at_ns) + self._profile.predict_ns(parsed.rows)
        await self._replay.answer_at(self._free_at_ns)
        return _core.write_infer_response("m", "1", parsed.id, [("y", "INT32", parsed.shape(0), parsed.raw(0))])

    async def close(self) -> None:
        """Nothing to close."""


class RecordedPolicy:
    """The real one, which tells its verdicts."""

    def __init__(self, policy: BurstPolicy, on_verdict: Callable[[BurstVerdict], None]) -> None:
        self._policy = policy
        self._on_verdict = on_verdict

    def decide(self, deadline_ns: int, now_ns: int) -> BurstVerdict:
        verdict = self._policy.decide(deadline_ns, now_ns)
        self._on_verdict(verdict)
        return verdict

    def __getattr__(self, name: str) -> object:
        return getattr(self._policy, name)


class RecordedBursts(BurstLoop):
    """The way to functions that take exactly as long as they say: y = x."""

    def __init__(self, functions: Functions, replay: LiveReplay) -> None:
        self._replay = replay
        self._ordinal = 0
        fake = FakeFunctions(
            FunctionPrice(usd_per_request=1.0, usd_per_s=0.0, quantum_ns=MS),
            replay.clock,
            latency_s=functions.latency_ns / 1e9,
            concurrency_max=functions.functions_max,
            sleep=lambda seconds: replay.answer_at(replay.clock.now_ns() + round(seconds * 1e9)),
        )
        fake.answer = echo
        policy = BurstPolicy(
            functions.latency_ns,
            concurrency_max=functions.concurrency_max,
            usd_per_request=1.0,
            limits=functions.limits(),
        )
        recorded = RecordedPolicy(policy, self._decided)
        params = BurstLoopParams(core_signature(SIGNATURE), margin_ns=2 * MS, timeout_s=60.0)
        super().__init__(fake, recorded, replay.clock, params)  # type: ignore[arg-type]

    async def answer(self, given_up: GivenUp) -> bytes:
        self._ordinal = ordinal_of(given_up.message)
        return await super().answer(given_up)

    def _decided(self, verdict: BurstVerdict) -> None:
        self._replay.replayed.bursts.append((self._replay.clock.now_ns(), self._ordinal, verdict))


def parsed_of(message: bytes) -> _core.InferRequest:
    parsed = _core.parse_infer_request(message, core_signature(SIGNATURE))
    assert isinstance(parsed, _core.InferRequest)
    return parsed


def ordinal_of(message: bytes) -> int:
    return int(np.frombuffer(parsed_of(message).raw(0), np.int32)[0])


def echo(message: bytes) -> bytes:
    parsed = parsed_of(message)
    return _core.write_infer_response("m", "1", parsed.id, [("y", "INT32", parsed.shape(0), parsed.raw(0))])


class LiveReplay:
    """Server, dispatch loop and endpoint as in the router; clock, timer and workers are the test's.

    What happens at one instant happens in the simulator's order: workers come and go, then answers, then arrivals, all
    in one turn of the event loop; the dispatch loop polls in the next, as for requests that really come together.
    """

    def __init__(self, sequence: Sequence) -> None:
        self.clock = ManualClock()
        self.replayed = Replayed()
        self._sequence = sequence
        self._timer = ManualTimer(self.clock)
        self.endpoint = Endpoint(core_signature(SIGNATURE), sequence.params())
        with mock.patch.object(dispatch_loop, "WakeupTimer", return_value=self._timer):
            self._bursts = None if sequence.functions is None else RecordedBursts(sequence.functions, self)
            self._dispatch = DispatchLoop(self.endpoint, self.clock, RT_MAX_NS, self._bursts)
        served = ServedModel(SIGNATURE, Slo(RT_MAX_NS / 1e6, 0.98), self._dispatch, None, self._bursts)
        self._server = InferenceServer({"m": served}, self.clock)
        self._answers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._number = itertools.count()
        self._tasks: list[asyncio.Task[None]] = []

    async def answer_at(self, at_ns: int) -> None:
        """Return at that instant."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._answers, (at_ns, next(self._number), future))
        await future

    async def run(self) -> Replayed:
        changes, instants = list(self._sequence.changes), list(self._sequence.instants_ns)
        ordinals = itertools.count()
        while (at_ns := self._next(changes, instants)) is not None:
            self.clock.advance_s((at_ns - self.clock.now_ns()) / 1e9)
            while changes and changes[0].at_ns == at_ns:
                self._apply(changes.pop(0))
            while self._answers and self._answers[0][0] == at_ns:
                self._wake(heapq.heappop(self._answers)[2])
            arrived = False
            while instants and instants[0] == at_ns:
                instants.pop(0)
                self._start(self._ask(next(ordinals), at_ns))
                arrived = True
            await self._settle()
            if self._timer.due_ns is not None and self._timer.due_ns <= at_ns:
                self._timer.fire()
                await self._settle()
            if arrived:
                self.replayed.trail.append((at_ns, counts_of(self._dispatch.statistics())))
        await self._end()
        return self.replayed

    def _next(self, changes: list[Change], instants: list[int]) -> int | None:
        due = [changes[0].at_ns] if changes else []
        due += instants[:1]
        due += [self._answers[0][0]] if self._answers else []
        due += [] if self._timer.due_ns is None else [self._timer.due_ns]
        return min(due, default=None)

    def _apply(self, change: Change) -> None:
        worker = change.worker
        if change.kind == "up":
            server = self._sequence.servers[worker]
            self._dispatch.add_worker(worker, StubLink(worker, server, self), server.spec())  # type: ignore[arg-type]
        elif change.kind == "down":
            self._start(self._dispatch.remove_worker(worker))
        else:
            self._start(self._dispatch.drain_worker(worker))

    async def _ask(self, ordinal: int, at_ns: int) -> None:
        value = np.array([ordinal], np.int32)
        message = _core.write_infer_request("m", "", "", [("x", "INT32", [1], value)], [])
        context: grpc.aio.ServicerContext = AnyContext()
        try:
            answer = await self._server.model_infer(message, context)
        except RequestError:
            self.replayed.unanswered += 1
            return
        assert np.frombuffer(_core.parse_infer_response(answer).tensors[0][3], np.int32).tolist() == [ordinal]
        if self.clock.now_ns() <= at_ns + RT_MAX_NS:
            self.replayed.in_time += 1
        else:
            self.replayed.late += 1

    async def _settle(self) -> None:
        """Let everything happen that this instant sets off."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        wakeup_ns = self.endpoint.next_wakeup_ns()
        assert wakeup_ns is None or wakeup_ns > self.clock.now_ns() or self._timer.due_ns is not None

    def _start(self, work: object) -> None:
        self._tasks.append(asyncio.ensure_future(work))  # type: ignore[call-overload]

    @staticmethod
    def _wake(future: asyncio.Future[None]) -> None:
        if not future.done():  # else its worker was lost
            future.set_result(None)

    async def _end(self) -> None:
        self.replayed.counts = counts_of(self._dispatch.statistics())
        assert all(task.done() for task in self._tasks)
        await asyncio.gather(*self._tasks)
        await self._dispatch.close()
        if self._bursts is not None:
            await self._bursts.close()
        self._timer.close()


def replay_live(sequence: Sequence) -> Replayed:
    """Drive live serving with it."""

    async def run() -> Replayed:
        return await LiveReplay(sequence).run()

    return asyncio.run(run())
