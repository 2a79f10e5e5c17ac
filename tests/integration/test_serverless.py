"""A router with functions, as processes: overflow, kept warm, killed, and what remains of it all."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest
from integration.router_process import CONFIG, RouterProcess, assert_nothing_left, start_router

from mark import AsyncClient, Client
from mark.errors import Overloaded
from mark.protocol import messages

# One worker, which one request of 0.5 s keeps busy; what comes meanwhile within 1 s goes to a function.
ONE_WORKER = (
    CONFIG.replace("max_count: 4", "max_count: 1")
    .replace("min_instances: 2", "min_instances: 1")
    .replace("{small: [[1, 4.0], [8, 8.0]]}", "{small: [[1, 700.0], [8, 800.0]]}")
    .replace("rt_max_ms: 2000", "rt_max_ms: 1200")
)
SERVERLESS = """\
    serverless:
      {price_usd_per_gb_s: 0.001, price_usd_per_request: 0.01, latency_ms: 400, concurrency_max: 2, keep_warm: 1,
       ping_s: 0.3, idle_s: 30}
"""
MakeRouter = Callable[..., RouterProcess]


def status_of(router: RouterProcess) -> Any:
    with grpc.insecure_channel(router.address) as channel:
        answer = channel.unary_unary(messages.GET_STATUS)(messages.StatusRequest().SerializeToString(), timeout=5)
    return messages.StatusResponse.FromString(answer).models[0]


def until(router: RouterProcess, holds: Callable[[Any], bool], seconds: float = 20.0) -> Any:
    deadline_s = time.monotonic() + seconds
    while not holds(status := status_of(router)):
        assert time.monotonic() < deadline_s, status
        time.sleep(0.05)  # between two looks
    return status


def is_warm(status: Any) -> bool:
    return bool(status.bursts.functions_warm >= 1)


def functions_of(router: RouterProcess) -> list[psutil.Process]:
    """Functions are the workers that serve no instance."""
    addresses = {instance.address for instance in status_of(router).instances}
    return [each for each in router.workers if not addresses & set(each.cmdline())]


async def crowd(address: str, count: int, sleeps_s: float = 0.5) -> list[object]:
    """So many requests at once."""
    row = np.array([[-1.0, sleeps_s, 0.0, 0.0]], np.float32)
    async with AsyncClient(address) as client:
        asking = (client.infer("doubler", {"x": row}) for _ in range(count))
        return list(await asyncio.gather(*asking, return_exceptions=True))


def test_what_the_worker_cannot_answer_in_time_goes_to_functions_and_counts_as_answered(
    make_router: MakeRouter,
) -> None:
    router = make_router(ONE_WORKER + SERVERLESS)
    until(router, is_warm)

    outcomes = asyncio.run(crowd(router.address, 3))

    answered = [each for each in outcomes if isinstance(each, dict)]
    assert len(answered) == 3, outcomes
    status = until(router, lambda status: status.bursts.in_flight == 0)
    assert status.submitted == 3
    assert status.bursts.verdicts["send"] >= 1
    assert status.bursts.ended["answered"] + status.bursts.ended["late"] == status.bursts.verdicts["send"]
    assert status.ended["predicted_miss"] == 0
    assert sum(status.ended.values()) == 3
    assert status.cost_usd > status.bursts.cost_usd >= 0.01 * status.bursts.verdicts["send"]
    assert status.bursts.breaker == "closed"


def test_beyond_the_limit_requests_are_refused_at_once_with_pushback(make_router: MakeRouter) -> None:
    router = make_router(ONE_WORKER + SERVERLESS.replace("concurrency_max: 2", "concurrency_max: 1"))
    until(router, is_warm)

    outcomes = asyncio.run(crowd(router.address, 6))

    refused = [each for each in outcomes if isinstance(each, Overloaded)]
    assert refused
    assert all(each.retry_after_ms for each in refused)
    status = status_of(router)
    assert status.bursts.verdicts["at_limit"] == len(refused) == status.ended["predicted_miss"]


def test_functions_are_kept_warm_and_a_killed_one_is_replaced(make_router: MakeRouter) -> None:
    router = make_router(ONE_WORKER + SERVERLESS)
    until(router, is_warm)
    first = functions_of(router)
    assert len(first) == 1

    first[0].kill()

    status = until(router, lambda status: status.bursts.cold_starts == 2 and status.bursts.functions == 1)
    assert status.bursts.breaker == "closed"  # nobody's request was lost
    until(router, lambda now: now.bursts.cost_usd > status.bursts.cost_usd)  # the new one answers its pings


def test_the_latency_is_measured_where_the_file_does_not_say_it(make_router: MakeRouter) -> None:
    router = make_router(ONE_WORKER + SERVERLESS.replace("latency_ms: 400, ", ""))

    assert status_of(router).bursts.breaker == "closed"


def test_a_router_without_instances_answers_by_functions(make_router: MakeRouter) -> None:
    router = make_router(ONE_WORKER.replace("min_instances: 1", "min_instances: 0") + SERVERLESS)
    until(router, is_warm)

    with Client(router.address) as client:
        row = np.array([[1.0, 2.0, 3.0, 4.0]], np.float32)
        np.testing.assert_array_equal(client.infer("doubler", {"x": row})["y"], 2 * row)
    assert status_of(router).ended["answered"] == 1


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=["term", "int", "kill"])
def test_no_function_socket_or_folder_outlives_the_router(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signum: signal.Signals
) -> None:
    sockets = tmp_path / "t"
    sockets.mkdir()
    monkeypatch.setenv("TMPDIR", str(sockets))
    router = start_router(ONE_WORKER + SERVERLESS, tmp_path)
    until(router, is_warm)
    workers = router.workers
    assert len(workers) == 2
    assert len(list(sockets.glob("mark-*/*"))) == 2

    code = router.stop(signum)

    assert code == (-signal.SIGKILL if signum is signal.SIGKILL else 0)
    assert_nothing_left(workers)
    deadline_s = time.monotonic() + 10.0
    while list(sockets.iterdir()):
        assert time.monotonic() < deadline_s, list(sockets.iterdir())
        time.sleep(0.05)  # an orphan removes its files itself
