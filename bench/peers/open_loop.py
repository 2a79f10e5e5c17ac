"""The open-loop load: compiles open_loop.cc, runs it, and reads what it prints."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from bench.peers.load import Loaded, LoadFailed, Target

__all__ = ["OpenLoop", "open_loaded_of"]

_SOURCE = Path(__file__).resolve().with_suffix(".cc")
_HTTP1_CONNECTIONS = 128
_ENDS_S = 30


class OpenLoop:
    """Requests at Poisson instants, from one core; latencies count from the instant at which each was due.

    h2load's own pace (`--rps`) is no such load: all its connections send at the same moment.
    """

    def __init__(self, core: int, folder: Path) -> None:
        """Compile the program into `folder`, unless it is there.

        Raises:
            LoadFailed: it does not compile.
        """
        digest = hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:16]
        program = folder / f"open_loop-{digest}"
        if not program.is_file():
            _compile(program)
        self._command = ["taskset", "-c", str(core), str(program)]

    def paced(self, target: Target, rate_per_s: float, duration_s: int) -> Loaded:
        """At a rate that does not depend on the answers; with the latencies of those that were answered well.

        Raises:
            LoadFailed: the server closed a connection, or the program did not end.
        """
        wire = target.wire
        connections = wire.connections if wire.is_grpc else _HTTP1_CONNECTIONS
        with tempfile.TemporaryDirectory(prefix="mark-peers-") as folder:
            request = Path(folder) / "request"
            request.write_bytes(wire.payload)
            command = [*self._command, target.address.rpartition(":")[2], "grpc" if wire.is_grpc else "http1"]
            command += [target.path, str(request), f"{rate_per_s:.3f}", str(duration_s), str(connections)]
            command += [str(target.answer_bytes or 0), *(f"{name}:{value}" for name, value in wire.headers.items())]
            try:
                done = subprocess.run(
                    command, capture_output=True, text=True, timeout=duration_s + _ENDS_S, check=False
                )
            except subprocess.TimeoutExpired as error:
                raise LoadFailed(f"the open loop did not end: {error}") from error
        if done.returncode != 0:
            raise LoadFailed(done.stderr.strip()[-500:])
        return open_loaded_of(done.stdout, duration_s)


def open_loaded_of(report: str, duration_s: float) -> Loaded:
    """Read what the program prints; a request that was refused counts as one that was not answered."""
    head, *latencies_us = report.split("\n")
    due, answered, _failed = map(int, head.split())
    latencies_ms = sorted(float(latency_us) / 1e3 for latency_us in latencies_us if latency_us)
    return Loaded(answered, duration_s, latencies_ms, asked=due)


def _compile(program: Path) -> None:
    compiler = shutil.which("c++")
    if compiler is None:
        raise LoadFailed("the open-loop load needs a C++ compiler: apt-get install g++")
    program.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=program.parent) as folder:
        made = Path(folder) / "open_loop"
        done = subprocess.run(
            [compiler, "-std=c++20", "-O2", "-o", str(made), str(_SOURCE), "-lnghttp2"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            said = done.stderr.strip()[-300:]
            raise LoadFailed(f"open_loop.cc does not compile (apt-get install libnghttp2-dev): {said}")
        made.replace(program)
