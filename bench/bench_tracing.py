"""What tracing costs those who are not sampled, and those of whom one in a hundred is: rates within one run.

Router and worker run on core 0 and the load on core 1. Slices of the load take turns between a router without tracing
and one with it, so that what else the machine does touches both.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from bench.noop_servers import closed_loop, router_process, worker_process
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pytest_benchmark.fixture import BenchmarkFixture

from mark import _core

pytestmark = [
    pytest.mark.skipif(not _core.native_available, reason="built without the native data plane"),
    pytest.mark.timeout(600),
]

IN_FLIGHT = 64
NONE_SAMPLED_MIN = 0.97
ONE_IN_A_HUNDRED_MIN = 0.9
QUICK_MIN = 0.7  # of a moment, or on a machine where much else runs
_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class Receiver:
    """Takes spans of OTLP, and counts them."""

    def __init__(self) -> None:
        self.spans = 0
        self._server = grpc.server(ThreadPoolExecutor(1), handlers=(self,))
        self.endpoint = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return grpc.unary_unary_rpc_method_handler(self._take) if call.method == _EXPORT else None

    def _take(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        request: Any = ExportTraceServiceRequest.FromString(message)
        self.spans += sum(len(scope.spans) for each in request.resource_spans for scope in each.scope_spans)
        return b""

    def stop(self) -> None:
        self._server.stop(None).wait()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.stop()


@pytest.mark.parametrize(("share", "ratio_min"), [(0.0, NONE_SAMPLED_MIN), (0.01, ONE_IN_A_HUNDRED_MIN)])
def test_tracing_costs_little(
    benchmark: BenchmarkFixture, tmp_path: Path, receiver: Receiver, share: float, ratio_min: float
) -> None:
    seconds, rounds = (1.0, 15) if benchmark.enabled else (0.5, 2)
    rates_per_s: dict[str, list[float]] = {"plain": [], "traced": []}
    settings = (f"tracing.endpoint={receiver.endpoint}", f"tracing.sample_share={share}")
    with ExitStack() as stack:
        worker = stack.enter_context(worker_process("native", tmp_path, 0))
        plain = stack.enter_context(router_process("native", worker, tmp_path, 0))
        traced = stack.enter_context(router_process("native", worker, tmp_path, 0, settings=settings))
        for router in (plain, traced):
            closed_loop(router.address, IN_FLIGHT, 0.3, core=1)

        def run() -> None:
            for name, router in (("plain", plain), ("traced", traced)):
                rates_per_s[name].append(closed_loop(router.address, IN_FLIGHT, seconds, core=1)[0])

        benchmark.pedantic(run, rounds=rounds)  # type: ignore[no-untyped-call]  # pytest-benchmark has no types
    ratio = statistics.median(
        traced / plain for traced, plain in zip(rates_per_s["traced"], rates_per_s["plain"], strict=True)
    )
    benchmark.extra_info.update(ratio=ratio, rates_per_s=rates_per_s, spans=receiver.spans)
    assert (receiver.spans > 0) is (share > 0)
    if not _core.assertions_enabled:  # a core to be debugged is for no comparison
        assert ratio > (ratio_min if benchmark.enabled else QUICK_MIN)
