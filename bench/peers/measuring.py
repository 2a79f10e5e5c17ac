"""Starts one server after the other and measures it."""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.peers.environments import Environment
from bench.peers.load import ClosedLoad, PacedLoad, Target
from bench.peers.processes import NotServing, ServerProcesses, free_port
from bench.peers.subjects import Place, Subject, variables_of
from bench.peers.wires import check_answer

__all__ = ["Extent", "Figures", "Serving", "figures_of", "p99_at", "serving"]

IN_FLIGHT = 64
# Of the time of the load: waiting longer, a server falls further and further behind.
_WAIT_SHARE_MAX = 0.03
_START_S_MAX = 120.0
_REST_S_MAX = 30.0


@dataclass(frozen=True, slots=True)
class Extent:
    """How long each load lasts, in whole seconds, since h2load knows no others."""

    duration_s: int = 8
    warm_up_s: int = 2


@dataclass(slots=True)
class Figures:
    """What one server did in one round.

    Attributes:
        rate_per_s: answers in a second, 64 in flight.
        cpu_us: microseconds of processor for each, of all its processes.
        p50_ms: latency at one in flight.
        p99_ms: the same, one in a hundred.
        near_full_ms: p99 at 80 % of its own rate; None where it did not keep up.
        paced_ms: p99 by the rate that was offered; None where the server did not keep up with it.
    """

    rate_per_s: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    near_full_ms: float | None = None
    paced_ms: dict[float, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that answers rightly."""

    name: str
    target: Target
    processes: ServerProcesses

    def check(self) -> None:
        """One more request, compared with the model run offline; once what a load left behind is worked off.

        Raises:
            NotServing: it does not answer, or runs on other cores, too.
            WrongAnswer: the answer is not the model's.
        """
        check_answer(self.target.wire, _answer_within(_REST_S_MAX, self.processes, self.target))
        self.processes.check_pinned()


@contextmanager
def serving(
    subject: Subject, core: int, environment: Environment | None = None, ingress: str | None = None
) -> Iterator[Serving]:
    """The server on its core, until the end of the block; then nothing of it is left.

    Raises:
        NotServing: it does not start.
        WrongAnswer: its first answer, or the one after the block, is not the model's.
    """
    with tempfile.TemporaryDirectory(prefix="mark-peers-", ignore_cleanup_errors=True) as folder:
        place = Place(Path(folder), free_port(), environment, ingress)
        launch = subject.launch(place)
        processes = ServerProcesses(launch.command, variables_of(place, launch), core, place.folder / "log")
        try:
            target = _first_answer(subject, processes, f"127.0.0.1:{place.port}")
            served = Serving(subject.name, target, processes)
            served.check()
            yield served
            served.check()
        finally:
            processes.end()


def _first_answer(subject: Subject, processes: ServerProcesses, address: str) -> Target:
    target = Target(address, subject.wire, subject.posted_to, None)
    answer = _answer_within(_START_S_MAX, processes, target)
    check_answer(target.wire, answer)
    # Five bytes come before a message of gRPC. Of HTTP the status tells that an answer is right.
    return replace(target, answer_bytes=len(answer) + 5) if target.wire.is_grpc else target


def _answer_within(seconds: float, processes: ServerProcesses, target: Target) -> bytes:
    deadline_s = time.monotonic() + seconds
    while True:
        processes.check_alive()
        try:
            return target.wire.call(target.address, target.path)
        except ConnectionError as error:
            if time.monotonic() > deadline_s:
                raise NotServing(f"no answer within {seconds:g} s: {error}: {processes.last_words()}") from error
            time.sleep(0.1)


def figures_of(served: Serving, load: ClosedLoad, extent: Extent) -> Figures:
    """Latency, capacity and processor time of a server that has just started."""
    load.closed(served.target, 1, extent.warm_up_s)
    # Before there was any load, which some peers have learnt from to wait longer for others.
    single = load.closed(served.target, 1, extent.duration_s, latencies=True)
    load.closed(served.target, IN_FLIGHT, extent.warm_up_s)
    before_s = served.processes.cpu_s()
    full = load.closed(served.target, IN_FLIGHT, extent.duration_s)
    used_s = served.processes.cpu_s() - before_s
    return Figures(
        rate_per_s=full.rate_per_s,
        cpu_us=used_s / full.requests * 1e6,
        p50_ms=single.quantile_ms(0.5),
        p99_ms=single.quantile_ms(0.99),
    )


def p99_at(target: Target, load: PacedLoad, rate_per_s: float, extent: Extent) -> float | None:
    """The p99 at a rate; None if the server does not keep up with it."""
    paced = load.paced(target, rate_per_s, extent.duration_s)
    p99_ms = paced.quantile_ms(0.99) if paced.requests else math.inf
    # What is answered after the end is answered; but behind a server that is too slow, waiting grows all the time.
    behind = paced.requests < paced.asked or p99_ms > _WAIT_SHARE_MAX * extent.duration_s * 1e3
    return None if behind else p99_ms


def say(text: str) -> None:
    """Tell whoever waits what is being done."""
    print(text, file=sys.stderr, flush=True)
