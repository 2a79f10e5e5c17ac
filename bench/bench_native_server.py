"""The native data plane as processes: against grpcio, with idle connections by the thousand, and over many requests.

Servers run on core 0 and the load, which is mark's own generator, on core 1, but where threads are compared: there all
have all cores, and the load takes next to nothing. Rates are compared within one run; what else the machine does lowers
them, and the ratios hardly. MARK_BENCH_REQUESTS=10000000 is how many requests memory is watched over.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import psutil
import pytest
from bench.noop_servers import BENCH, CORES, REQUEST, Process, closed_loop, router_process, worker_process
from pytest_benchmark.fixture import BenchmarkFixture

from mark import _core

pytestmark = [
    pytest.mark.skipif(not _core.native_available, reason="built without the native data plane"),
    pytest.mark.timeout(600),
]

MIB = 1 << 20
INGRESSES = ("native", "grpcio")
IN_FLIGHT = 64
TIMES_GRPCIO_MIN = 5.0
TIMES_GRPCIO_QUICK_MIN = 2.0  # of seconds on a machine where much else runs
QUICK_ROUNDS_MAX = 7

IDLE_CONNECTIONS = 10_000
IDLE_RSS_MAX = 300 * MIB
# The connection preface, and an empty SETTINGS frame.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)

REQUESTS = int(os.environ.get("MARK_BENCH_REQUESTS", "200000"))
GROWN_MAX = 4 * MIB
# What serving at full rate comes to occupy once: queues, and what the allocator keeps.
WARM_UP = 0.25


def compared(benchmark: BenchmarkFixture, addresses: dict[str, str]) -> float:
    """How many times grpcio's rate native answers, as the median of rounds that have both."""
    seconds, rounds = (3.0, 5) if benchmark.enabled else (1.0, 1)
    rates_per_s: dict[str, list[float]] = {ingress: [] for ingress in INGRESSES}
    for address in addresses.values():
        closed_loop(address, IN_FLIGHT, 0.2, core=1)

    def run() -> None:
        for ingress, address in addresses.items():
            rates_per_s[ingress].append(closed_loop(address, IN_FLIGHT, seconds, core=1)[0])

    def ratio() -> float:
        both = zip(rates_per_s["native"], rates_per_s["grpcio"], strict=True)
        return statistics.median(native / grpcio for native, grpcio in both)

    benchmark.pedantic(run, rounds=rounds)  # type: ignore[no-untyped-call]  # pytest-benchmark has no types
    if not benchmark.enabled and not _core.assertions_enabled:
        # Whoever else was there while native had its turn is not there in most of the rounds.
        while ratio() <= TIMES_GRPCIO_QUICK_MIN and len(rates_per_s["native"]) < QUICK_ROUNDS_MAX:
            run()
    benchmark.extra_info.update(times_grpcio=ratio(), rates_per_s=rates_per_s)
    return ratio()


def check_ratio(benchmark: BenchmarkFixture, ratio: float) -> None:
    if not _core.assertions_enabled:  # a core to be debugged is for no comparison
        assert ratio > (TIMES_GRPCIO_MIN if benchmark.enabled else TIMES_GRPCIO_QUICK_MIN)


def test_a_native_worker_answers_several_times_what_one_by_grpcio_does(
    benchmark: BenchmarkFixture, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        workers = {ingress: stack.enter_context(worker_process(ingress, tmp_path, 0)) for ingress in INGRESSES}
        ratio = compared(benchmark, {ingress: worker.address for ingress, worker in workers.items()})

    check_ratio(benchmark, ratio)


def test_a_native_router_and_its_worker_on_one_core_answer_several_times_what_grpcio_does(
    benchmark: BenchmarkFixture, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        routers = {
            ingress: stack.enter_context(
                router_process(ingress, stack.enter_context(worker_process(ingress, tmp_path, 0)), tmp_path, 0)
            )
            for ingress in INGRESSES
        }
        ratio = compared(benchmark, {ingress: router.address for ingress, router in routers.items()})

    check_ratio(benchmark, ratio)


@pytest.fixture
def files_max() -> Iterator[int]:
    """As many open files as this user may have, for this process and those that it starts."""
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY:
        most = 65_536
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    yield most
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


@contextmanager
def idle_connections(address: str, count: int) -> Iterator[list[socket.socket]]:
    """HTTP/2 connections that said hello, heard the server's hello, and say nothing more."""
    host, _, port = address.rpartition(":")
    with ExitStack() as stack:
        opened = []
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
            connection.sendall(PREFACE)
            opened.append(connection)
        for connection in opened:
            assert connection.recv(9)[3] == 4  # SETTINGS
        yield opened


def is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        while data := connection.recv(4096):
            if data[3:4] == b"\x07":  # GOAWAY
                return False
    except BlockingIOError:
        return True
    return False


@pytest.mark.parametrize("kind", ["worker", "router"])
def test_ten_thousand_idle_connections_take_little_memory(
    benchmark: BenchmarkFixture, tmp_path: Path, files_max: int, kind: str
) -> None:
    count = min(IDLE_CONNECTIONS, files_max - 500)
    with ExitStack() as stack:
        server = stack.enter_context(worker_process("native", tmp_path, 0))
        if kind == "router":
            server = stack.enter_context(router_process("native", server, tmp_path, 0))
        before = server.rss_bytes()

        def run() -> int:
            with idle_connections(server.address, count) as connections:
                closed_loop(server.address, IN_FLIGHT, 0.5, core=1)  # others are served meanwhile
                assert all(map(is_open, connections))
                return server.rss_bytes()

        occupied = benchmark.pedantic(run, rounds=1)  # type: ignore[no-untyped-call]
        closed_loop(server.address, IN_FLIGHT, 0.2, core=1)

    benchmark.extra_info.update(
        connections=count, rss_mib=occupied / MIB, bytes_each=(occupied - before) / count, rss_before_mib=before / MIB
    )
    assert occupied < IDLE_RSS_MAX


def test_memory_is_flat_over_many_requests(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    sent = 0

    def send(requests: float) -> None:
        nonlocal sent
        until = sent + requests
        while sent < until:  # over new connections each time: these leave nothing behind either
            sent += closed_loop(router.address, IN_FLIGHT, 1.0, core=1)[1]

    def rss_bytes() -> dict[str, int]:
        return {"router": router.rss_bytes(), "worker": worker.rss_bytes()}

    with worker_process("native", tmp_path, 0) as worker, router_process("native", worker, tmp_path, 0) as router:
        send(WARM_UP * REQUESTS)
        before = rss_bytes()
        benchmark.pedantic(lambda: send(REQUESTS), rounds=1)  # type: ignore[no-untyped-call]
        after = rss_bytes()

    grown = {name: after[name] - before[name] for name in before}
    benchmark.extra_info.update(requests=sent, rss_mib={n: each / MIB for n, each in after.items()}, grown_bytes=grown)
    assert max(grown.values()) < GROWN_MAX, grown


def idle_cores() -> float:
    """Cores that nothing else uses, as of now."""
    psutil.cpu_percent()
    time.sleep(0.5)
    return len(CORES) * (1.0 - psutil.cpu_percent() / 100.0)


@pytest.fixture(scope="module")
def frames() -> Path:
    """The client that takes a server's cores next to nothing."""
    cmake = shutil.which("cmake")
    if cmake is None:
        pytest.fail("cmake is not on the path; activate the project's virtual environment")
    root = BENCH.parent
    subprocess.run([cmake, "--preset", "release"], cwd=root, check=True, capture_output=True)
    build = [cmake, "--build", "--preset", "release", "--target", "bench_grpc_frames"]
    subprocess.run(build, cwd=root, check=True, capture_output=True)
    return root / "build" / "release" / "csrc" / "bench" / "bench_grpc_frames"


def thread_us(pid: int) -> dict[str, float]:
    """CPU time of each thread."""
    return {
        task.name: int((task / "schedstat").read_text(encoding="ascii").split()[0]) / 1e3
        for task in Path(f"/proc/{pid}/task").iterdir()
    }


@dataclass(frozen=True, slots=True)
class Slice:
    """What one slice of load showed; times are of one request."""

    rate_per_s: float
    router_us: float
    busiest_us: float  # of the router's thread that has the most to do: no more than 1 / it are answered
    load_us: float


def measured(router: Process, frames: Path, message: Path, seconds: float) -> Slice:
    before = thread_us(router.process.pid)
    command = [str(frames), router.address, str(message), str(4 * IN_FLIGHT), str(seconds), "8"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # fails unless all answers are right
    load: dict[str, float] = json.loads(done.stdout)
    after = thread_us(router.process.pid)
    spent = [us - before.get(thread, 0.0) for thread, us in after.items()]
    requests = load["answered"]
    return Slice(load["answered_per_s"], sum(spent) / requests, max(spent) / requests, load["cpu_us_per_request"])


def test_rates_grow_with_the_ingress_threads(benchmark: BenchmarkFixture, tmp_path: Path, frames: Path) -> None:
    seconds, rounds = (2.0, 7) if benchmark.enabled else (0.5, 1)
    free = idle_cores()
    message = tmp_path / "message"
    message.write_bytes(REQUEST)
    slices: dict[int, list[Slice]] = {1: [], 2: []}

    with ExitStack() as stack:
        # All of them have both cores, or all there are: what one does not take, another has.
        everywhere = range(len(CORES))
        worker = stack.enter_context(worker_process("native", tmp_path, *everywhere))
        routers = {
            threads: stack.enter_context(router_process("native", worker, tmp_path, *everywhere, threads=threads))
            for threads in slices
        }
        for router in routers.values():
            measured(router, frames, message, 0.3)

        def run() -> None:
            for threads, router in routers.items():
                slices[threads].append(measured(router, frames, message, seconds))

        benchmark.pedantic(run, rounds=rounds)  # type: ignore[no-untyped-call]

    def times(figure: Callable[[Slice], float]) -> float:
        return statistics.median(figure(two) / figure(one) for one, two in zip(slices[1], slices[2], strict=True))

    ratio = times(lambda each: each.rate_per_s)
    capacity = times(lambda each: 1.0 / each.busiest_us)
    benchmark.extra_info.update(
        ratio=ratio,
        capacity=capacity,
        idle_cores=free,
        **{
            f"{field.name}_of_{threads}": statistics.median(getattr(each, field.name) for each in found)
            for threads, found in slices.items()
            for field in fields(Slice)
        },
    )
    # Router, worker and load fill two cores with one thread already: there is room for a second where there are more.
    if benchmark.enabled and free > 3.5 and not _core.assertions_enabled:
        assert ratio > 1.0
