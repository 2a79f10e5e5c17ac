"""The router as a process: against a bare echo on the same core, against its own worker, and doing nothing.

Each with worker and router of either ingress. Server processes run on core 0, worker and load on core 1, so that the
router has one core to itself. The load is nghttp2's h2load (Debian: nghttp2-client), which costs a fraction of what a
Python client would.
"""

from __future__ import annotations

import json
import operator
import re
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import psutil
import pytest
from bench.noop_servers import BENCH, CORES, REQUEST, ROW, Process, answered, router_process, worker_process
from bench.undisturbed import undisturbed
from pytest_benchmark.fixture import BenchmarkFixture

from mark import Client
from mark._core import native_available, parse_infer_response
from mark.protocol import messages

INGRESSES = ["grpcio", *(["native"] if native_available else [])]
SHARE_OF_ECHO_MIN = 0.8
IDLE_SHARE_MAX = 0.01
TRIES_MAX = 3
TURNS_MAX = 12


@pytest.fixture(scope="module", params=INGRESSES)
def ingress(request: pytest.FixtureRequest) -> str:
    """What speaks HTTP/2 in worker and router."""
    return str(request.param)


@pytest.fixture(scope="module")
def worker(ingress: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with worker_process(ingress, tmp_path_factory.mktemp("worker"), 1) as started:
        yield started


@pytest.fixture(scope="module")
def router(ingress: str, worker: Process, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with router_process(ingress, worker, tmp_path_factory.mktemp("router"), 0) as started:
        yield started


@pytest.fixture(scope="module")
def echoes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Process]]:
    log = tmp_path_factory.mktemp("echo") / "log"
    started = {
        loop: Process((0,), str(BENCH / "echo_server.py"), f"--{loop}", log=log) for loop in ("asyncio", "uvloop")
    }
    yield started
    for process in started.values():
        process.end()


def h2load(address: str, folder: Path, seconds: int) -> tuple[float, int]:
    """Requests per second and requests in all, 64 in flight over 4 connections."""
    program = shutil.which("h2load")
    if program is None:
        pytest.fail("h2load is not on the path: apt-get install nghttp2-client")
    data = folder / "request.bin"
    data.write_bytes(b"\0" + len(REQUEST).to_bytes(4, "big") + REQUEST)
    command = [
        "taskset", "-c", str(CORES[1 % len(CORES)]), program, "-D", str(seconds), "-c", "4", "-m", "16", "-t", "1",
        "-H", "content-type: application/grpc", "-H", "te: trailers", "-d", str(data),
        f"http://{address}{messages.MODEL_INFER}",
    ]  # fmt: skip

    def run() -> tuple[float, int]:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rate = re.search(r"([\d.]+) req/s", done.stdout)
        counts = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed", done.stdout)
        assert rate is not None
        assert counts is not None
        assert counts[1] == counts[2]
        return float(rate[1]), int(counts[1])

    # On a busy machine it ends at times without having sent anything, and says no more than that.
    return undisturbed(run, lambda found: found[1] > 0, TRIES_MAX)


@pytest.mark.timeout(300)
def test_the_router_keeps_most_of_a_bare_echos_rate(
    benchmark: BenchmarkFixture, router: Process, echoes: dict[str, Process], tmp_path: Path
) -> None:
    seconds, rounds = (3, 5) if benchmark.enabled else (1, 1)
    rates_per_s: dict[str, list[float]] = {"router": [], "asyncio": [], "uvloop": []}

    def run() -> None:
        for loop, echo in echoes.items():
            rates_per_s[loop].append(h2load(echo.address, tmp_path, seconds)[0])
        before = answered(router)
        rate_per_s, requests = h2load(router.address, tmp_path, seconds)
        assert answered(router) - before >= requests  # h2load takes any HTTP 200 for a success
        rates_per_s["router"].append(rate_per_s)

    benchmark.pedantic(run, rounds=rounds)  # type: ignore[no-untyped-call]
    with Client(router.address) as client:
        np.testing.assert_array_equal(client.infer("noop", {"x": ROW})["y"], ROW)
    # The router runs on uvloop; the bare echo that it is held to is plain grpc.aio, the other is told for comparison.
    shares = {
        loop: statistics.median(map(operator.truediv, rates_per_s["router"], rates_per_s[loop])) for loop in echoes
    }
    benchmark.extra_info.update(share_of_echo=shares, rates_per_s=rates_per_s)
    if benchmark.enabled:
        assert shares["asyncio"] >= SHARE_OF_ECHO_MIN, json.dumps(rates_per_s)


def test_the_latency_that_the_router_adds_at_one_request_in_flight(
    benchmark: BenchmarkFixture, router: Process, worker: Process
) -> None:
    calls = 300 if benchmark.enabled else 100

    def latencies_ms(address: str) -> list[float]:
        with grpc.insecure_channel(address) as channel:
            infer = channel.unary_unary(messages.MODEL_INFER)
            taken = []
            for number in range(calls + 20):
                began_s = time.perf_counter()
                response = infer(REQUEST)
                if number >= 20:
                    taken.append((time.perf_counter() - began_s) * 1e3)
            assert parse_infer_response(response).tensors[0][3] == ROW.tobytes()
        return taken

    medians: dict[str, list[float]] = {"direct": [], "routed": []}

    def run() -> tuple[float, float]:
        for name, process in (("direct", worker), ("routed", router)) * 3:
            medians[name].append(statistics.median(latencies_ms(process.address)))
        # What else runs on the machine only ever adds, and may add to all calls of a turn.
        return min(medians["direct"]), min(medians["routed"])

    def is_little_added(found: tuple[float, float]) -> bool:
        direct, routed = found
        # One more hop of the same kind, and what the router does in between: never more than three of them.
        return routed - direct < 3 * direct

    found = benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda: undisturbed(run, is_little_added, TURNS_MAX), rounds=1
    )
    direct, routed = found
    added = routed - direct
    benchmark.extra_info.update(direct_ms=direct, routed_ms=routed, added_ms=added)
    assert is_little_added(found), medians


def test_an_idle_router_uses_next_to_no_cpu(benchmark: BenchmarkFixture, router: Process) -> None:
    seconds = 10.0 if benchmark.enabled else 5.0
    process = psutil.Process(router.process.pid)

    def share() -> float:
        before, began_s = process.cpu_times(), time.perf_counter()
        time.sleep(seconds)  # what is measured is that nothing happens
        after = process.cpu_times()
        return (after.user + after.system - before.user - before.system) / (time.perf_counter() - began_s)

    def is_little(share: float) -> bool:
        return share < IDLE_SHARE_MAX

    used = benchmark.pedantic(lambda: undisturbed(share, is_little, TRIES_MAX), rounds=1)  # type: ignore[no-untyped-call]
    benchmark.extra_info.update(cpu_share=used)
    assert is_little(used)
