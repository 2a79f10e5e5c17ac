"""Workers die, routers are stopped, ports are taken: nothing is lost and nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import grpc
import numpy as np
import psutil
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub
from integration.router_process import (
    CONFIG,
    RouterProcess,
    assert_nothing_left,
    environment,
    start_router,
    until,
    workers_started_in,
)

from mark import AsyncClient, Client
from mark.errors import DeadlineExceeded, Overloaded, RequestError, Unavailable

ROW = np.array([[1.0, 2.0, 3.0, 4.0]], dtype=np.float32)
HELD = np.array([[-3.0, 0.0, 0.0, 0.0]], dtype=np.float32)  # until it is let go
# For what is to be answered however long the test takes.
PATIENT = CONFIG.replace("rt_max_ms: 2000", "rt_max_ms: 60000")


def run_mark(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself, and leaves no worker behind."""
    done = subprocess.run(
        [sys.executable, "-m", "mark", *arguments],
        capture_output=True, text=True, timeout=60, env=environment(folder), check=False,
    )  # fmt: skip
    assert workers_started_in(folder) == []
    return done


def test_ten_thousand_requests_while_workers_are_killed_each_end_exactly_once(make_router) -> None:  # type: ignore[no-untyped-def]
    router: RouterProcess = make_router(CONFIG)
    endings: Counter[str] = Counter()
    wrong = 0
    chooser = random.Random(1)
    killed = 0
    killing = threading.Lock()

    def kill_one() -> None:
        """Where two serve: who is killed alone proves nothing about the other."""
        nonlocal killed
        with killing:  # until the router knows of it
            ready = router.wait_ready(2)
            chooser.choice(router.workers).kill()
            until(lambda: router.ready() != ready)
            killed += 1

    async def ask(client: AsyncClient, number: int, gate: asyncio.Semaphore) -> None:
        nonlocal wrong
        rows = np.full((1, 4), 1000 + number, dtype=np.float32)
        async with gate:
            if number in {2_500, 5_000, 7_500}:
                await asyncio.to_thread(kill_one)
            try:
                outputs = await client.infer("doubler", {"x": rows})
            except (Unavailable, DeadlineExceeded, Overloaded) as error:
                endings[type(error).__name__] += 1
            else:
                endings["answered"] += 1
                wrong += not np.array_equal(outputs["y"], 2 * rows)

    async def ask_all() -> None:
        gate = asyncio.Semaphore(64)
        async with AsyncClient(router.address) as client:
            await asyncio.gather(*(ask(client, number, gate) for number in range(10_000)))

    asyncio.run(ask_all())

    assert killed == 3
    assert wrong == 0
    assert sum(endings.values()) == 10_000
    print(dict(endings), "workers killed", killed)
    assert endings["answered"] >= 9_900, endings
    assert router.status().models[0].queued == 0
    assert router.status().models[0].in_flight == 0


def test_a_request_in_flight_on_a_killed_worker_is_answered_by_another(make_router) -> None:  # type: ignore[no-untyped-def]
    router: RouterProcess = make_router(PATIENT)
    with Client(router.address) as client:
        answer: list[np.ndarray] = []
        asking = threading.Thread(target=lambda: answer.append(client.infer("doubler", {"x": HELD})["y"]))
        asking.start()
        holder = router.wait_held()
        assert router.status().models[0].in_flight == 1
        psutil.Process(holder).kill()
        router.let_go()
        asking.join(60)

    assert len(answer) == 1
    np.testing.assert_array_equal(answer[0], 2 * HELD)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_stopping_router_answers_what_is_in_flight(make_router, signum: signal.Signals) -> None:  # type: ignore[no-untyped-def]
    router: RouterProcess = make_router(PATIENT)
    workers = router.workers
    with Client(router.address) as client:
        answer: list[np.ndarray] = []
        asking = threading.Thread(target=lambda: answer.append(client.infer("doubler", {"x": HELD})["y"]))
        asking.start()
        router.wait_held()
        router.process.send_signal(signum)
        router.wait_said("draining")
        router.let_go()
        exit_code = router.wait()
        asking.join(10)

    assert exit_code == 0
    assert len(answer) == 1
    assert_nothing_left(workers)
    # Two workers at an hourly price of some cents, for seconds.
    (spent_usd,) = re.findall(r"stopped; instances and functions have cost \$(0\.\d{6})", router.log.read_text("utf-8"))
    assert 0.0 < float(spent_usd) < 0.01


@pytest.mark.parametrize("both_before_it_acts", [False, True])
def test_a_second_signal_stops_at_once_and_still_leaves_nothing(  # type: ignore[no-untyped-def]
    make_router, both_before_it_acts: bool
) -> None:
    router: RouterProcess = make_router(PATIENT.replace("drain_s: 5", "drain_s: 60"))
    workers = router.workers
    endings: list[str] = []

    def ask(client: Client) -> None:
        try:
            client.infer("doubler", {"x": HELD})
        except RequestError as error:
            endings.append(type(error).__name__)

    with Client(router.address) as client:
        asking = threading.Thread(target=ask, args=(client,))
        asking.start()
        router.wait_held()  # for good
        if both_before_it_acts:
            router.process.send_signal(signal.SIGSTOP)
            router.process.send_signal(signal.SIGTERM)
            router.process.send_signal(signal.SIGINT)
            exit_code = router.stop(signal.SIGCONT)
        else:
            router.process.send_signal(signal.SIGTERM)
            router.wait_said("draining")
            exit_code = router.stop(signal.SIGINT)
        asking.join(10)

    assert exit_code == 130
    assert endings == ["Unavailable"]
    assert "Traceback" not in router.log.read_text(encoding="utf-8")
    assert_nothing_left(workers)


@pytest.mark.parametrize("doing", ["measuring a profile", "booting"])
def test_one_signal_is_enough_before_it_serves(tmp_path: Path, doing: str) -> None:
    config = CONFIG.replace("model:make", "model:endless")
    if doing == "measuring a profile":
        config = config.replace("    profiles: {small: [[1, 4.0], [8, 8.0]]}\n", "")
    (tmp_path / "mark.yaml").write_text(config, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-m", "mark", "serve", str(tmp_path / "mark.yaml")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(tmp_path),
    ) as router:  # fmt: skip
        while not workers_started_in(tmp_path):
            assert router.poll() is None
        workers = workers_started_in(tmp_path)
        router.send_signal(signal.SIGTERM)
        said, complained = router.communicate(timeout=30)

    assert router.returncode == 0, complained
    assert said == ""
    assert "Traceback" not in complained
    assert_nothing_left(workers)


def refuses(client: Client) -> bool:
    try:
        client.infer("doubler", {"x": ROW})
    except Unavailable:
        return True
    return False


def test_a_second_signal_while_it_releases_skips_nothing(make_router) -> None:  # type: ignore[no-untyped-def]
    router: RouterProcess = make_router(CONFIG)
    workers = router.workers
    with grpc.insecure_channel(router.address) as channel:
        # An open stream makes gRPC's own stop take its time.
        watching = HealthStub(channel).Watch(HealthCheckRequest())
        next(watching)
        router.process.send_signal(signal.SIGINT)
        router.wait_said("draining")
        with Client(router.address) as client:
            while not refuses(client):  # until it has drained, for which it has nothing to do
                pass
        exit_code = router.stop(signal.SIGINT)

    assert exit_code in {0, 130}
    assert_nothing_left(workers)
    assert workers_started_in(router.log.parent) == []


def test_a_killed_router_leaves_no_worker_and_no_file(tmp_path: Path) -> None:
    router = start_router(CONFIG, tmp_path)
    workers = router.workers
    assert {worker.pid for worker in workers} == {worker.pid for worker in workers_started_in(tmp_path)}
    bound = {str(connection.laddr) for worker in workers for connection in worker.net_connections("unix")}
    sockets = [Path(address) for address in bound if address.startswith("/")]

    router.stop(signal.SIGKILL)

    assert sockets  # of the workers that have come as far; the others are in the middle of their boot
    assert_nothing_left(workers)
    assert not [socket for socket in sockets if socket.exists()]
    assert not sockets[0].parent.exists()


class TestOneLineAndExitCodeTwo:
    def test_a_port_in_use(self, tmp_path: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            (tmp_path / "mark.yaml").write_text(CONFIG, encoding="utf-8")
            done = run_mark(
                tmp_path, "serve", str(tmp_path / "mark.yaml"), "--set", f"server.port={taken.getsockname()[1]}"
            )

        self.assert_one_line(done, "in use")

    def test_a_missing_model_file(self, tmp_path: Path) -> None:
        text = CONFIG.replace("runtime: python", "runtime: torchscript").replace("doubler_model:make", "absent.pt")
        (tmp_path / "mark.yaml").write_text(text, encoding="utf-8")

        self.assert_one_line(
            run_mark(tmp_path, "serve", str(tmp_path / "mark.yaml"), "--log-level", "error"), "absent.pt"
        )

    def test_a_model_that_fails_to_load(self, tmp_path: Path) -> None:
        (tmp_path / "mark.yaml").write_text(CONFIG.replace("model:make", "model:broken"), encoding="utf-8")

        done = run_mark(tmp_path, "serve", str(tmp_path / "mark.yaml"), "--log-level", "error")

        self.assert_one_line(done, "no such weights")

    def test_a_mistake_in_the_configuration(self, tmp_path: Path) -> None:
        (tmp_path / "mark.yaml").write_text(CONFIG.replace("rt_max_ms", "rt_mx_ms"), encoding="utf-8")

        done = run_mark(tmp_path, "serve", str(tmp_path / "mark.yaml"))

        assert done.returncode == 2
        assert "did you mean 'rt_max_ms'?" in done.stderr

    def test_an_slo_that_no_offering_meets(self, tmp_path: Path) -> None:
        (tmp_path / "mark.yaml").write_text(CONFIG.replace("rt_max_ms: 2000", "rt_max_ms: 6"), encoding="utf-8")

        self.assert_one_line(run_mark(tmp_path, "serve", str(tmp_path / "mark.yaml")), "no offering answers")

    def assert_one_line(self, done: subprocess.CompletedProcess[str], words: str) -> None:
        assert done.returncode == 2, done.stderr
        assert words in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_a_foreign_worker_that_does_not_answer_is_named(tmp_path: Path) -> None:
    config = CONFIG.replace("    runtime: python\n    source: doubler_model:make\n", "").replace(
        "    profiles: {small: [[1, 4.0], [8, 8.0]]}",
        "    workers: [{address: '127.0.0.1:1', profile: [[1, 8.0], [8, 16.0]]}]",
    )
    (tmp_path / "mark.yaml").write_text(config, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-m", "mark", "serve", str(tmp_path / "mark.yaml")],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment(tmp_path),
    ) as router:  # fmt: skip
        assert router.stderr is not None
        line = next(said for said in router.stderr if "worker" in said)
        router.stderr.close()  # and nobody to read what it says to the signal
        router.terminate()

    assert router.returncode == 0
    assert "worker 127.0.0.1:1: UNAVAILABLE" in line


def test_a_model_without_instances_is_served_once_it_is_asked_for(make_router) -> None:  # type: ignore[no-untyped-def]
    router: RouterProcess = make_router(CONFIG.replace("min_instances: 2", "min_instances: 0"))
    assert router.workers == []

    with Client(router.address) as client:

        def is_answered() -> bool:
            with contextlib.suppress(DeadlineExceeded, Overloaded):
                np.testing.assert_array_equal(client.infer("doubler", {"x": ROW})["y"], 2 * ROW)
                return True
            return False

        assert not client.is_ready()
        until(is_answered)

    assert len(router.workers) == 1


def test_a_foreign_server_of_the_protocol_is_a_worker_like_any_other(make_router) -> None:  # type: ignore[no-untyped-def]
    first: RouterProcess = make_router(CONFIG)
    second: RouterProcess = make_router(
        CONFIG.replace("    runtime: python\n    source: doubler_model:make\n", "").replace(
            "    profiles: {small: [[1, 4.0], [8, 8.0]]}",
            f"    workers: [{{address: '{first.address}', profile: [[1, 8.0], [8, 16.0]]}}]",
        )
    )

    with Client(second.address) as client:
        np.testing.assert_array_equal(client.infer("doubler", {"x": ROW})["y"], 2 * ROW)
        first.stop()
        with pytest.raises(RequestError):
            client.infer("doubler", {"x": ROW}, deadline_ms=300)
