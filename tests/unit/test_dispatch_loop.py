"""The driver of the request path: futures, timers, lost workers and drains, with links that the tests hold."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest

from mark import _core
from mark._core import (
    DispatcherParams,
    Endpoint,
    LatencyProfile,
    ModelSignature,
    Outcome,
    RequestTrace,
    SpanName,
    Tracer,
    WorkerSpec,
)
from mark.domain.budget import SpendingLimits, Spent, Stage
from mark.errors import DeadlineExceeded, InvalidRequest, ModelFailed, Overloaded, Unavailable
from mark.live import dispatch_loop
from mark.live.clock import SteadyClock
from mark.live.dispatch_loop import DispatchLoop
from mark.live.worker_link import LinkFailed, ModelRaised

SIGNATURE = ModelSignature("m", "1", [("x", "INT8", [-1])], [("y", "INT8", [-1])], 8)
CORE_BATCH = ModelSignature("m", "1", [("x", "INT8", [-1])], [("y", "INT8", [-1])], 1000)
SPEC = WorkerSpec(LatencyProfile([1, 8], [1_000_000, 2_000_000]), rows_max=8)
RT_MAX_NS = 5_000_000_000


class Link:
    """A worker that answers when the test lets it: y = x."""

    def __init__(self, *, ready: bool = True) -> None:
        self.address = "test"
        self.last_probe = ""
        self.ready = asyncio.Event()
        if ready:
            self.ready.set()
        self.gate = asyncio.Event()
        self.gate.set()
        self.batches: list[int] = []
        self.headers: list[object] = []
        self.arrived = asyncio.Event()
        self.failure: Callable[[int], Exception | None] = lambda rows: None
        self.closed = False

    async def wait_ready(self) -> None:
        await self.ready.wait()

    async def send(self, batch: bytes, timeout_s: float, headers: object = None) -> bytes:
        parsed = _core.parse_infer_request(batch, CORE_BATCH)
        assert isinstance(parsed, _core.InferRequest)
        self.batches.append(parsed.rows)
        self.headers.append(headers)
        self.arrived.set()
        failure = self.failure(parsed.rows)
        if failure is not None:
            raise failure
        await self.gate.wait()
        return _core.write_infer_response("m", "1", parsed.id, [("y", "INT8", parsed.shape(0), parsed.raw(0))])

    async def close(self) -> None:
        self.closed = True


class World:
    """A dispatch loop and what it is driven with."""

    def __init__(self, **params: object) -> None:
        self.clock = SteadyClock()
        self.endpoint = Endpoint(SIGNATURE, DispatcherParams(RT_MAX_NS, rows_max=8, **params))  # type: ignore[arg-type]
        self.loop = DispatchLoop(self.endpoint, self.clock, RT_MAX_NS)

    def add(self, worker: int, link: Link, spec: WorkerSpec = SPEC) -> Link:
        self.loop.add_worker(worker, link, spec)  # type: ignore[arg-type]
        return link

    async def ask(self, value: int = 1, *, within_s: float = 5.0, trace: RequestTrace | None = None) -> int:
        request = _core.write_infer_request("m", "", "", [("x", "INT8", [1], np.array([value], np.int8))], [])
        answer = await self.loop.infer(request, self.clock.now_ns() + round(within_s * 1e9), trace)
        return int(np.frombuffer(_core.parse_infer_response(answer).tensors[0][3], np.int8)[0])

    def ended(self, outcome: Outcome) -> int:
        return self.loop.statistics().ended(outcome)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.loop.close()


async def test_answers_go_to_those_who_asked(world: World) -> None:
    world.add(1, Link())

    assert await asyncio.gather(*(world.ask(value) for value in range(20))) == list(range(20))
    assert world.ended(Outcome.ANSWERED) == 20


async def test_requests_of_one_turn_share_a_batch(world: World) -> None:
    link = world.add(1, Link())
    await world.loop.wait_ready()

    await asyncio.gather(*(world.ask() for _ in range(8)))

    assert link.batches == [8]


async def test_a_request_waits_for_the_first_worker(world: World) -> None:
    link = world.add(1, Link(ready=False))
    asking = asyncio.ensure_future(world.ask(7))
    await asyncio.sleep(0)
    assert world.loop.ready_workers == 0

    link.ready.set()

    assert await asking == 7


async def test_a_deadline_that_passes_in_the_queue_is_told(world: World) -> None:
    with pytest.raises(DeadlineExceeded, match="before a worker answered"):
        await world.ask(within_s=0.1)
    assert world.ended(Outcome.EXPIRED) == 1
    assert world.loop.waiting_requests == 0


async def test_refusals_are_typed() -> None:
    world = World(queue_requests_max=1)
    waiting = asyncio.ensure_future(world.ask())
    await asyncio.sleep(0)

    with pytest.raises(Overloaded, match="the queue is full"):
        await world.ask()
    with pytest.raises(DeadlineExceeded, match="had passed on arrival"):
        await world.ask(within_s=0.0)
    with pytest.raises(InvalidRequest, match="not a valid ModelInferRequest"):
        await world.loop.infer(b"\xff", world.clock.now_ns() + 10**9)
    world.add(1, Link())
    assert await waiting == 1
    await world.loop.close()


async def test_what_no_worker_can_answer_in_time_is_refused(world: World) -> None:
    world.add(1, Link(), WorkerSpec(LatencyProfile([1], [4_000_000_000])))
    await world.loop.wait_ready()

    with pytest.raises(Overloaded, match="no worker can answer before the deadline"):
        await world.ask(within_s=3.0)


async def test_a_cancelled_request_leaves_its_place_at_once(world: World) -> None:
    asking = asyncio.ensure_future(world.ask())
    await asyncio.sleep(0)
    assert world.loop.statistics().queued_requests == 1

    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    assert world.loop.statistics().queued_requests == 0
    assert world.ended(Outcome.CANCELLED) == 1


async def test_what_more_capacity_could_have_answered_is_counted_and_nothing_else(world: World) -> None:
    with pytest.raises(DeadlineExceeded):
        await world.ask(within_s=0.1)
    given_up = asyncio.ensure_future(world.ask())
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    link = world.add(1, Link())
    await world.ask()
    link.failure = lambda rows: ModelRaised("the model's own fault")
    with pytest.raises(ModelFailed):
        await world.ask()

    assert world.loop.attained() == (2, 1)


async def test_what_the_budget_does_not_pay_for_is_shed_and_is_no_lack_of_capacity(world: World) -> None:
    world.add(1, Link())
    await world.ask()
    world.loop.keep_to(SpendingLimits(Stage.SHED, functions_usd_per_hour=0.0, shed_share=1.0))
    with pytest.raises(Overloaded, match="the budget does not pay for all requests of the lowest priority"):
        await world.ask()
    world.loop.keep_to(SpendingLimits(Stage.FULL, functions_usd_per_hour=0.0, shed_share=0.0))
    await world.ask()

    assert world.ended(Outcome.SHED) == 1
    assert world.loop.attained() == (2, 2)
    assert world.loop.spent() == Spent(rows=3, rows_lowest=3)


async def test_a_lost_worker_is_replaced_within_the_request(world: World) -> None:
    lost = world.add(1, Link())
    lost.failure = lambda rows: LinkFailed("gone")
    await world.loop.wait_ready()
    asking = asyncio.ensure_future(world.ask(5))
    await lost.arrived.wait()
    lost.ready.clear()

    world.add(2, Link())

    assert await asking == 5
    assert world.loop.statistics().retried_requests == 1


async def test_a_second_loss_is_told_as_unavailable(world: World) -> None:
    for worker in (1, 2):
        world.add(worker, Link()).failure = lambda rows: LinkFailed("gone")
    await world.loop.wait_ready()

    with pytest.raises(Unavailable, match="safe to send again"):
        await world.ask()
    assert world.ended(Outcome.WORKER_LOST) == 1


async def test_a_lost_worker_that_comes_back_is_used_again(world: World) -> None:
    link = world.add(1, Link())
    failures = [LinkFailed("hiccup")]
    link.failure = lambda rows: failures.pop() if failures else None
    await world.loop.wait_ready()

    assert await world.ask(3) == 3
    assert world.loop.ready_workers == 1


async def test_a_worker_that_came_back_is_not_taken_down_by_a_batch_of_its_life_before(world: World) -> None:
    link = world.add(1, Link(), WorkerSpec(LatencyProfile([1], [1_000_000]), rows_max=1, batches_in_flight_max=2))
    gates, both_sent = [asyncio.Event(), asyncio.Event()], asyncio.Event()
    sent = itertools.count()

    async def send(batch: bytes, timeout_s: float, headers: object = None) -> bytes:
        number = next(sent)
        if number == 1:
            both_sent.set()
        if number < 2:
            await gates[number].wait()
            raise LinkFailed("gone")
        return await Link.send(link, batch, timeout_s)

    link.send = send  # type: ignore[method-assign]
    await world.loop.wait_ready()
    asking = [asyncio.ensure_future(world.ask(value)) for value in (1, 2)]
    await both_sent.wait()
    link.gate.clear()
    gates[0].set()
    await link.arrived.wait()  # it is back, and has a batch of its new life

    gates[1].set()  # first the old batch has its say, then the new one is answered
    link.gate.set()

    assert await asyncio.gather(*asking) == [1, 2]
    assert world.ended(Outcome.WORKER_LOST) == 0


async def test_a_worker_that_hangs_twice_is_told_and_one_that_recovers_is_not(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch_loop, "_left_alone_s", lambda life: 0.0)
    link = world.add(1, Link())
    failures: list[Exception | None] = [LinkFailed("late", hung=True), None, *[LinkFailed("late", hung=True)] * 2]
    link.failure = lambda rows: failures.pop(0)

    assert await world.ask(1) == 1
    assert world.loop.hung_workers == frozenset()
    with pytest.raises(Unavailable):
        await world.ask(2)

    assert world.loop.hung_workers == {1}


async def test_what_a_worker_that_is_not_ready_says_is_passed_on(world: World) -> None:
    link = world.add(1, Link(ready=False))
    link.last_probe = "NOT_FOUND: no such model"

    assert world.loop.not_ready_because() == ["worker test: NOT_FOUND: no such model"]


async def test_a_bad_request_fails_alone(world: World) -> None:
    link = world.add(1, Link())
    await world.loop.wait_ready()
    # The first batch fails as a whole; then each goes alone, and the second of those is the bad one.
    verdicts = [ModelRaised("together"), None, ModelRaised("the bad one"), None]
    link.failure = lambda rows: verdicts.pop(0)

    answers = await asyncio.gather(*(world.ask(value) for value in (1, 2, 3)), return_exceptions=True)

    assert link.batches == [3, 1, 1, 1]
    assert [answer for answer in answers if isinstance(answer, int)] == [1, 3]
    failed = [answer for answer in answers if isinstance(answer, Exception)]
    assert [type(error) for error in failed] == [ModelFailed]
    assert str(failed[0]) == "the bad one"


async def test_a_draining_worker_finishes_its_batch_and_takes_no_other(world: World) -> None:
    link = world.add(1, Link())
    link.gate.clear()
    await world.loop.wait_ready()
    asking = asyncio.ensure_future(world.ask(4))
    await link.arrived.wait()

    draining = asyncio.ensure_future(world.loop.drain_worker(1))
    await asyncio.sleep(0)
    late = asyncio.ensure_future(world.ask(5))
    await asyncio.sleep(0)
    assert not draining.done()
    link.gate.set()

    assert await asking == 4
    await draining
    assert link.closed
    assert link.batches == [1]
    world.add(2, Link())
    assert await late == 5


async def test_removing_a_worker_sends_its_requests_elsewhere(world: World) -> None:
    link = world.add(1, Link())
    link.gate.clear()
    await world.loop.wait_ready()
    asking = asyncio.ensure_future(world.ask(6))
    await link.arrived.wait()
    world.add(2, Link())

    await world.loop.remove_worker(1)

    assert await asking == 6
    assert link.closed


async def test_closing_ends_those_who_wait() -> None:
    world = World()
    asking = asyncio.ensure_future(world.ask())
    await asyncio.sleep(0)

    await world.loop.close()

    with pytest.raises(Unavailable, match="the server stops"):
        await asking
    assert world.loop.statistics().queued_requests == 0


async def test_draining_or_removing_an_unknown_worker_is_no_error(world: World) -> None:
    await world.loop.drain_worker(9)
    await world.loop.remove_worker(9)


async def test_a_sampled_request_leaves_spans_and_its_worker_gets_its_trace(world: World) -> None:
    tracer = Tracer(share=1.0)
    link = world.add(1, Link())
    trace = tracer.begin("", "", "m", world.clock.now_ns())

    await world.ask(trace=trace)

    queue, batch = tracer.take()  # the request's own span ends where it began: at the server
    assert [span.name for span in (queue, batch)] == [SpanName.QUEUE, SpanName.BATCH]
    assert queue.ended_ns == batch.began_ns <= batch.ended_ns
    assert (batch.status, batch.worker, batch.requests) == ("OK", "test", 1)
    assert link.headers == [{"traceparent": f"00-{batch.context.trace_id:032x}-{batch.context.span_id:016x}-01"}]


async def test_a_request_that_is_not_sampled_sends_nothing_along(world: World) -> None:
    link = world.add(1, Link())
    await world.ask()
    assert link.headers == [{}]


@pytest.mark.parametrize(
    ("failure", "status"),
    [(LinkFailed("gone"), "UNAVAILABLE"), (LinkFailed("hangs", hung=True), "DEADLINE_EXCEEDED")],
)
async def test_each_batch_of_a_retried_request_has_a_span(world: World, failure: Exception, status: str) -> None:
    tracer = Tracer(share=1.0)
    link, failures = world.add(1, Link()), [failure]
    link.failure = lambda rows: failures.pop() if failures else None

    await world.ask(trace=tracer.begin("", "", "m", world.clock.now_ns()))

    spans = tracer.take()
    assert [span.name.name for span in spans] == ["QUEUE", "BATCH", "QUEUE", "BATCH"]
    assert [span.status for span in spans if span.name is SpanName.BATCH] == [status, "OK"]


async def test_a_request_that_its_model_fails_on_does_not_wait_again(world: World) -> None:
    tracer = Tracer(share=1.0)
    world.add(1, Link()).failure = lambda rows: ModelRaised("wrong")
    trace = tracer.begin("", "", "m", world.clock.now_ns())
    assert trace is not None

    with pytest.raises(ModelFailed):
        await world.ask(trace=trace)
    trace.end("INTERNAL", "wrong", world.clock.now_ns())

    spans = [(span.name.name, span.status, span.message) for span in tracer.take()]
    assert spans == [("QUEUE", "OK", ""), ("BATCH", "INTERNAL", "wrong"), ("REQUEST", "INTERNAL", "wrong")]


async def test_a_batch_that_nobody_waits_for_any_more_is_lost(world: World) -> None:
    tracer = Tracer(share=1.0)
    link = world.add(1, Link())
    link.gate.clear()
    asking = asyncio.ensure_future(world.ask(trace=tracer.begin("", "", "m", world.clock.now_ns())))
    await link.arrived.wait()

    await world.loop.remove_worker(1)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)

    gc.collect()  # the coroutine that carried it may be in a cycle
    assert [span.status for span in tracer.take() if span.name is SpanName.BATCH] == ["UNAVAILABLE"]
