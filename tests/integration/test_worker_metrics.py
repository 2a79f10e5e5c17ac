"""The metrics of a worker process, as Prometheus gets them."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from integration.conftest import INGRESSES
from integration.router_process import environment
from unit.metrics_world import Samples, parsed

from mark import Client
from mark.errors import ModelFailed

Start = Callable[..., subprocess.Popen[str]]
TENSOR = "FP32:-1,4"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        command = [
            sys.executable, "-m", "mark", "worker", "doubler_model:make", "--runtime", "python", "--name", "doubler",
            "--input", f"x:{TENSOR}", "--output", f"y:{TENSOR}", "--address", "127.0.0.1:0", *arguments,
        ]  # fmt: skip
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(tmp_path)
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    """The address at the end of the next line."""
    assert process.stdout is not None
    return process.stdout.readline().strip().rpartition(" at ")[2]


def scrape(url: str) -> Samples:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return parsed(answer.read())


@pytest.mark.parametrize("ingress", INGRESSES)
def test_a_worker_tells_what_its_model_did_until_it_ends(start: Start, ingress: str) -> None:
    process = start("--ingress", ingress, "--metrics-port", "0")
    url, address = said(process), said(process)
    with Client(address) as client:
        for _ in range(3):
            client.infer("doubler", {"x": np.ones((2, 4), np.float32)})
        with pytest.raises(ModelFailed):
            client.infer("doubler", {"x": np.full((1, 4), 666.0, np.float32)})

    found = scrape(url)

    model = ("model", "doubler")
    assert found["mark_worker_batches_total", (model, ("outcome", "answered"))] == 3
    assert found["mark_worker_batches_total", (model, ("outcome", "raised"))] == 1
    assert found["mark_worker_rows_total", (model,)] == 6
    assert found["process_cpu_seconds_total", ()] > 0
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    with pytest.raises(urllib.error.URLError):
        scrape(url)


def test_a_port_that_is_taken_is_said_in_a_line(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start("--metrics-port", str(taken.getsockname()[1]))
        _, errors = process.communicate(timeout=60)

    assert process.returncode == 2
    assert "--metrics-port: cannot listen at 127.0.0.1" in errors
    assert "Traceback" not in errors


def test_a_port_that_is_none_is_refused(start: Start) -> None:
    process = start("--metrics-port", "70000")

    _, errors = process.communicate(timeout=60)

    assert process.returncode == 2
    assert "--metrics-port" in errors
