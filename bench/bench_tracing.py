"""What tracing costs, where none is sampled and where one in a hundred is: a router's CPU for a request, in one run.

Router and worker run on core 0 and the load on core 1. Slices of the load take turns between a router without tracing
and one with it, so that what else the machine does touches both; CPU time says more than rates do where that is much.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from bench.noop_servers import Process, closed_loop, router_process, worker_process
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pytest_benchmark.fixture import BenchmarkFixture

from mark import _core

pytestmark = [
    pytest.mark.skipif(not _core.native_available, reason="built without the native data plane"),
    pytest.mark.timeout(600),
]

IN_FLIGHT = 64
NONE_SAMPLED_MAX = 1.03
# Of 50,000 requests a second these are 1,500 spans a second, 30 microseconds each to make and to export.
ONE_IN_A_HUNDRED_MAX = 1.15
QUICK_MAX = 1.5  # of a moment
QUICK_ROUNDS_MAX = 8
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


def spent_s(router: Process) -> float:
    times = psutil.Process(router.process.pid).cpu_times()
    return float(times.user + times.system)


def ratio_of(request_us: dict[str, list[float]]) -> float:
    """How many times the CPU time without tracing that with it is, as the median of the rounds."""
    both = zip(request_us["traced"], request_us["plain"], strict=True)
    return statistics.median(traced_us / plain_us for traced_us, plain_us in both)


@pytest.mark.parametrize(("share", "ratio_max"), [(0.0, NONE_SAMPLED_MAX), (0.01, ONE_IN_A_HUNDRED_MAX)])
def test_tracing_costs_little(
    benchmark: BenchmarkFixture, tmp_path: Path, receiver: Receiver, share: float, ratio_max: float
) -> None:
    seconds, rounds = (1.0, 15) if benchmark.enabled else (0.5, 2)
    rates_per_s: dict[str, list[float]] = {"plain": [], "traced": []}
    request_us: dict[str, list[float]] = {"plain": [], "traced": []}
    settings = (f"tracing.endpoint={receiver.endpoint}", f"tracing.sample_share={share}")
    with ExitStack() as stack:
        worker = stack.enter_context(worker_process("native", tmp_path, 0))
        plain = stack.enter_context(router_process("native", worker, tmp_path, 0))
        traced = stack.enter_context(router_process("native", worker, tmp_path, 0, settings=settings))
        for router in (plain, traced):
            closed_loop(router.address, IN_FLIGHT, 0.3, core=1)

        def run() -> None:
            for name, router in (("plain", plain), ("traced", traced)):
                before_s = spent_s(router)
                rate_per_s, requests = closed_loop(router.address, IN_FLIGHT, seconds, core=1)
                rates_per_s[name].append(rate_per_s)
                request_us[name].append((spent_s(router) - before_s) * 1e6 / requests)

        benchmark.pedantic(run, rounds=rounds)  # type: ignore[no-untyped-call]  # pytest-benchmark has no types
        # Caches that somebody else fills cost CPU time, too, but not in most of the rounds.
        while benchmark.disabled and ratio_of(request_us) >= QUICK_MAX and len(request_us["plain"]) < QUICK_ROUNDS_MAX:
            run()
    ratio = ratio_of(request_us)
    benchmark.extra_info.update(ratio=ratio, request_us=request_us, rates_per_s=rates_per_s, spans=receiver.spans)
    assert (receiver.spans > 0) is (share > 0)
    if not _core.assertions_enabled:  # a core to be debugged is for no comparison
        assert ratio < (ratio_max if benchmark.enabled else QUICK_MAX)
