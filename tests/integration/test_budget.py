"""A router with a budget: real workers, real requests, and never more dollars an hour than it may spend."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
from integration.router_process import CONFIG, RouterProcess, start_router

from mark import Client, _core
from mark.errors import DeadlineExceeded, Overloaded
from mark.protocol import messages

MakeRouter = Callable[..., RouterProcess]
# By its profile a worker serves a few rows a second under the promise: the load below would need several. Seconds, so
# that a machine that is busy with something else does not break the promise.
SLOW = CONFIG.replace("{small: [[1, 4.0], [8, 8.0]]}", "{small: [[1, 1600.0], [8, 1800.0]]}").replace(
    "rt_max_ms: 2000", "rt_max_ms: 4000"
)
CAPPED = "budget: {max_usd_per_hour: 0.25}\n" + SLOW.replace("min_instances: 2", "min_instances: 1")


def status_of(router: RouterProcess) -> Any:
    with grpc.insecure_channel(router.address) as channel:
        answer = channel.unary_unary(messages.GET_STATUS)(messages.StatusRequest().SerializeToString(), timeout=5)
    return messages.StatusResponse.FromString(answer).models[0]


class Pressure:
    """Requests from many threads until it is told to stop; counts how they end."""

    def __init__(self, address: str, priority: int) -> None:
        self._stop = threading.Event()
        self.shed = self.answered = 0
        self._threads = [threading.Thread(target=self._send, args=(address, priority)) for _ in range(24)]

    def __enter__(self) -> Pressure:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self, address: str, priority: int) -> None:
        row = np.ones((1, 4), np.float32)
        with Client(address) as client:
            while not self._stop.is_set():
                try:
                    client.infer("doubler", {"x": row}, deadline_ms=4000, priority=priority)
                    self.answered += 1
                except DeadlineExceeded:
                    pass  # it pressed all the same
                except Overloaded as error:
                    self.shed += "the budget does not pay for all requests" in str(error)
                    time.sleep(0.02)  # as a client that was refused does


@pytest.mark.parametrize("ingress", ["native", "grpcio"])
def test_a_router_never_commits_more_than_its_cap_and_sheds_the_lowest_priority(
    make_router: MakeRouter, ingress: str
) -> None:
    if ingress == "native" and not hasattr(_core, "NativeServer"):
        pytest.skip("mark was built without its native data plane")
    router = make_router(CAPPED.replace("server: {", f"server: {{ingress: {ingress}, "))
    seen_usd_per_hour, stages, at = [], [], time.monotonic() + 60

    with Pressure(router.address, priority=2) as pressure:
        while not pressure.shed and time.monotonic() < at:
            status = status_of(router)
            seen_usd_per_hour.append(status.cost_usd_per_hour)
            stages.append(status.budget.stage)
            time.sleep(0.1)  # between two looks
        status = status_of(router)
        with Client(router.address) as client:  # whoever says that it matters is answered meanwhile
            first = client.infer("doubler", {"x": np.ones((1, 4), np.float32)}, deadline_ms=4000, priority=1)

    assert pressure.shed > 0
    assert first["y"].tolist() == [[2.0] * 4]
    assert 0.1 <= max(seen_usd_per_hour) <= 0.25
    assert (status.budget.stage, int(status.ended["shed"]) > 0) == ("shed", True)
    assert set(stages) <= {"full", "shed"}  # there is neither spot nor serverless to give up
    assert status.budget.allowed_usd_per_hour == pytest.approx(0.25)
    told = subprocess.run(
        [sys.executable, "-m", "mark", "cost", router.address], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert "an hour now of $0.2500 that all may cost" in told


def test_a_cap_that_does_not_pay_for_min_instances_is_refused(tmp_path: Any) -> None:
    with pytest.raises(AssertionError, match="does not pay for min_instances of the models"):
        start_router("budget: {max_usd_per_hour: 0.05}\n" + CONFIG, tmp_path)
