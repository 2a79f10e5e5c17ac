"""A router on AWS that is killed and started again: its instances serve on, and no request with slack is lost."""

from __future__ import annotations

import json
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np
import pytest
from integration.router_process import RouterProcess, environment, start_router
from integration.test_serve_on_aws import CONFIG, mark

from mark.client.calls import decode_response, encode_request
from mark.protocol import messages
from mark.testing.aws import FakeAws, FakeAwsParams

KILLS = 3
PER_S = 20.0
DEADLINE_S = 25.0
# As gRPC's own clients retry (gRFC A6), by configuration alone: what the router leaves unanswered is sent again.
RETRIES = json.dumps({
    "methodConfig": [{
        "name": [{}],
        "waitForReady": True,
        "retryPolicy": {
            "maxAttempts": 5, "initialBackoff": "0.2s", "maxBackoff": "2s", "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE"],
        },
    }]
})  # fmt: skip


@dataclass
class Requests:
    """What became of a steady load, and how long each answer took."""

    answered: list[tuple[float, float]] = field(default_factory=list)  # (sent, answered)
    wrong: int = 0
    lost: list[tuple[float, str]] = field(default_factory=list)  # (sent, why)


class Load:
    """Sends requests at a steady rate until it is closed, and waits for the last."""

    def __init__(self, address: str) -> None:
        options = [
            ("grpc.service_config", RETRIES), ("grpc.enable_retries", 1), ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 300),
        ]  # fmt: skip
        self._channel = grpc.insecure_channel(address, options=options)
        self._infer = self._channel.unary_unary(messages.MODEL_INFER)
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._open: set[grpc.Future] = set()
        self.requests = Requests()
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def close(self) -> Requests:
        self._ending.set()
        self._thread.join()
        deadline_s = time.monotonic() + DEADLINE_S + 5
        while self._open and time.monotonic() < deadline_s:
            time.sleep(0.05)
        self._channel.close()
        return self.requests

    def _send(self) -> None:
        number = 0
        while not self._ending.wait(1 / PER_S):
            number += 1
            x = np.full((1, 4), number % 500 + 1, dtype=np.float32)
            sent_s = time.monotonic()
            call = self._infer.future(encode_request("doubler", "", "", {"x": x}), timeout=DEADLINE_S)
            with self._lock:
                self._open.add(call)
            call.add_done_callback(lambda call, x=x, sent_s=sent_s: self._ended(call, x, sent_s))

    def _ended(self, call: grpc.Future, x: np.ndarray, sent_s: float) -> None:
        with self._lock:
            try:
                y = decode_response(call.result())["y"]
            except grpc.RpcError as error:
                self.requests.lost.append((sent_s, f"{error.code().name}: {error.details()}"))
            else:
                self.requests.wrong += not np.array_equal(y, 2 * x)
                self.requests.answered.append((sent_s, time.monotonic()))
            self._open.discard(call)


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    path = environment(tmp_path)["PYTHONPATH"]
    with FakeAws(FakeAwsParams(environment={"PYTHONPATH": path})) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.timeout(180)
@pytest.mark.slow
def test_no_request_with_slack_is_lost_when_the_router_is_killed(aws: FakeAws, tmp_path: Path) -> None:
    config = CONFIG.format(endpoint=aws.endpoint_url).replace("port: 0", f"port: {a_free_port()}")
    # The slack is the client's: a router that has just come back may find its workers later than the promise allows.
    config = config.replace("rt_max_ms: 2000", "rt_max_ms: 20000")
    file = tmp_path / "aws.yaml"
    file.write_text(config, encoding="utf-8")
    mark("aws", "bootstrap", str(file), "--yes")
    router = start_router(config, tmp_path)
    before = {each["InstanceId"] for each in aws.instances()}
    chance = random.Random(7)
    load = Load(router.address)
    kills: list[tuple[float, float]] = []  # (killed, serving again)
    try:
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.5, 2.0))  # the point at which it is killed
            router, times = killed_and_restarted(router, config, tmp_path)
            kills.append(times)
    finally:
        requests = load.close()
    after = {each["InstanceId"] for each in aws.instances()}
    stopped = router.stop(signal.SIGTERM, timeout_s=60.0)

    away_s = [serving_s - killed_s for killed_s, serving_s in kills]
    with_slack = [each for each in requests.lost if not any(k <= each[0] + DEADLINE_S <= s for k, s in kills)]
    slowest_s = max(answered_s - sent_s for sent_s, answered_s in requests.answered)
    print(
        f"{KILLS} kills; serving again after {', '.join(f'{each:.1f}' for each in away_s)} s; "
        f"{len(requests.answered)} requests answered, {requests.wrong} of them wrongly, the slowest after "
        f"{slowest_s:.1f} s; {len(with_slack)} lost that had slack; {len(after - before)} instances bought anew"
    )
    assert with_slack == []
    assert requests.wrong == 0
    assert len(requests.answered) > PER_S * KILLS
    assert max(away_s) < DEADLINE_S - 5  # so that each had slack
    assert after == before
    assert len(before) == 2
    assert stopped == 0
    mark("aws", "teardown", str(file), "--yes")
    assert aws.tagged("whole") == []


def killed_and_restarted(router: RouterProcess, config: str, folder: Path) -> tuple[RouterProcess, tuple[float, float]]:
    killed_s = time.monotonic()
    router.stop(signal.SIGKILL)
    again = start_router(config, folder)
    return again, (killed_s, time.monotonic())
