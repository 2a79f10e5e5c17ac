"""What a load is asked for and tells, and nghttp2's h2load, which sends over gRPC and HTTP/1.1 alike."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from bench.peers.wires import Wire

__all__ = [
    "ClosedLoad",
    "H2load",
    "LoadFailed",
    "Loaded",
    "NothingSent",
    "PacedLoad",
    "Target",
    "latencies_ms_of",
    "loaded_of",
]


_TRIES_MAX = 3


class LoadFailed(Exception):
    """The load could not be sent, or not every request was answered well."""


class NothingSent(LoadFailed):
    """No connection was made while the load lasted."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is loaded.

    Attributes:
        address: host:port.
        wire: how it is asked.
        path: to POST to.
        answer_bytes: length of a right answer, where every one is as long; None where lengths differ.
    """

    address: str
    wire: Wire
    path: str
    answer_bytes: int | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load came to.

    Attributes:
        requests: that were answered, all of them well.
        duration_s: of the load.
        latencies_ms: sorted; empty where they were not asked for.
        asked: how many were sent, of a load that does not wait for answers.
    """

    requests: int
    duration_s: float
    latencies_ms: Sequence[float] = ()
    asked: int = 0

    @property
    def rate_per_s(self) -> float:
        """Answers in a second."""
        return self.requests / self.duration_s

    def quantile_ms(self, q: float) -> float:
        """A quantile of the latencies."""
        return float(np.quantile(self.latencies_ms, q))


class ClosedLoad(Protocol):
    """Sends one request again and again, as fast as it is answered."""

    def closed(self, target: Target, in_flight: int, duration_s: int, *, latencies: bool = False) -> Loaded:
        """Always `in_flight` requests at once.

        Raises:
            LoadFailed: one was not answered, or not well.
        """
        ...


class PacedLoad(Protocol):
    """Sends one request again and again, at a rate."""

    def paced(self, target: Target, rate_per_s: float, duration_s: int) -> Loaded:
        """At a rate that does not depend on the answers; with the latencies of those that were answered well.

        Raises:
            LoadFailed: it could not be sent.
        """
        ...


class H2load:
    """nghttp2's h2load, from one core.

    What it calls a success is HTTP 200, which a failed call of gRPC has as well. A failed one has no message, so that
    the bytes of all answers tell: they must be as many as of right ones.
    """

    def __init__(self, core: int) -> None:
        program = shutil.which("h2load")
        if program is None:
            raise LoadFailed("h2load is not on the path: apt-get install nghttp2-client")
        self._command = ["taskset", "-c", str(core), program, "-t", "1"]

    def closed(self, target: Target, in_flight: int, duration_s: int, *, latencies: bool = False) -> Loaded:
        """Always `in_flight` requests at once; spread over as many connections as suits the wire."""
        connections = min(in_flight, target.wire.connections)
        for _ in range(_TRIES_MAX - 1):
            # On a busy machine h2load ends at times without having sent anything, and says no more than that.
            with suppress(NothingSent):
                return self._run(target, connections, in_flight // connections, (duration_s, latencies))
        return self._run(target, connections, in_flight // connections, (duration_s, latencies))

    def _run(self, target: Target, connections: int, streams: int, extent: tuple[int, bool]) -> Loaded:
        duration_s, latencies = extent
        with tempfile.TemporaryDirectory(prefix="mark-peers-") as folder:
            data, log = Path(folder) / "request", Path(folder) / "log"
            data.write_bytes(target.wire.payload)
            command = [*self._command, "-D", str(duration_s), "-c", str(connections), "-m", str(streams)]
            command += ["-d", str(data), *([] if target.wire.is_grpc else ["--h1"])]
            command += [f"--log-file={log}"] * latencies
            for name, value in target.wire.headers.items():
                command += ["-H", f"{name}: {value}"]
            command.append(f"http://{target.address}{target.path}")
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=duration_s + 30, check=False)
            except subprocess.TimeoutExpired as error:
                raise LoadFailed(f"h2load did not end: {error}") from error
            if done.returncode != 0:
                raise LoadFailed(f"h2load: {(done.stderr or done.stdout).strip()[-500:]}")
            answer = target.answer_bytes
            loaded = loaded_of(done.stdout, duration_s, answer, connections * streams)
            if not latencies:
                return loaded
            return Loaded(loaded.requests, loaded.duration_s, latencies_ms_of(log.read_text(encoding="utf-8")))


def loaded_of(report: str, duration_s: float, answer_bytes: int | None, in_flight: int) -> Loaded:
    """Read what h2load prints.

    Raises:
        NothingSent: no connection was made in time.
        LoadFailed: an answer was an error, or the bytes of the answers are not as they should be.
    """
    counts = re.search(
        r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout",
        report,
    )
    data = re.search(r"traffic:.*, \S+ \((\d+)\) data", report)
    if counts is None or data is None:
        raise LoadFailed(f"h2load's report cannot be read: {report[-500:]}")
    done, succeeded, *bad = map(int, counts.groups())
    if done == 0 and not any(bad):
        raise NothingSent(f"no request was sent: {report[-500:]}")
    if succeeded != done or any(bad):
        raise LoadFailed(f"not every request was answered well: {counts[0]}")
    # At the end of the time some answers are there by half.
    if answer_bytes is not None and abs(int(data[1]) - done * answer_bytes) > in_flight * answer_bytes:
        raise LoadFailed(f"{done} answers of {answer_bytes} bytes have {data[1]} bytes: calls failed with a status")
    return Loaded(done, duration_s)


def latencies_ms_of(log: str) -> list[float]:
    """Read h2load's log: a line for each request with its start, HTTP status and microseconds.

    Raises:
        LoadFailed: a request was not answered with HTTP 200.
    """
    rows = [line.split("\t") for line in log.splitlines()]
    bad = [row for row in rows if row[1] != "200"]
    if bad or not rows:
        raise LoadFailed(f"{len(bad)} of {len(rows)} requests were not answered with HTTP 200")
    return sorted(float(row[2]) / 1e3 for row in rows)
