"""The worker's service: what a model does wrong is the request's failure, never the worker's."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import grpc
import grpc.aio
import numpy as np
import pytest
from unit.worker_models import REQUEST, SIGNATURE, WRONG_MODELS, burn, double, leave

from mark._core import SpanName, Tracer
from mark.errors import DeadlineExceeded, ModelFailed, ModelNotFound, Unavailable
from mark.protocol import messages
from mark.protocol.service import make_server
from mark.worker.profiling import measure_profile
from mark.worker.runtimes import Model
from mark.worker.servicer import WorkerService
from mark.worker.throttle import CpuShare

Make = Callable[..., WorkerService]


class Context:
    """A call with so much time left; None is a call without a deadline."""

    def __init__(self, remaining_s: float | None = None, *metadata: tuple[str, str]) -> None:
        self._remaining_s = remaining_s
        self._metadata = metadata

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata

    def time_remaining(self) -> float | None:
        return self._remaining_s


@pytest.fixture
def make_service() -> Iterator[Make]:
    services: list[WorkerService] = []

    def make(model: Callable[[Any], Any], share: float = 1.0, tracer: Tracer | None = None) -> WorkerService:
        services.append(WorkerService(SIGNATURE, cast("Model", model), CpuShare(share), tracer))
        return services[-1]

    yield make
    for service in services:
        service.close()


async def infer(service: WorkerService, remaining_s: float | None = None) -> np.ndarray:
    response = messages.ModelInferResponse.FromString(await service.model_infer(REQUEST, Context(remaining_s)))
    return np.frombuffer(response.raw_output_contents[0], np.float32)


async def test_a_batch_is_computed(make_service: Make) -> None:
    np.testing.assert_array_equal(await infer(make_service(double), remaining_s=5), [2, 2])


@pytest.mark.parametrize(("model", "words"), WRONG_MODELS)
async def test_what_a_model_does_wrong_is_said(make_service: Make, model: Callable[[Any], Any], words: str) -> None:
    with pytest.raises(ModelFailed, match=words):
        await infer(make_service(model))


async def test_a_batch_whose_deadline_passed_is_not_computed(make_service: Make) -> None:
    computed: list[int] = []

    def model(inputs: Any) -> Any:
        computed.append(1)
        return double(inputs)

    service = make_service(model)

    with pytest.raises(DeadlineExceeded):
        await infer(service, remaining_s=0.0)

    assert computed == []


async def test_batches_run_one_at_a_time_and_a_cancelled_one_in_the_queue_is_not_computed(make_service: Make) -> None:
    started, release, computed = threading.Event(), threading.Event(), []

    def model(inputs: Any) -> Any:
        computed.append(1)
        started.set()
        assert release.wait(timeout=5)
        return double(inputs)

    service = make_service(model)
    first, second = asyncio.create_task(infer(service)), asyncio.create_task(infer(service))
    assert await asyncio.to_thread(started.wait, 5)
    second.cancel()
    release.set()
    await first
    with pytest.raises(asyncio.CancelledError):
        await second

    assert computed == [1]


async def test_the_share_counts_what_a_model_computes_on_threads_of_its_own(make_service: Make) -> None:
    def model(inputs: Any) -> Any:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(burn, 0.02).result()
        return double(inputs)

    service = make_service(model, share=0.1)
    began_s = time.perf_counter()

    await infer(service)

    assert time.perf_counter() - began_s >= 0.02 / 0.1


async def test_a_batch_that_fails_is_paid_for_as_any_other(make_service: Make) -> None:
    def model(inputs: Any) -> Any:
        burn(0.02)
        raise ValueError

    service = make_service(model, share=0.1)
    began_s = time.perf_counter()

    with pytest.raises(ModelFailed):
        await infer(service)

    assert time.perf_counter() - began_s >= 0.02 / 0.1


async def test_a_caller_that_gives_up_while_the_worker_idles_lets_no_batch_start_sooner(make_service: Make) -> None:
    started_s: list[float] = []
    computed = threading.Event()

    def model(inputs: Any) -> Any:
        started_s.append(time.perf_counter())
        burn(0.02)
        computed.set()
        return double(inputs)

    service = make_service(model, share=0.1)
    began_s = time.perf_counter()  # it is paid for from before it starts, by however much
    first = asyncio.create_task(infer(service))
    assert await asyncio.to_thread(computed.wait, 5)
    first.cancel()
    await infer(service)

    assert started_s[1] - began_s >= 0.02 / 0.1


async def test_a_worker_that_closes_cuts_its_idle_time_short(make_service: Make) -> None:
    computed = threading.Event()

    def model(inputs: Any) -> Any:
        burn(0.02)
        computed.set()
        return double(inputs)

    service = make_service(model, share=0.0001)  # minutes
    answer = asyncio.create_task(infer(service))
    assert await asyncio.to_thread(computed.wait, 5)
    await asyncio.wait_for(asyncio.to_thread(service.close), 5)

    np.testing.assert_array_equal(await answer, [2, 2])


async def test_a_draining_worker_refuses_new_batches_and_is_not_ready(make_service: Make) -> None:
    service = make_service(double)
    assert await service.server_ready()
    service.drain()

    with pytest.raises(Unavailable):
        await infer(service)
    assert not await service.server_ready()
    assert not await service.model_ready("m", "")
    with pytest.raises(ModelNotFound):
        await service.model_ready("other", "")


def fail_at_length(_: Any) -> Any:
    raise ValueError("x" * 20_000)


def fail_in_no_language(_: Any) -> Any:
    raise ValueError("\udcff")


@pytest.mark.parametrize("model", [fail_at_length, fail_in_no_language])
async def test_an_error_reaches_the_client_however_it_is_worded(
    make_service: Make, model: Callable[[Any], Any]
) -> None:
    server, address = await make_server("127.0.0.1:0", make_service(model))
    await server.start()
    async with grpc.aio.insecure_channel(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await channel.unary_unary(messages.MODEL_INFER)(REQUEST, timeout=5)
    await server.stop(None)

    assert raised.value.code() is grpc.StatusCode.INTERNAL
    assert str(raised.value.details()).startswith("ValueError: ")


async def test_a_profile_of_a_model_that_fails_says_at_which_size(make_service: Make) -> None:
    server, address = await make_server("127.0.0.1:0", make_service(leave))
    await server.start()
    with pytest.raises(ModelFailed, match="profiling 1 rows: SystemExit: 3"):
        await measure_profile(address, SIGNATURE)
    await server.stop(None)


async def test_a_batch_whose_trace_is_sampled_leaves_spans_below_its_routers(make_service: Make) -> None:
    tracer = Tracer(share=0.0)
    service = make_service(double, tracer=tracer)
    parent = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

    await service.model_infer(REQUEST, Context(None, parent))
    await infer(service)  # not sampled

    spans = {span.name: span for span in tracer.take()}
    assert list(spans) == [SpanName.QUEUE, SpanName.COMPUTE, SpanName.BATCH, SpanName.REQUEST]
    request, batch, compute = spans[SpanName.REQUEST], spans[SpanName.BATCH], spans[SpanName.COMPUTE]
    assert (request.parent_id, request.is_parent_remote) == (0xB7AD6B7169203331, True)
    assert (batch.parent_id, compute.parent_id) == (request.context.span_id, batch.context.span_id)
    assert request.began_ns <= batch.began_ns <= compute.began_ns <= compute.ended_ns <= batch.ended_ns
    assert not batch.is_call


async def test_a_model_that_fails_is_the_status_of_its_spans(make_service: Make) -> None:
    tracer = Tracer(share=1.0)

    def fail(inputs: Any) -> Any:
        raise ValueError("wrong")

    with pytest.raises(ModelFailed):
        await make_service(fail, tracer=tracer).model_infer(REQUEST, Context())

    statuses = {span.name.name: (span.status, span.message) for span in tracer.take()}
    assert statuses["BATCH"] == statuses["REQUEST"] == ("INTERNAL", "ValueError: wrong")
