"""Routers as processes, as a person would start them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import psutil

from mark.protocol import messages

__all__ = [
    "CONFIG",
    "RouterProcess",
    "assert_nothing_left",
    "environment",
    "start_router",
    "until",
    "workers_started_in",
]

# A model without torch, so that a worker starts in a fraction of a second.
MODEL_MODULE = '''
import os
import time
from pathlib import Path

import numpy as np

HELD, GATE = (Path(__file__).with_name(name) for name in ("held", "gate"))


class Doubler:
    """Doubles its input; raises on a row that begins with 666; sleeps as long as a row that begins with -1 says.

    For rows that begin with -2 it sleeps once, whatever their number. At a row that begins with -3 it says its process
    in the file `held`, and waits until there is a file `gate`, both beside this one.
    """

    def __call__(self, inputs):
        x = inputs["x"]
        if (x[:, 0] == -3.0).any():
            HELD.write_text(f"{os.getpid()}\\n")
            while not GATE.exists():
                time.sleep(0.01)
        once = x[x[:, 0] == -2.0]
        if len(once):
            time.sleep(float(once[0][1]))
        for row in x:
            if row[0] == 666.0:
                raise ValueError("cannot double a beast")
            if row[0] == -1.0:
                time.sleep(float(row[1]))
        return {"y": x * np.float32(2)}


def make():
    return Doubler()


def broken():
    raise RuntimeError("no such weights")


def endless():
    time.sleep(3600)
'''

CONFIG = """\
server: {port: 0, drain_s: 5}
offerings:
  - {name: small, price_usd_per_hour: 0.1, max_count: 4}
models:
  - name: doubler
    version: "1"
    runtime: python
    source: doubler_model:make
    inputs: [{name: x, datatype: FP32, shape: [-1, 4]}]
    outputs: [{name: y, datatype: FP32, shape: [-1, 4]}]
    slo: {rt_max_ms: 2000, sl_min: 0.9}
    batching: {rows_max: 8, margin_ms: 5}
    controller: {step_s: 1, window_s: 1, horizon_steps: 5, cooldown_s: 600, min_instances: 2}
    profiles: {small: [[1, 4.0], [8, 8.0]]}
"""


@dataclass
class RouterProcess:
    """A `mark serve` process and what it said."""

    process: subprocess.Popen[str]
    log: Path
    address: str = ""

    @property
    def workers(self) -> list[psutil.Process]:
        """Worker processes that live now."""
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended while we looked
                if "mark.worker" in child.cmdline():
                    found.append(child)
        return found

    def status(self) -> Any:
        """What it says of itself."""
        with grpc.insecure_channel(self.address) as channel:
            request = messages.StatusRequest().SerializeToString()
            return messages.StatusResponse.FromString(channel.unary_unary(messages.GET_STATUS)(request, timeout=10))

    def ready(self) -> set[str]:
        """Instances of its first model that are ready."""
        return {str(each.id) for each in self.status().models[0].instances if each.state == "ready"}

    def wait_ready(self, count: int) -> set[str]:
        """Until so many instances of its first model are ready, for it serves as soon as one is; these."""
        until(lambda: len(self.ready()) >= count)
        return self.ready()

    def wait_held(self) -> int:
        """Until a worker holds a row that begins with -3; its process."""
        held = self.log.with_name("held")
        until(lambda: held.exists() and held.read_text(encoding="utf-8").endswith("\n"))
        return int(held.read_text(encoding="utf-8"))

    def let_go(self) -> None:
        """Let the workers answer what they hold."""
        self.log.with_name("gate").touch()

    def said(self) -> str:
        """Its log so far."""
        return self.log.read_text(encoding="utf-8")

    def wait_said(self, words: str) -> None:
        """Until its log has these words."""
        until(lambda: words in self.said())

    def stop(self, signum: signal.Signals = signal.SIGTERM, timeout_s: float = 20.0) -> int:
        """Signal the router and wait for it; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signum)
        return self.wait(timeout_s)

    def wait(self, timeout_s: float = 20.0) -> int:
        """Wait for its end; its exit code."""
        if self.process.stdout is not None:
            self.process.stdout.close()
        exit_code = self.process.wait(timeout_s)
        if self.process.stdin is not None:
            self.process.stdin.close()  # not before: to the router its end is a signal of its own
        return exit_code


def until(holds: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Wait for what nobody tells."""
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline_s, f"it did not come true in {timeout_s:g} s"
        time.sleep(0.02)


def environment(folder: Path, name: str = "doubler_model", module: str = MODEL_MODULE) -> dict[str, str]:
    """The environment of a process that can import the module of the test's model.

    Its output is buffered, as it is for users; who runs tests may have turned that off.
    """
    (folder / f"{name}.py").write_text(module, encoding="utf-8")
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return {**inherited, "PYTHONPATH": path}


def start_router(config: str, folder: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> RouterProcess:
    """Start `mark serve` and wait until it says where it serves; raises AssertionError with its stderr if it ends."""
    file = folder / "mark.yaml"
    file.write_text(config, encoding="utf-8")
    log = folder / "router.log"
    with log.open("w", encoding="utf-8") as stderr:
        process = subprocess.Popen(
            # It ends with the tests, however they end.
            [sys.executable, "-m", "mark", "serve", str(file), "--exit-with-parent", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=environment(folder) if environ is None else environ,
            start_new_session=True,
        )
    router = RouterProcess(process, log)
    assert process.stdout is not None
    line = process.stdout.readline()
    if " at " not in line:
        router.stop()
        raise AssertionError(f"the router did not start: {log.read_text(encoding='utf-8')}")
    router.address = line.strip().rpartition(" at ")[2]
    return router


def workers_started_in(folder: Path) -> list[psutil.Process]:
    """Workers that live and inherited `environment(folder)`, whoever their parent is now."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            path = process.environ().get("PYTHONPATH", "")
            if "mark.worker" in process.cmdline() and path.split(os.pathsep)[0] == str(folder):
                found.append(process)
    return found


def assert_nothing_left(processes: list[psutil.Process]) -> None:
    """Every process ends within a moment."""
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert alive == []
