"""The native load generator against grpcio's server: the same report as the generator that runs in Python."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import numpy as np
import pytest
from integration.router_process import RouterProcess

from mark import _core
from mark.cli.load import load
from mark.cli.load_run import LoadClient
from mark.domain.signature import ModelSignature, TensorSpec
from mark.errors import ConfigError, Overloaded
from mark.protocol.service import make_server
from mark.workload.native_load import AnswerCheck, NativeLoad
from mark.workload.report import CANCELLED, NOT_SENT, OK

pytestmark = pytest.mark.skipif(not _core.native_available, reason="built without the native data plane")


SIGNATURE = ModelSignature("m", "3", (TensorSpec("x", "FP32", (-1, 2)),), (TensorSpec("y", "FP32", (-1, 2)),), 8)


class Service:
    """Answers every call as its message says."""

    def __init__(self) -> None:
        self.arrived = 0
        self.three_arrived = asyncio.Event()
        self.twenty_arrived = asyncio.Event()

    async def server_live(self) -> bool:
        return True

    async def server_ready(self) -> bool:
        return True

    async def model_ready(self, name: str, version: str) -> bool:
        return True

    async def server_metadata(self) -> tuple[str, str]:
        return "stub", "0"

    async def model_metadata(self, name: str, version: str) -> ModelSignature:
        return SIGNATURE

    async def model_infer(self, request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        self.arrived += 1
        if self.arrived == 3:
            self.three_arrived.set()
        if self.arrived == 20:
            self.twenty_arrived.set()
        match request:
            case b"refuse":
                raise Overloaded("full", 120)
            case b"never":
                await asyncio.Event().wait()
            case b"together":
                await self.twenty_arrived.wait()
        return request


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def address(service: Service) -> AsyncIterator[str]:
    server, bound = await make_server("127.0.0.1:0", service)
    await server.start()
    yield bound
    await server.stop(0)


async def test_every_request_ends_once_and_the_kept_answers_are_checked(address: str) -> None:
    progress: list[int] = []
    run = NativeLoad(
        address, [b"a", b"refuse", b"c"], connections=2, check=AnswerCheck(lambda _, answer: answer != b"c", every=2)
    )

    report = await run.run(np.linspace(0, 0.3, 30), progress.append)

    assert report.statuses.count(OK) == 20
    assert report.statuses.count("Overloaded") == 10
    assert report.statuses[1] == "Overloaded"
    assert report.answers_wrong == 5  # of the ten, the half is kept
    assert progress[-1] == run.sent == 30
    np.testing.assert_allclose(report.instants_s, np.linspace(0, 0.3, 30), atol=1e-9)
    assert report.duration_s >= 0.3


async def test_it_does_not_wait_for_answers_and_counts_from_the_planned_instant(address: str) -> None:
    report = await NativeLoad(address, [b"together"]).run(np.linspace(0, 1.0, 20))

    assert report.statuses == (OK,) * 20
    assert report.latencies_ms[0] > report.latencies_ms[-1]
    assert report.latencies_ms[0] >= 1000.0


async def test_deadlines_and_the_bound_on_what_is_in_flight(address: str) -> None:
    report = await NativeLoad(address, [b"never"], deadline_ms=100, in_flight_max=3).run(np.zeros(5))

    assert report.statuses == ("DeadlineExceeded",) * 3 + (NOT_SENT,) * 2
    assert report.latencies_ms[0] >= 100.0


async def test_a_closed_loop_sends_when_an_answer_comes(address: str) -> None:
    report = await NativeLoad(address, [b"a"], connections=3).run_closed(8, 1.0)

    assert len(report.statuses) > 8
    assert set(report.statuses) == {OK}
    assert np.all(np.diff(report.instants_s) >= 0)
    assert report.as_dict(1000.0)["answered_per_s"] > 0


async def test_stop_ends_what_has_no_answer(service: Service, address: str) -> None:
    run = NativeLoad(address, [b"never"])
    running = asyncio.create_task(run.run(np.linspace(0, 10, 1000)))
    await service.three_arrived.wait()

    run.stop(grace_s=0.0)
    report = await running

    assert 3 <= len(report.statuses) < 1000
    assert set(report.statuses) == {CANCELLED}


async def test_a_cancelled_run_leaves_no_thread_behind(service: Service, address: str) -> None:
    run = NativeLoad(address, [b"never"])
    running = asyncio.create_task(run.run(np.linspace(0, 10, 1000)))
    await service.three_arrived.wait()

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    sent = run.sent
    await asyncio.sleep(0.05)
    assert run.sent == sent


async def test_nobody_at_the_address_and_an_address_of_another_form() -> None:
    report = await NativeLoad("127.0.0.1:1", [b"a"]).run(np.zeros(2))

    assert report.statuses == ("Unavailable",) * 2
    with pytest.raises(ConfigError, match='"dns:///there" has no port; write "host:port"'):
        NativeLoad("dns:///there", [b"a"])


@pytest.mark.parametrize("client", ["native", "grpcio"])
def test_mark_load_with_either_client(router: RouterProcess, client: str) -> None:
    report = _mark_load(router.address, "--rate", "100", "--duration-s", "0.5", "--client", client)

    assert report["by_status"] == {"OK": report["requests"]}
    assert report["requests"] > 20


def test_mark_load_in_a_closed_loop(router: RouterProcess) -> None:
    report = _mark_load(router.address, "--in-flight", "4", "--duration-s", "0.5", "--connections", "2")

    assert report["by_status"] == {"OK": report["requests"]}
    assert report["duration_s"] >= 0.5


async def test_an_interrupt_ends_mark_load_with_a_report(service: Service, address: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mark", "load", address, "--model", "m", "--rate", "50", "--duration-s", "600",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    await service.three_arrived.wait()

    process.send_signal(signal.SIGINT)
    stdout, _ = await process.communicate()

    report = json.loads(stdout)
    assert process.returncode == 0
    assert 3 <= report["by_status"]["OK"] < 30_000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"client": LoadClient.GRPCIO, "in_flight": 3}, "--in-flight: only the native client has it"),
        ({"client": LoadClient.GRPCIO, "connections": 3}, "--connections: only the native client has it"),
        ({"in_flight": 0}, "--in-flight must be from 1 to 1000000, not 0"),
        ({"connections": 0}, "--connections must be from 1 to"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load("127.0.0.1:1", "doubler", **options)


def test_without_the_native_data_plane_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_core, "native_available", False)

    with pytest.raises(ConfigError, match="--client native: this mark was built without its native data plane"):
        load("127.0.0.1:1", "doubler", client=LoadClient.NATIVE)


def _mark_load(address: str, *options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "mark", "load", address, "--model", "doubler", "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report
