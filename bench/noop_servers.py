"""A router and workers of a model that does nothing, as processes on chosen cores, and a closed loop of requests."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import psutil

from mark import _core
from mark._core import parse_infer_response, write_infer_request
from mark.domain.artifact import ModelArtifact, artifact_to_json
from mark.domain.signature import ModelSignature, TensorSpec
from mark.protocol import messages

__all__ = [
    "BENCH", "CORES", "REQUEST", "ROW", "SIGNATURE", "Process", "answered", "closed_loop", "router_process",
    "worker_process",
]  # fmt: skip

BENCH = Path(__file__).resolve().parent
CORES = sorted(os.sched_getaffinity(0))
SIGNATURE = ModelSignature(
    "noop", "1", (TensorSpec("x", "FP32", (-1, 64)),), (TensorSpec("y", "FP32", (-1, 64)),), rows_max=64
)
ROW = np.arange(64, dtype=np.float32).reshape(1, 64)
REQUEST = write_infer_request("noop", "", "", [("x", "FP32", (1, 64), ROW)], [])
# No answer is late, even where a core is taken away for seconds: what is counted is all that is sent.
CONFIG = """\
server: {{port: 0, ingress: {ingress}, threads: {threads}}}
models:
  - name: noop
    inputs: [{{name: x, datatype: FP32, shape: [-1, 64]}}]
    outputs: [{{name: y, datatype: FP32, shape: [-1, 64]}}]
    slo: {{rt_max_ms: 10000}}
    batching: {{rows_max: 64}}
    workers: [{{address: '{address}', profile: [[1, 1.2], [64, 1.6]]}}]
"""
_CHECK_EVERY = 101


class Process:
    """A server process on some cores, given by their index, and the address that it says it serves at."""

    def __init__(self, cores: tuple[int, ...], *command: str, log: Path) -> None:
        with log.open("w") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(BENCH)])},
            )  # fmt: skip
        pinned = {CORES[core % len(CORES)] for core in cores}
        os.sched_setaffinity(self.process.pid, pinned)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip().rpartition(" at ")[2]
        # Threads that the process made before it was pinned stay where they are unless they are moved too.
        for thread in psutil.Process(self.process.pid).threads():
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                os.sched_setaffinity(thread.id, pinned)
        assert self.address, log.read_text()

    def rss_bytes(self) -> int:
        """Memory that it occupies now."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def end(self) -> None:
        """Stop it in order."""
        self.process.terminate()
        self.process.communicate(timeout=20)


@contextlib.contextmanager
def worker_process(ingress: str, folder: Path, *cores: int) -> Iterator[Process]:
    """`mark worker` with the model that does nothing."""
    artifact = artifact_to_json(ModelArtifact(SIGNATURE, "python", "noop_model:make"))
    arguments = ("--artifact", artifact, "--address", "127.0.0.1:0", "--ingress", ingress)
    started = Process(cores, "-m", "mark.worker", *arguments, log=folder / f"worker-{ingress}.log")
    try:
        yield started
    finally:
        started.end()


@contextlib.contextmanager
def router_process(
    ingress: str, worker: Process, folder: Path, *cores: int, threads: int = 1, settings: Sequence[str] = ()
) -> Iterator[Process]:
    """`mark serve` in front of a worker; `settings` as `--set` takes them."""
    file = folder / f"mark-{ingress}-{threads}.yaml"
    file.write_text(CONFIG.format(ingress=ingress, threads=threads, address=worker.address), encoding="utf-8")
    options = [word for setting in settings for word in ("--set", setting)]
    command = ("-m", "mark", "serve", "--exit-with-parent", str(file), *options)
    started = Process(cores, *command, log=file.with_suffix(".log"))
    try:
        yield started
    finally:
        started.end()


def answered(router: Process) -> int:
    """Requests that a router has answered, all of them in time."""
    with grpc.insecure_channel(router.address) as channel:
        answer = channel.unary_unary(messages.GET_STATUS)(messages.StatusRequest().SerializeToString(), timeout=5)
    model = messages.StatusResponse.FromString(answer).models[0]
    assert model.violations == 0, dict(model.ended)
    return int(model.ended["answered"])


def closed_loop(address: str, in_flight: int, seconds: float, core: int, connections: int = 4) -> tuple[float, int]:
    """Answers per second and in all, sent from one core; every request is answered, and answers are looked at."""

    def run() -> _core.LoadOutcome:
        os.sched_setaffinity(0, {CORES[core % len(CORES)]})  # of this thread
        params = _core.LoadParams(address, connections=connections, keep_every=_CHECK_EVERY)
        load = _core.LoadGenerator(params, [REQUEST])
        return load.run_closed(in_flight, round(seconds * 1e9))

    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(run).result()
    ends = outcome.take_ending()
    assert {outcome.endings[index][0] for index in np.unique(ends)} == {_core.LoadEnding.ANSWERED}, outcome.endings
    for _, answer in outcome.kept:
        assert parse_infer_response(answer).tensors[0][3] == ROW.tobytes()
    requests = len(ends)
    assert len(outcome.kept) >= requests // _CHECK_EVERY
    return requests / (outcome.duration_ns / 1e9), requests
