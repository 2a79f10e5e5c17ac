"""The worker's native server: batches that fill while the model is busy, and a model that can do it no harm."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

import grpc
import grpc.aio
import numpy as np
import pytest
from unit.worker_models import REQUEST, SIGNATURE, WRONG_MODELS, burn, double, request_of

from mark import _core
from mark.errors import ConfigError
from mark.protocol import messages
from mark.worker.runtimes import Model
from mark.worker.serving import NativeServing
from mark.worker.throttle import CpuShare

pytestmark = pytest.mark.skipif(not _core.native_available, reason="built without the native data plane")


@dataclass
class Served:
    """A model that is served, and a connection to it."""

    serving: NativeServing
    channel: grpc.aio.Channel

    def infer(self, request: bytes = REQUEST, timeout_s: float = 10.0) -> grpc.aio.UnaryUnaryCall[bytes, bytes]:
        return self.channel.unary_unary(messages.MODEL_INFER)(request, timeout=timeout_s)

    async def arrived(self) -> None:
        """What was sent before on this connection has been read: its frames are read in order."""
        await self.channel.unary_unary(messages.SERVER_LIVE)(b"", timeout=10.0)


Serve = Callable[..., Awaitable[Served]]


class Gate:
    """A model that notes how many rows it gets, and waits in each batch until it is opened."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self, inputs: Any) -> Any:
        self.rows.append(len(inputs["x"]))
        self.entered.set()
        assert self.opened.wait(timeout=10)
        return double(inputs)

    async def is_busy(self) -> None:
        assert await asyncio.to_thread(self.entered.wait, 10)


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    started: list[Served] = []

    async def make(model: Callable[[Any], Any], share: float = 1.0, tracer: _core.Tracer | None = None) -> Served:
        serving = NativeServing(SIGNATURE, cast("Model", model), CpuShare(share), "127.0.0.1:0", None, tracer)
        address = await serving.start()
        started.append(Served(serving, grpc.aio.insecure_channel(address)))
        return started[-1]

    yield make
    for each in started:
        await each.channel.close()
        await each.serving.stop(0.0)
    assert model_threads() == []


def model_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "mark-model"]


async def values_of(call: grpc.aio.UnaryUnaryCall[bytes, bytes]) -> list[float]:
    response = messages.ModelInferResponse.FromString(await call)
    assert (response.id, response.model_version) == ("id", "1")
    return list(np.frombuffer(response.raw_output_contents[0], np.float32))


async def failure_of(call: grpc.aio.UnaryUnaryCall[bytes, bytes]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value.code(), str(raised.value.details())


async def test_requests_that_wait_for_a_busy_model_go_as_one_batch_and_each_gets_its_own_rows(serve: Serve) -> None:
    gate = Gate()
    served = await serve(gate)
    first = served.infer()
    await gate.is_busy()
    waiting = [served.infer(request_of(float(value))) for value in (2, 3, 4)]
    await served.arrived()

    gate.opened.set()

    assert await values_of(first) == [2, 2]
    assert [await values_of(call) for call in waiting] == [[4, 4], [6, 6], [8, 8]]
    assert gate.rows == [1, 3]


async def test_a_batch_has_no_more_rows_than_the_signature_allows(serve: Serve) -> None:
    gate = Gate()
    served = await serve(gate)
    first = served.infer()
    await gate.is_busy()
    waiting = [served.infer(request_of(1.0, rows=3)) for _ in range(3)]
    await served.arrived()

    gate.opened.set()

    await first
    for call in waiting:
        assert await values_of(call) == [2] * 6
    assert gate.rows == [1, 3, 3, 3]


@pytest.mark.parametrize(("model", "words"), WRONG_MODELS)
async def test_what_a_model_does_wrong_is_said_and_harms_nobody_else(
    serve: Serve, model: Callable[[Any], Any], words: str
) -> None:
    def wrong_once(inputs: Any) -> Any:
        return model(inputs) if inputs["x"][0, 0] == 666 else double(inputs)

    served = await serve(wrong_once)

    failure = await failure_of(served.infer(request_of(666.0)))

    assert failure[0] is grpc.StatusCode.INTERNAL
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(failure[1])
    assert await values_of(served.infer()) == [2, 2]


def fail_at_length(_: Any) -> Any:
    raise ValueError("x" * 20_000)


def fail_in_no_language(_: Any) -> Any:
    raise ValueError("\udcff")


@pytest.mark.parametrize("model", [fail_at_length, fail_in_no_language])
async def test_an_error_reaches_the_client_however_it_is_worded(serve: Serve, model: Callable[[Any], Any]) -> None:
    code, words = await failure_of((await serve(model)).infer())

    assert code is grpc.StatusCode.INTERNAL
    assert words.startswith("ValueError: ")


async def test_a_request_that_makes_a_batch_fail_fails_alone(serve: Serve) -> None:
    gate = Gate()

    def model(inputs: Any) -> Any:
        gate(inputs)
        if np.any(inputs["x"] == 666):
            raise ValueError("a beast")
        return double(inputs)

    served = await serve(model)
    first = served.infer()
    await gate.is_busy()
    good, bad = served.infer(request_of(3.0)), served.infer(request_of(666.0))
    await served.arrived()
    gate.opened.set()

    assert [await values_of(first), await values_of(good)] == [[2, 2], [6, 6]]
    assert await failure_of(bad) == (grpc.StatusCode.INTERNAL, "ValueError: a beast")
    assert sorted(gate.rows) == [1, 1, 1, 2]  # together, and then each by itself


async def test_what_was_given_up_while_it_waited_is_not_computed(serve: Serve) -> None:
    gate = Gate()
    served = await serve(gate)
    first = served.infer()
    await gate.is_busy()
    cancelled, late = served.infer(), served.infer(timeout_s=0.05)
    await served.arrived()
    cancelled.cancel()
    assert (await failure_of(late))[0] is grpc.StatusCode.DEADLINE_EXCEEDED
    await served.arrived()  # and so was the cancellation

    gate.opened.set()

    await first
    assert await values_of(served.infer()) == [2, 2]
    assert gate.rows == [1, 1]


@pytest.mark.parametrize("fails", [False, True])
async def test_idle_time_is_part_of_a_batchs_latency_whether_or_not_it_fails(serve: Serve, fails: bool) -> None:
    def model(inputs: Any) -> Any:
        burn(0.02)
        if fails:
            raise ValueError
        return double(inputs)

    served = await serve(model, share=0.1)
    began_s = time.perf_counter()

    if fails:
        await failure_of(served.infer())
    else:
        await served.infer()

    assert time.perf_counter() - began_s >= 0.02 / 0.1


async def test_a_worker_that_closes_cuts_its_idle_time_short(serve: Serve) -> None:
    computed = threading.Event()

    def model(inputs: Any) -> Any:
        burn(0.02)
        computed.set()
        return double(inputs)

    served = await serve(model, share=0.0001)  # minutes
    call = served.infer()
    assert await asyncio.to_thread(computed.wait, 10)

    await asyncio.wait_for(served.serving.stop(0.05), 10)

    # Beyond the grace its answer may come before the end of its connection, or not.
    assert await asyncio.wait_for(call.code(), 10) in {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
    assert model_threads() == []


async def test_a_draining_worker_answers_what_it_accepted_and_refuses_the_rest(serve: Serve) -> None:
    gate = Gate()
    served = await serve(gate)
    running = served.infer()
    await gate.is_busy()
    waiting = served.infer()
    await served.arrived()

    stopping = asyncio.create_task(served.serving.stop(10.0))
    newcomer = await failure_of(served.infer(timeout_s=5.0))
    assert not stopping.done()
    gate.opened.set()

    assert newcomer[0] is grpc.StatusCode.UNAVAILABLE
    assert [await values_of(running), await values_of(waiting)] == [[2, 2], [2, 2]]
    await asyncio.wait_for(stopping, 5)
    assert model_threads() == []


async def test_beyond_the_grace_calls_are_cut_but_the_batch_that_runs_is_waited_for(serve: Serve) -> None:
    gate = Gate()
    served = await serve(gate)
    call = served.infer()
    await gate.is_busy()

    stopping = asyncio.create_task(served.serving.stop(0.05))

    assert (await failure_of(call))[0] is grpc.StatusCode.UNAVAILABLE
    assert not stopping.done()
    gate.opened.set()
    await asyncio.wait_for(stopping, 5)
    assert model_threads() == []


async def test_a_worker_that_has_nothing_to_do_stops_at_once(serve: Serve) -> None:
    served = await serve(double)
    await served.infer()

    await asyncio.wait_for(served.serving.stop(60.0), 5)


async def test_an_address_in_use_is_said_and_nothing_is_left(serve: Serve, tmp_path: Any, monkeypatch: Any) -> None:
    address = f"unix:{tmp_path / 'socket'}"
    first = NativeServing(SIGNATURE, cast("Model", double), CpuShare(1.0), address, None)
    await first.start()
    private = tmp_path / "tmp"
    private.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(private))
    second = NativeServing(SIGNATURE, cast("Model", double), CpuShare(1.0), address, None)

    with pytest.raises(ConfigError, match=r"cannot listen at unix:.*in use"):
        await second.start()
    await second.stop(0.0)

    assert list(private.iterdir()) == []
    async with grpc.aio.insecure_channel(address) as channel:
        assert await values_of(channel.unary_unary(messages.MODEL_INFER)(REQUEST, timeout=5.0)) == [2, 2]
    await first.stop(0.0)


async def test_batches_that_are_traced_say_when_the_model_ran(serve: Serve) -> None:
    tracer = _core.Tracer(share=0.0)
    served = await serve(double, tracer=tracer)
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    await served.infer()
    await served.channel.unary_unary(messages.MODEL_INFER)(REQUEST, timeout=10.0, metadata=[("traceparent", parent)])

    spans = {span.name.name: span for span in tracer.take()}
    assert list(spans) == ["QUEUE", "COMPUTE", "BATCH", "REQUEST"]
    assert spans["COMPUTE"].parent_id == spans["BATCH"].context.span_id
    assert spans["BATCH"].began_ns <= spans["COMPUTE"].began_ns <= spans["BATCH"].ended_ns
    assert not spans["BATCH"].is_call
    assert spans["REQUEST"].parent_id == 0xB7AD6B7169203331
