"""A trace from a client through router and workers, as processes, to a receiver of OTLP."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from integration.conftest import INGRESSES
from integration.otlp_receiver import OtlpReceiver, ReceivedSpan
from integration.router_process import CONFIG, RouterProcess, environment
from typer.testing import CliRunner

from mark import Client
from mark._core import write_infer_request
from mark.cli.commands import app
from mark.protocol import messages

ROW = np.array([[1.0, 2.0, 3.0, 4.0]], dtype=np.float32)
REQUEST = write_infer_request("doubler", "", "id", [("x", "FP32", (1, 4), ROW)], [])
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"
UNSAMPLED = PARENT[:-2] + "00"
RPC = "inference.GRPCInferenceService/ModelInfer"
SPANS_OF_ONE = 7  # request, queue and batch of the router; request, queue, batch and compute of the worker
MakeRouter = Callable[..., RouterProcess]


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as made:
        yield made


def traced(endpoint: str, share: float, config: str = CONFIG) -> str:
    return f"tracing: {{endpoint: '{endpoint}', sample_share: {share}, service_name: digits}}\n{config}"


def ask(router: RouterProcess, *metadata: tuple[str, str], request: bytes = REQUEST) -> None:
    with grpc.insecure_channel(router.address) as channel:
        channel.unary_unary(messages.MODEL_INFER)(request, timeout=5, metadata=metadata)


def counts_of(router: RouterProcess) -> dict[str, int]:
    with grpc.insecure_channel(router.address) as channel:
        answer = channel.unary_unary(messages.GET_STATUS)(messages.StatusRequest().SerializeToString(), timeout=5)
    return dict(messages.StatusResponse.FromString(answer).ingress)


def named(spans: list[ReceivedSpan], service: str, name: str) -> ReceivedSpan:
    (found,) = [span for span in spans if (span.service, span.name) == (service, name)]
    return found


@pytest.mark.parametrize("ingress", INGRESSES)
def test_a_clients_trace_goes_on_through_router_and_worker(
    make_router: MakeRouter, receiver: OtlpReceiver, ingress: str
) -> None:
    router = make_router(traced(receiver.endpoint, 0.0), "--set", f"server.ingress={ingress}")
    began_ns = time.time_ns()
    ask(router, ("traceparent", PARENT), ("tracestate", "vendor=1"))
    ask(router, ("traceparent", UNSAMPLED))
    ask(router)

    spans = receiver.until(lambda spans: len(spans) >= SPANS_OF_ONE)

    request, queue, batch = (named(spans, "digits", name) for name in (RPC, "mark.queue", "mark.batch"))
    served, compute = (named(spans, "digits-worker", name) for name in (RPC, "mark.compute"))
    assert {span.trace_id for span in spans} == {TRACE_ID}
    assert request.parent_id == "b7ad6b7169203331"
    assert (queue.parent_id, batch.parent_id) == (request.span_id, request.span_id)
    assert batch.links == (request.span_id,)
    assert request.links == (batch.span_id,)
    assert served.parent_id == batch.span_id
    assert compute.parent_id == named(spans, "digits-worker", "mark.batch").span_id
    assert batch.attributes["mark.batch.requests"] == 1
    assert batch.attributes["mark.worker"].startswith("unix:")
    # Two processes, one clock of the machine: what happens within lies within.
    assert began_ns - 10**6 <= request.began_ns <= queue.began_ns <= batch.began_ns
    assert batch.began_ns - 10**6 <= compute.began_ns <= compute.ended_ns <= batch.ended_ns + 10**6
    shown = CliRunner().invoke(app, ["status", router.address]).stdout
    assert "traces: 1 requests, " in shown
    assert ("ingress:" in shown) is (ingress == "native")
    router.stop()
    assert len(receiver.spans) == SPANS_OF_ONE  # and nothing came of the two that were not sampled


@pytest.mark.parametrize("ingress", INGRESSES)
def test_without_a_client_that_traces_the_share_does(
    make_router: MakeRouter, receiver: OtlpReceiver, ingress: str
) -> None:
    router = make_router(
        traced(receiver.endpoint, 1.0), "--set", f"server.ingress={ingress}", "--set", "server.threads=2"
    )
    with Client(router.address) as client, ThreadPoolExecutor(8) as pool:
        for answer in pool.map(lambda _: client.infer("doubler", {"x": ROW})["y"], range(40)):
            np.testing.assert_array_equal(answer, ROW * 2)
    ask(router, ("traceparent", UNSAMPLED))
    router.stop()

    requests = [
        span
        for span in receiver.spans
        if span.service == "digits" and span.attributes.get("rpc.method") and not span.attributes.get("mark.worker")
    ]
    batches = [span for span in receiver.spans if (span.service, span.name) == ("digits", "mark.batch")]
    assert len(requests) == len({span.trace_id for span in requests}) == 40
    assert all(span.parent_id == "" for span in requests)
    linked = [link for span in batches for link in span.links]
    assert sorted(linked) == sorted(span.span_id for span in requests)
    assert sum(span.attributes["mark.batch.requests"] for span in batches) == 40


@pytest.mark.parametrize("ingress", INGRESSES)
def test_a_worker_by_itself_samples_a_share_of_its_own(tmp_path: Path, receiver: OtlpReceiver, ingress: str) -> None:
    process = subprocess.Popen(
        [
            sys.executable, "-m", "mark", "worker", "doubler_model:make", "--runtime", "python", "--name", "doubler",
            "--input", "x:FP32:-1,4", "--output", "y:FP32:-1,4", "--address", "127.0.0.1:0", "--ingress", ingress,
            "--trace-endpoint", receiver.endpoint, "--trace-share", "1", "--trace-service", "alone",
        ],
        stdout=subprocess.PIPE, text=True, env=environment(tmp_path),
    )  # fmt: skip
    assert process.stdout is not None
    with process.stdout as stdout:
        address = stdout.readline().strip().rpartition(" at ")[2]
        with grpc.insecure_channel(address) as channel:
            channel.unary_unary(messages.MODEL_INFER)(REQUEST, timeout=5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0

    assert sorted(span.name for span in receiver.spans) == [
        "inference.GRPCInferenceService/ModelInfer", "mark.batch", "mark.compute", "mark.queue",
    ]  # fmt: skip
    assert {span.service for span in receiver.spans} == {"alone"}
    assert len({span.trace_id for span in receiver.spans}) == 1


def test_a_request_that_fails_is_an_error_of_its_spans(make_router: MakeRouter, receiver: OtlpReceiver) -> None:
    router = make_router(traced(receiver.endpoint, 0.0))
    beast = np.array([[666.0, 0.0, 0.0, 0.0]], dtype=np.float32)
    with pytest.raises(grpc.RpcError, match="cannot double a beast"):
        ask(
            router,
            ("traceparent", PARENT),
            request=write_infer_request("doubler", "", "", [("x", "FP32", (1, 4), beast)], []),
        )
    router.stop()

    assert {span.name for span in receiver.spans if span.is_error} >= {
        "inference.GRPCInferenceService/ModelInfer", "mark.batch",
    }  # fmt: skip


@pytest.mark.parametrize("ingress", INGRESSES)
def test_a_worker_of_others_is_told_of_the_trace(
    make_router: MakeRouter, receiver: OtlpReceiver, foreign: tuple[str, list[dict[str, Any]]], ingress: str
) -> None:
    address, seen = foreign
    config = "".join(
        line
        for line in CONFIG.splitlines(keepends=True)
        if not line.lstrip().startswith(("runtime", "source", "profiles"))
    )
    config += f"    workers: [{{address: '{address}', profile: [[1, 8.0], [8, 16.0]]}}]\n"
    router = make_router(traced(receiver.endpoint, 0.0, config), "--set", f"server.ingress={ingress}")
    ask(router, ("traceparent", PARENT), ("tracestate", "vendor=1"))
    ask(router)

    batch = named(receiver.until(lambda spans: len(spans) >= 3), "digits", "mark.batch")
    traced_call, plain_call = seen
    assert traced_call["traceparent"] == f"00-{TRACE_ID}-{batch.span_id}-01"
    assert traced_call["tracestate"] == "vendor=1"
    assert "traceparent" not in plain_call


@pytest.fixture
def foreign() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server of the protocol that is not ours: its address, and the metadata of each inference."""
    seen: list[dict[str, Any]] = []

    class Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
            if call.method == messages.MODEL_READY:
                ready = messages.ModelReadyResponse(ready=True).SerializeToString()
                return grpc.unary_unary_rpc_method_handler(lambda request, context: ready)
            if call.method != messages.MODEL_INFER:
                return None
            seen.append(dict(call.invocation_metadata))
            return grpc.unary_unary_rpc_method_handler(_doubled)

    server = grpc.server(ThreadPoolExecutor(2), handlers=(Handlers(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}", seen
    server.stop(None).wait()


def _doubled(request: bytes, context: grpc.ServicerContext) -> bytes:
    asked = messages.ModelInferRequest.FromString(request)
    doubled = np.frombuffer(asked.raw_input_contents[0], np.float32) * 2
    answer = messages.ModelInferResponse(model_name=asked.model_name, model_version="1", id=asked.id)
    answer.outputs.add(name="y", datatype="FP32", shape=asked.inputs[0].shape)
    answer.raw_output_contents.append(doubled.tobytes())
    return bytes(answer.SerializeToString())


@pytest.mark.parametrize("ingress", INGRESSES)
def test_a_function_continues_the_trace_that_no_worker_could_answer(
    make_router: MakeRouter, receiver: OtlpReceiver, ingress: str
) -> None:
    # A worker that would take longer than may be: all goes to a function, which has time to start, too.
    config = CONFIG.replace("rt_max_ms: 2000", "rt_max_ms: 20000").replace("[[1, 4.0], [8, 8.0]]", "[[1, 15000.0]]")
    config += "    serverless: {price_usd_per_gb_s: 0.001, latency_ms: 400, concurrency_max: 2, keep_warm: 1}\n"
    router = make_router(traced(receiver.endpoint, 0.0, config), "--set", f"server.ingress={ingress}")
    with grpc.insecure_channel(router.address) as channel:
        channel.unary_unary(messages.MODEL_INFER)(REQUEST, timeout=10, metadata=[("traceparent", PARENT)])

    wanted = {("digits", "mark.function"), ("digits", RPC), ("digits-worker", RPC), ("digits-worker", "mark.compute")}
    spans = receiver.until(lambda spans: wanted <= {(span.service, span.name) for span in spans})

    function = named(spans, "digits", "mark.function")
    request = named(spans, "digits", RPC)
    served = named(spans, "digits-worker", RPC)
    assert function.parent_id == request.span_id
    assert served.parent_id == function.span_id
    assert {span.trace_id for span in spans} == {TRACE_ID}


def test_a_receiver_that_is_not_there_costs_no_answer_and_is_told_once(make_router: MakeRouter) -> None:
    with OtlpReceiver() as gone:
        endpoint = gone.endpoint
    router = make_router(traced(endpoint, 1.0))
    deadline_s = time.monotonic() + 60
    while counts_of(router).get("traced_spans_failed", 0) == 0:
        ask(router)
        assert time.monotonic() < deadline_s
        time.sleep(0.05)  # between two looks
    assert router.stop(signal.SIGTERM) == 0

    told = [line for line in router.log.read_text(encoding="utf-8").splitlines() if "traces:" in line]
    assert len(told) == 1
    assert "does not take spans" in told[0]
    assert "UNAVAILABLE" in told[0]
