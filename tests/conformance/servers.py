"""The two servers that clients can call, a router and a worker alone, as processes, with either ingress."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import psutil
from integration.router_process import environment, start_router

from mark import _core
from mark.protocol import messages

__all__ = ["INGRESSES", "MESSAGE_BYTES_MAX", "Server", "serve_router", "serve_worker", "until"]

# The native one is there where the extension was built with it; without the attribute no ingress can be chosen at all.
CHOOSES = hasattr(_core, "native_available")
INGRESSES = ("grpcio", "native") if getattr(_core, "native_available", False) else ("grpcio",)

MESSAGE_BYTES_MAX = 64 << 20

# Rows are as long as each request wants, so that one model takes the smallest message and the largest.
MODEL_MODULE = '''
import time
from pathlib import Path

import numpy as np

NAPS = Path(__file__).with_name("naps")


class Doubler:
    """Doubles its input; a row that begins with -2 says how long it takes, one that begins with 666 fails."""

    def __call__(self, inputs):
        x = inputs["x"]
        first = x[:, 0] if x.shape[1] else np.zeros(len(x), np.float32)
        for row in x[first == -2.0]:
            with NAPS.open("a", encoding="utf-8") as file:
                file.write("z")
            time.sleep(float(row[1]))
        if (first == 666.0).any():
            raise ValueError("zu groß: 100 % über dem Maß\\tund länger")
        if (first == 667.0).any():
            raise ValueError("\N{SNOWMAN}" * 5000)
        return {"y": x * np.float32(2)}


def make():
    return Doubler()
'''

CONFIG = """\
server: {port: 0, drain_s: 5}
offerings:
  - {name: small, price_usd_per_hour: 0.1}
models:
  - name: doubler
    version: "1"
    runtime: python
    source: conformance_model:make
    inputs: [{name: x, datatype: FP32, shape: [-1, -1]}]
    outputs: [{name: y, datatype: FP32, shape: [-1, -1]}]
    slo: {rt_max_ms: 8000, sl_min: 0.9}
    batching: {rows_max: 8, margin_ms: 2, correction: false}
    controller: {step_s: 1, window_s: 1, horizon_steps: 5, cooldown_s: 600, min_instances: 1}
    profiles: {small: [[1, 2.0], [8, 4.0]]}
"""


# `mark worker`, but that it ends with the tests, however they end: when its stdin does.
_WORKER = """\
import os, runpy, signal, sys, threading

def end_with_parent():
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=end_with_parent, daemon=True).start()
sys.argv[0] = "mark"
runpy.run_module("mark", run_name="__main__", alter_sys=True)
"""


def _environment(folder: Path) -> dict[str, str]:
    return environment(folder, "conformance_model", MODEL_MODULE)


def until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    """Wait for a state; AssertionError when it does not come."""
    ends = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.005)


@dataclass
class Server:
    """What a test calls.

    Attributes:
        kind: "router" or "worker".
        ingress: what takes its calls.
        address: where.
        process: of `mark serve` or `mark worker`.
        folder: with what the model leaves there.
        stop: ends it in order; its exit code.
    """

    kind: str
    ingress: str
    address: str
    process: subprocess.Popen[str]
    folder: Path
    stop: Callable[[], int]

    @property
    def naps(self) -> int:
        """How many requests that take long its model has begun with."""
        file = self.folder / "naps"
        return file.stat().st_size if file.exists() else 0

    @property
    def rss_bytes(self) -> int:
        """Memory that the process holds, without that of its workers."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    @property
    def lives(self) -> bool:
        """Whether the process has not ended."""
        return self.process.poll() is None

    def model_status(self) -> Any:
        """The status of its one model; a router's only."""
        with grpc.insecure_channel(self.address) as channel:
            answer = channel.unary_unary(messages.GET_STATUS)(b"", timeout=5)
        return messages.StatusResponse.FromString(answer).models[0]

    def ended(self, outcome: str) -> int:
        """How many requests ended so."""
        return int(self.model_status().ended[outcome])


def serve_router(ingress: str, folder: Path, *settings: str) -> Server:
    """Start a router with one worker; `settings` are dotted.path=value."""
    chosen = [f"server.ingress={ingress}"] if CHOOSES else []
    arguments = [word for setting in (*chosen, *settings) for word in ("--set", setting)]
    router = start_router(CONFIG, folder, *arguments, environ=_environment(folder))
    return Server("router", ingress, router.address, router.process, folder, router.stop)


def serve_worker(ingress: str, folder: Path, address: str = "127.0.0.1:0", *, tls_folder: Path | None = None) -> Server:
    """Start a worker that no router knows."""
    chosen = ["--ingress", ingress] if CHOOSES else []
    if tls_folder is not None:
        chosen += ["--tls-folder", str(tls_folder)]
    tensors = ["--input", "x:FP32:-1,-1", "--output", "y:FP32:-1,-1", "--rows-max", "8"]
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", _WORKER, "worker", "conformance_model:make", "--runtime", "python"),
            *("--name", "doubler", *tensors, "--address", address, *chosen),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=_environment(folder),
        start_new_session=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert " at " in line, "the worker did not start; it has said why on stderr"

    def stop() -> int:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=15)
        return process.returncode

    return Server("worker", ingress, line.strip().rpartition(" at ")[2], process, folder, stop)
