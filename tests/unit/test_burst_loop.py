"""The driver of the bouncer, with functions in memory: what is sent, what clients are told, and what is counted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import numpy as np
import pytest

from mark import _core
from mark._core import (
    BreakerState,
    BurstLimits,
    BurstPolicy,
    BurstVerdict,
    DispatcherParams,
    Endpoint,
    FunctionPrice,
    LatencyProfile,
    ModelSignature,
    Outcome,
    RequestTrace,
    SpanName,
    Tracer,
    WorkerSpec,
)
from mark.domain.budget import SpendingLimits, Stage
from mark.errors import CloudError, DeadlineExceeded, ModelFailed, Overloaded, Throttled, Unavailable
from mark.live.burst_loop import BurstLoop, BurstLoopParams, GivenUp
from mark.live.clock import SteadyClock
from mark.live.dispatch_loop import DispatchLoop
from mark.testing import FakeFunctions, ManualClock

SIGNATURE = ModelSignature("m", "1", [("x", "INT8", [-1])], [("y", "INT8", [-1])], 8)
PRICE = FunctionPrice(usd_per_request=1.0, usd_per_s=0.0, quantum_ns=1_000_000)
LATENCY_NS = 40_000_000
REFUSAL = Overloaded("no worker can answer before the deadline", 7)


def request_of(value: int) -> bytes:
    return _core.write_infer_request("m", "", "id", [("x", "INT8", [1], np.array([value], np.int8))], [])


def echo(message: bytes) -> bytes:
    parsed = _core.parse_infer_request(message, SIGNATURE)
    assert isinstance(parsed, _core.InferRequest)
    return _core.write_infer_response("m", "1", parsed.id, [("y", "INT8", parsed.shape(0), parsed.raw(0))])


def value_of(answer: bytes) -> int:
    return int(np.frombuffer(_core.parse_infer_response(answer).tensors[0][3], np.int8)[0])


class World:
    """A burst loop in virtual time; functions answer when the test lets them."""

    def __init__(self, limits: BurstLimits | None = None, concurrency_max: int = 10) -> None:
        self.clock = ManualClock()
        self.gate = asyncio.Event()
        self.gate.set()
        self.functions = FakeFunctions(PRICE, self.clock, latency_s=0.04, sleep=self._sleep)
        self.functions.answer = echo
        policy = BurstPolicy(
            LATENCY_NS, concurrency_max=concurrency_max, usd_per_request=1.0, limits=limits or BurstLimits()
        )
        params = BurstLoopParams(SIGNATURE, margin_ns=5_000_000, timeout_s=10.0)
        self.bursts = BurstLoop(self.functions, policy, self.clock, params)

    async def _sleep(self, seconds: float) -> None:
        await self.gate.wait()
        self.clock.advance_s(seconds)

    def ask(self, within_s: float = 0.1, value: int = 1, trace: RequestTrace | None = None) -> asyncio.Task[int]:
        async def asking() -> int:
            now_ns = self.clock.now_ns()
            given_up = GivenUp(
                request_of(value), now_ns, now_ns + round(within_s * 1e9), Outcome.PREDICTED_MISS, REFUSAL, trace
            )
            return value_of(await self.bursts.answer(given_up))

        return asyncio.ensure_future(asking())

    def breaker(self) -> BreakerState:
        return self.bursts.breaker

    def decided(self, verdict: BurstVerdict) -> int:
        return self.bursts.statistics().decided(verdict)

    def ended(self, outcome: Outcome) -> int:
        return self.bursts.statistics().ended(outcome)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.bursts.close()


async def test_a_request_that_a_function_can_answer_goes_there_at_once(world: World) -> None:
    assert await world.ask(value=3) == 3

    assert world.decided(BurstVerdict.SEND) == 1
    assert world.ended(Outcome.ANSWERED) == 1
    assert world.bursts.statistics().taken(Outcome.PREDICTED_MISS) == 1
    assert world.bursts.spent_usd == 1.0


async def test_one_that_it_cannot_is_refused_as_it_was(world: World) -> None:
    with pytest.raises(Overloaded) as refused:
        await world.ask(within_s=0.039)

    assert refused.value is REFUSAL
    assert world.decided(BurstVerdict.TOO_LATE) == 1
    assert world.functions.invoked == []


async def test_a_late_answer_is_given_to_whoever_waits_and_counts_as_late(world: World) -> None:
    world.gate.clear()
    asking = world.ask()
    await asyncio.sleep(0)
    world.clock.advance_s(0.2)
    world.gate.set()

    assert await asking == 1
    assert world.ended(Outcome.LATE) == 1


async def test_the_limit_on_concurrency_and_the_budget_refuse() -> None:
    world = World(concurrency_max=1)
    world.gate.clear()
    first = world.ask()
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await world.ask()
    assert world.decided(BurstVerdict.AT_LIMIT) == 1
    world.gate.set()
    await first
    assert await world.ask() == 1
    await world.bursts.close()

    poor = World(BurstLimits(budget_usd_per_hour=2.0))
    assert [await poor.ask(), await poor.ask()] == [1, 1]
    with pytest.raises(Overloaded):
        await poor.ask()
    assert poor.decided(BurstVerdict.OVER_BUDGET) == 1
    poor.clock.advance_s(3660)
    assert await poor.ask() == 1
    await poor.bursts.close()


async def test_failures_in_a_row_open_the_breaker_and_a_probe_closes_it(caplog: pytest.LogCaptureFixture) -> None:
    world = World(BurstLimits(failures_max=2, open_ns=1_000_000_000))
    world.functions.fail_next(CloudError("a function did not answer: it ended"), times=2)
    for _ in range(2):
        with pytest.raises(Unavailable, match="safe to send again"):
            await world.ask()
    assert world.ended(Outcome.WORKER_LOST) == 2
    assert world.breaker() is BreakerState.OPEN
    assert "circuit breaker is OPEN" in caplog.text

    with pytest.raises(Overloaded):
        await world.ask()
    assert world.decided(BurstVerdict.BROKEN) == 1

    world.clock.advance_s(1.0)
    assert world.breaker() is BreakerState.HALF_OPEN
    assert await world.ask() == 1
    assert world.breaker() is BreakerState.CLOSED
    await world.bursts.close()


async def test_throttled_functions_leave_the_refusal_as_it_was_cost_nothing_and_open_the_breaker() -> None:
    world = World(BurstLimits(failures_max=2, open_ns=1_000_000_000))
    world.functions.fail_next(Throttled("429"), times=2)
    for _ in range(2):
        with pytest.raises(Overloaded) as refused:
            await world.ask()
        assert refused.value is REFUSAL

    assert world.ended(Outcome.PREDICTED_MISS) == 2
    assert world.bursts.spent_usd == 0.0
    assert world.bursts.breaker is BreakerState.OPEN
    await world.bursts.close()


async def test_what_the_model_raises_is_the_requests_own_fault() -> None:
    world = World(BurstLimits(failures_max=1, open_ns=1_000_000_000))
    world.functions.fail_next(ModelFailed("cannot double a beast"))
    with pytest.raises(ModelFailed, match="beast"):
        await world.ask()

    assert world.ended(Outcome.MODEL_ERROR) == 1
    assert world.bursts.breaker is BreakerState.CLOSED
    await world.bursts.close()


@pytest.mark.parametrize("answer", [b"garbage", b""], ids=["garbage", "empty"])
async def test_an_answer_that_is_none_is_a_model_error(world: World, answer: bytes) -> None:
    world.functions.answer = lambda message: answer

    with pytest.raises(ModelFailed):
        await world.ask()
    assert world.ended(Outcome.MODEL_ERROR) == 1


async def test_a_failure_after_the_deadline_is_told_as_such(world: World) -> None:
    world.functions.fail_next(CloudError("did not answer"))
    world.gate.clear()
    asking = world.ask()
    await asyncio.sleep(0)
    world.clock.advance_s(1.0)
    world.gate.set()

    with pytest.raises(DeadlineExceeded, match="before a function answered"):
        await asking
    assert world.ended(Outcome.EXPIRED) == 1


async def test_whatever_goes_wrong_nobody_waits_for_ever(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.functions.fail_next(RuntimeError("surprise"))

    with pytest.raises(Unavailable):
        await world.ask()
    assert "surprise" in caplog.text
    assert world.ended(Outcome.WORKER_LOST) == 1


@pytest.mark.parametrize(("after_s", "outcome"), [(0.0, Outcome.CANCELLED), (0.096, Outcome.EXPIRED)])
async def test_a_client_that_leaves_is_counted_once_and_its_function_goes_on(
    world: World, after_s: float, outcome: Outcome
) -> None:
    world.gate.clear()
    asking = world.ask()
    await asyncio.sleep(0)
    world.clock.advance_s(after_s)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert world.ended(outcome) == 1
    assert world.bursts.statistics().in_flight == 0
    assert world.functions.use().alive == 1

    world.gate.set()
    await world.bursts.close()
    assert world.ended(Outcome.ANSWERED) == 0


async def test_a_failure_that_nobody_waits_for_makes_no_noise(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.functions.fail_next(RuntimeError("surprise"))
    world.gate.clear()
    asking = world.ask()
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    world.gate.set()
    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            await asyncio.sleep(0)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("fault", "status"),
    [(None, "OK"), (ModelFailed("wrong"), "INTERNAL"), (CloudError("gone"), "UNAVAILABLE"),
     (Throttled("many"), "RESOURCE_EXHAUSTED")],
)  # fmt: skip
async def test_a_function_continues_the_trace_of_its_request(
    world: World, fault: Exception | None, status: str
) -> None:
    tracer = Tracer(share=1.0)
    if fault is not None:
        world.functions.fail_next(fault)
    await asyncio.gather(world.ask(trace=tracer.begin("", "a=1", "m", 0)), return_exceptions=True)

    (span,) = tracer.take()
    assert (span.name, span.status, span.is_call, span.model) == (SpanName.FUNCTION, status, True, "m")
    if not isinstance(fault, Throttled):  # a function was there to be told
        sent = f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01"
        assert world.functions.headers == [{"traceparent": sent}]


async def test_closing_ends_what_waits_and_takes_nothing_more(world: World) -> None:
    world.gate.clear()
    asking = world.ask()
    await asyncio.sleep(0)

    await world.bursts.close()

    with pytest.raises(Unavailable, match="the server stops"):
        await asking
    assert world.ended(Outcome.CANCELLED) == 1
    with pytest.raises(Overloaded):
        await world.ask()


# --- behind a dispatch loop

RT_MAX_NS = 5_000_000_000
SLOW = WorkerSpec(LatencyProfile([1, 8], [1_000_000, 2_000_000]), rows_max=8)


class Link:
    """A worker that never answers, or whose model fails."""

    address = "test"
    last_probe = ""

    async def wait_ready(self) -> None:
        """It is."""

    async def send(self, batch: bytes, timeout_s: float, headers: object = None) -> bytes:
        await asyncio.Event().wait()
        raise AssertionError

    async def close(self) -> None:
        """Nothing to close."""


def dispatch_with(functions: FakeFunctions, margin_ns: int = 0, queue_requests_max: int = 100) -> DispatchLoop:
    clock = SteadyClock()
    policy = BurstPolicy(1_000_000, concurrency_max=10)
    bursts = BurstLoop(functions, policy, clock, BurstLoopParams(SIGNATURE, margin_ns=0, timeout_s=10.0))
    dispatcher = DispatcherParams(
        RT_MAX_NS,
        rows_max=8,
        queue_requests_max=queue_requests_max,
        margin_ns=margin_ns,
        burst_latency_ns=1_000_000,
    )
    return DispatchLoop(Endpoint(SIGNATURE, dispatcher), clock, RT_MAX_NS, bursts)


@pytest.fixture
def functions() -> FakeFunctions:
    made = FakeFunctions(PRICE, SteadyClock(), latency_s=0.001)
    made.answer = echo
    return made


async def ask(loop: DispatchLoop, within_s: float = 4.0) -> int:
    return value_of(await loop.infer(request_of(5), SteadyClock().now_ns() + round(within_s * 1e9)))


async def test_without_a_worker_functions_answer_and_an_answer_is_an_answer(functions: FakeFunctions) -> None:
    loop = dispatch_with(functions)

    assert await asyncio.gather(*(ask(loop) for _ in range(5))) == [5] * 5

    statistics = loop.statistics()
    assert statistics.submitted_requests == 5  # each once
    assert statistics.ended(Outcome.ANSWERED) == 5
    assert statistics.ended(Outcome.PREDICTED_MISS) == 0
    assert statistics.attainment == 1.0
    assert statistics.latency_quantile_ns(0.5) >= 1_000_000
    await loop.close()


async def test_functions_that_the_budget_does_not_pay_for_are_not_asked(functions: FakeFunctions) -> None:
    loop = dispatch_with(functions)
    await ask(loop)
    loop.keep_to(SpendingLimits(Stage.NO_SERVERLESS, functions_usd_per_hour=0.0, shed_share=0.0))
    with pytest.raises(Overloaded):
        await ask(loop)
    loop.keep_to(SpendingLimits(Stage.SPOT_FIRST, functions_usd_per_hour=100.0, shed_share=0.0))
    assert await ask(loop) == 5

    spent = loop.spent()
    assert spent.functions_usd == functions.use().usd > 0.0
    assert (spent.rows, spent.rows_lowest) == (3, 3)
    await loop.close()


async def test_what_a_function_answers_in_time_keeps_the_promise(functions: FakeFunctions) -> None:
    # As in simulations: the SLO monitor must not add capacity for what functions carry.
    loop = dispatch_with(functions)
    await asyncio.gather(*(ask(loop) for _ in range(3)))

    assert loop.attained() == (3, 3)
    await loop.close()


async def test_what_a_full_queue_keeps_out_goes_to_a_function(functions: FakeFunctions) -> None:
    loop = dispatch_with(functions, queue_requests_max=1)
    loop.add_worker(1, Link(), SLOW)  # type: ignore[arg-type]
    await loop.wait_ready()
    hanging = []  # one is with the worker, one waits
    for _ in range(2):
        hanging.append(asyncio.ensure_future(ask(loop)))
        for _ in range(3):
            await asyncio.sleep(0)

    assert await ask(loop) == 5
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    await loop.close()


async def test_what_waits_for_a_worker_that_is_late_goes_to_a_function_while_that_is_in_time(
    functions: FakeFunctions,
) -> None:
    loop = dispatch_with(functions, margin_ns=1_900_000_000)
    loop.add_worker(1, Link(), SLOW)  # type: ignore[arg-type]
    await loop.wait_ready()
    hanging = asyncio.ensure_future(ask(loop))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    # It is given up after half of its time, when the worker is later than what is left: a second for the function.
    assert await ask(loop, within_s=2.0) == 5
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
    await loop.close()


async def test_without_functions_a_refusal_is_a_refusal() -> None:
    loop = DispatchLoop(Endpoint(SIGNATURE, DispatcherParams(RT_MAX_NS, rows_max=8)), SteadyClock(), RT_MAX_NS)
    with pytest.raises(DeadlineExceeded, match="before a worker answered"):
        await ask(loop, within_s=0.1)
    await loop.close()
