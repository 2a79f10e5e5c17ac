"""Drives one model's endpoint from the event loop: when to poll it, and what to do with what it decides.

There is no dispatch thread. Submissions, timers and answers all happen on the loop, so a batch costs one wake-up (its
answer) and no GIL hand-off; see docs/decisions/0003.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field

from mark._core import (
    DispatcherParams,
    Endpoint,
    Failure,
    OutboundBatch,
    Outcome,
    Refusal,
    RequestFaultInfo,
    RequestTrace,
    Statistics,
    WakeupTimer,
    WorkerLife,
    WorkerSpec,
    end_of_outcome,
    end_of_refusal,
    ended_by_stop,
    outcome_of,
)
from mark.domain.budget import SpendingLimits, Spent
from mark.errors import RequestError
from mark.live.burst_loop import BurstLoop, GivenUp
from mark.live.request_path import WorkerAddress, attained, spent
from mark.live.worker_link import LinkFailed, ModelRaised, WorkerLink
from mark.ports import Clock
from mark.protocol.error_names import error_of_end, error_of_fault
from mark.tracing.requests import end_batch, sent_headers

__all__ = ["DispatchLoop", "Reply"]

Reply = tuple[int, bytes | None, Outcome, str]
"""(request, ModelInferResponse or None, how it ended, the worker's words if any)"""

_log = logging.getLogger(__name__)


class _Dropped(Exception):
    """An accepted request that gets no answer from an instance."""

    def __init__(self, outcome: Outcome, error: RequestError) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.error = error


@dataclass(slots=True)
class _Worker:
    link: WorkerLink
    spec: WorkerSpec
    life: WorkerLife = field(default_factory=WorkerLife)
    draining: bool = False
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class DispatchLoop:
    """The request path of one model, live. Constructed inside a running event loop.

    Thread safety: belongs to that loop; the endpoint inside may be observed from other threads.

    Invariants:
        - every accepted request has a future in `_waiting` until its one reply arrives or its caller is cancelled;
        - a worker is up in the endpoint exactly while its life says so.
    """

    def __init__(self, endpoint: Endpoint, clock: Clock, rt_max_ns: int, bursts: BurstLoop | None = None) -> None:
        """Make a request path without workers; `bursts` takes what they cannot answer, None: nothing does."""
        self._endpoint = endpoint
        self.bursts = bursts
        self._clock = clock
        self._rt_max_ns = rt_max_ns
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._workers: dict[int, _Worker] = {}
        self._poll_soon = False
        self._timer = WakeupTimer()
        self._timer_ns = 0  # when it fires; 0: it is not set
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._timer.fileno(), self._on_timer)
        self._ready = asyncio.Event()

    async def infer(self, message: bytes, deadline_ns: int, trace: RequestTrace | None = None) -> bytes:
        """Answer one ModelInferRequest, whose trace is noted if it is sampled.

        Raises:
            RequestError: the subclass says how it ended; see `mark.errors`.
        """
        arrived_ns = self._clock.now_ns()
        admitted = self._endpoint.submit(message, deadline_ns, arrived_ns, trace)
        if isinstance(admitted, RequestFaultInfo):
            raise error_of_fault(admitted)
        if isinstance(admitted, Refusal):
            outcome = outcome_of(admitted.admission)
            return await self._burst(
                GivenUp(message, arrived_ns, deadline_ns, outcome, error_of_end(end_of_refusal(admitted)), trace)
            )
        future: asyncio.Future[bytes] = self._loop.create_future()
        self._waiting[admitted] = future
        self._look_again()
        try:
            return await future
        except _Dropped as dropped:
            # Once a model has failed on a request, it would fail in a function, too.
            if dropped.outcome is Outcome.MODEL_ERROR:
                raise dropped.error from None
            given_up = GivenUp(message, arrived_ns, deadline_ns, dropped.outcome, dropped.error, trace)
        except asyncio.CancelledError:
            if self._waiting.pop(admitted, None) is not None:
                self._endpoint.cancel(admitted, self._clock.now_ns())
                self._look_again()
            raise
        return await self._burst(given_up)

    async def _burst(self, given_up: GivenUp) -> bytes:
        if self.bursts is None:
            raise given_up.error
        return await self.bursts.answer(given_up)

    def connect_worker(self, worker: int, at: WorkerAddress, spec: WorkerSpec) -> None:
        """Send to the worker at an address; see `add_worker`."""
        self.add_worker(worker, WorkerLink(at.address, at.model, at.version, at.tls), spec)

    def add_worker(self, worker: int, link: WorkerLink, spec: WorkerSpec) -> None:
        """Send to this worker as soon as it says that it is ready, and again each time it comes back."""
        entry = self._workers[worker] = _Worker(link, spec)
        self._start(entry, self._connect(worker, entry))

    async def drain_worker(self, worker: int) -> None:
        """Send nothing more to the worker, wait for what it has in flight, then forget it and close its link."""
        entry = self._workers.get(worker)
        if entry is None:
            return
        entry.draining = True
        self._endpoint.worker_drain(worker)
        self._look_again()
        while entry.life.is_up and self._endpoint.worker_busy(worker):
            entry.idle.clear()
            await entry.idle.wait()
        await self.remove_worker(worker)

    async def remove_worker(self, worker: int) -> None:
        """Forget a worker at once: what it had in flight is tried elsewhere."""
        entry = self._workers.pop(worker, None)
        if entry is None:
            return
        self._take_down(worker, entry)
        for task in list(entry.tasks):
            task.cancel()
        await asyncio.gather(*entry.tasks, return_exceptions=True)
        await entry.link.close()

    async def wait_ready(self) -> None:
        """Return once a worker was ready for the first time."""
        await self._ready.wait()

    @property
    def ready_workers(self) -> int:
        """Workers that batches are sent to."""
        return sum(entry.life.is_up and not entry.draining for entry in self._workers.values())

    @property
    def hung_workers(self) -> frozenset[int]:
        """Workers that let one batch after another run out of time, and are better replaced."""
        return frozenset(worker for worker, entry in self._workers.items() if entry.life.is_hung)

    def not_ready_because(self) -> list[str]:
        """What each worker that batches are not sent to last said, with its address."""
        return [
            f"worker {entry.link.address}: {entry.link.last_probe}"
            for entry in self._workers.values()
            if not entry.life.is_up and not entry.draining
        ]

    def address_of(self, worker: int) -> str:
        """Where a worker is; empty when it is not known any more."""
        entry = self._workers.get(worker)
        return "" if entry is None else entry.link.address

    @property
    def waiting_requests(self) -> int:
        """Requests that were accepted and not answered yet."""
        return len(self._waiting)

    def retune(self, params: DispatcherParams) -> None:
        """Reckon with other parameters from now on; ValueError when they differ in what cannot change."""
        self._endpoint.retune(params, self._clock.now_ns())
        self._look_again()

    def statistics(self) -> Statistics:
        """What the request path counted so far, bursts included."""
        statistics = self._endpoint.statistics()
        return statistics if self.bursts is None else self.bursts.together_with(statistics)

    def attained(self) -> tuple[int, int]:
        """Requests that ended so far and that more capacity could have answered; how many of them were in time."""
        return attained(self.statistics())

    def spent(self) -> Spent:
        """What its functions have cost so far, and what was offered."""
        return spent(self._endpoint.statistics(), self.bursts)

    def keep_to(self, limits: SpendingLimits) -> None:
        """Shed, and limit functions, as a budget wants it from now on."""
        self._endpoint.shed(limits.shed_share)
        if self.bursts is not None:
            self.bursts.limit(limits.functions_usd_per_hour)

    async def close(self) -> None:
        """Forget all workers; requests that still wait end as Unavailable."""
        await asyncio.gather(*(self.remove_worker(worker) for worker in list(self._workers)))
        self._loop.remove_reader(self._timer.fileno())
        for request, future in list(self._waiting.items()):
            self._endpoint.cancel(request, self._clock.now_ns())
            if not future.done():
                future.set_exception(error_of_end(ended_by_stop()))
        self._waiting.clear()

    # --- driving the endpoint

    def _look_again(self) -> None:
        """Poll soon if the last event gave the endpoint something to do, else when it will have."""
        wakeup_ns = self._endpoint.next_wakeup_ns()
        if wakeup_ns is None or self._poll_soon:
            return
        if wakeup_ns <= self._clock.now_ns():
            # One poll for all events of this turn of the loop: requests that arrived together are batched together.
            self._poll_soon = True
            self._loop.call_soon(self._poll)
        elif not 0 < self._timer_ns <= wakeup_ns:
            # A timer that fires too early costs one poll; moving it back at every submission would cost more.
            self._timer_ns = wakeup_ns
            self._timer.arm(wakeup_ns - self._clock.now_ns())

    def _on_timer(self) -> None:
        self._timer.acknowledge()
        self._timer_ns = 0
        self._poll()

    def _poll(self) -> None:
        self._poll_soon = False
        batches, replies = self._endpoint.poll(self._clock.now_ns())
        for batch in batches:
            entry = self._workers[batch.worker]
            self._start(entry, self._carry(batch, entry))
        self._deliver(replies)
        self._look_again()

    async def _carry(self, batch: OutboundBatch, entry: _Worker) -> None:
        life = entry.life.life
        timeout_ns = WorkerLife.timeout_ns(batch.predicted_finish_ns - self._clock.now_ns(), self._rt_max_ns)
        try:
            headers = sent_headers(batch.trace, entry.link.address, self._clock.now_ns())
            response = await entry.link.send(batch.message, timeout_ns / 1e9, headers)
        except ModelRaised as error:
            end_batch(batch.trace, "INTERNAL", str(error), self._clock.now_ns())
            replies = self._endpoint.fail(batch.batch, Failure.MODEL_ERROR, str(error), self._clock.now_ns())
        except LinkFailed as error:
            status = "DEADLINE_EXCEEDED" if error.hung else "UNAVAILABLE"
            end_batch(batch.trace, status, str(error), self._clock.now_ns())
            # The first of its batches to fail takes the worker down, which fails the others as well.
            replies = []
            if entry.life.lost(life, hung=error.hung):
                _log.warning("lost a worker with %d requests in flight: %s", batch.requests, error)
                self._reconnect(batch.worker, entry)
        except Exception:  # noqa: BLE001 - whatever it is, those who wait for the batch must not wait for ever
            _log.exception("a batch of %d requests failed unexpectedly", batch.requests)
            replies = self._endpoint.fail(batch.batch, Failure.WORKER_LOST, "", self._clock.now_ns())
        else:
            end_batch(batch.trace, "OK", "", self._clock.now_ns())
            entry.life.answered()
            replies = self._endpoint.complete(batch.batch, response, self._clock.now_ns())
        self._deliver(replies)
        entry.idle.set()
        self._look_again()

    def _deliver(self, replies: list[Reply]) -> None:
        for request, message, outcome, detail in replies:
            future = self._waiting.pop(request, None)
            if future is None or future.done():
                continue
            if message is not None:
                future.set_result(message)
            else:
                end = end_of_outcome(outcome, detail, self._endpoint.backlog_ns(self._clock.now_ns()))
                future.set_exception(_Dropped(outcome, error_of_end(end)))

    # --- life of a worker

    def _start(self, entry: _Worker, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        entry.tasks.add(task)
        task.add_done_callback(entry.tasks.discard)

    async def _connect(self, worker: int, entry: _Worker) -> None:
        if (left_alone_s := _left_alone_s(entry.life)) > 0:
            await asyncio.sleep(left_alone_s)
        await entry.link.wait_ready()
        if entry.draining:
            return
        self._endpoint.worker_up(worker, entry.spec, self._clock.now_ns())
        entry.life.up()
        self._ready.set()
        self._look_again()

    def _reconnect(self, worker: int, entry: _Worker) -> None:
        self._take_down(worker, entry)
        if self._workers.get(worker) is entry and not entry.draining:
            self._start(entry, self._connect(worker, entry))

    def _take_down(self, worker: int, entry: _Worker) -> None:
        if entry.life.down():
            self._deliver(self._endpoint.worker_down(worker, self._clock.now_ns()))
            self._look_again()
        entry.idle.set()


def _left_alone_s(life: WorkerLife) -> float:
    return life.left_alone_ns / 1e9
