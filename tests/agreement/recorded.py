"""What live serving and the simulator are both driven with, and what is compared afterwards."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mark._core import (
    BurstLimits,
    BurstVerdict,
    DispatcherParams,
    DispatchReason,
    LatencyProfile,
    Outcome,
    Statistics,
    WorkerSpec,
)

__all__ = ["MS", "RT_MAX_NS", "Change", "Functions", "Replayed", "Sequence", "Server", "counts_of"]

MS = 1_000_000
RT_MAX_NS = 100 * MS


@dataclass(frozen=True)
class Server:
    """A worker: how long its batches take, exactly, in milliseconds by rows, and how many it takes at once."""

    points: tuple[tuple[int, float], ...]
    batches_in_flight_max: int = 1

    def profile(self) -> LatencyProfile:
        return LatencyProfile([rows for rows, _ in self.points], [round(each * MS) for _, each in self.points])

    def spec(self) -> WorkerSpec:
        return WorkerSpec(self.profile(), rows_max=8, batches_in_flight_max=self.batches_in_flight_max)


@dataclass(frozen=True)
class Functions:
    """What takes what workers cannot answer; each request costs a dollar.

    Attributes:
        latency_ms: of every request, exactly.
        concurrency_max: requests that the bouncer sends at once.
        cloud_max: functions that the cloud has, which throttles beyond; those of the bouncer if None.
        budget_usd_per_hour: that the bouncer keeps to; None for no limit.
        failures_max: in a row, that open the breaker; 0: none do.
        open_ms: for how long.
    """

    latency_ms: float = 40.0
    concurrency_max: int = 1000
    cloud_max: int | None = None
    budget_usd_per_hour: float | None = None
    failures_max: int = 0
    open_ms: float = 100.0

    @property
    def latency_ns(self) -> int:
        return round(self.latency_ms * MS)

    @property
    def functions_max(self) -> int:
        return self.concurrency_max if self.cloud_max is None else self.cloud_max

    def limits(self) -> BurstLimits:
        budget = math.inf if self.budget_usd_per_hour is None else self.budget_usd_per_hour
        return BurstLimits(budget_usd_per_hour=budget, failures_max=self.failures_max, open_ns=round(self.open_ms * MS))


@dataclass(frozen=True)
class Change:
    """What happens to a worker, before anything else of that instant."""

    at_ns: int
    kind: Literal["up", "down", "drain"]
    worker: int


@dataclass(frozen=True)
class Sequence:
    """Recorded arrivals, the workers that there are by number, and when they come and go; both in order of time."""

    instants_ns: tuple[int, ...]
    servers: Mapping[int, Server]
    changes: tuple[Change, ...]
    margin_ns: int = 2 * MS
    queue_requests_max: int = 4096
    admission: bool = True
    functions: Functions | None = None

    def params(self) -> DispatcherParams:
        return DispatcherParams(
            RT_MAX_NS,
            rows_max=8,
            margin_ns=self.margin_ns,
            queue_requests_max=self.queue_requests_max,
            admission=self.admission,
            burst_latency_ns=0 if self.functions is None else self.functions.latency_ns,
        )


@dataclass
class Replayed:
    """What a driver did with a sequence.

    Attributes:
        batches: when, to which worker, and which requests, by their order of arrival.
        trail: the counters of the request path after all that happened at each instant of an arrival, so that the
            answer at the door to each request is among them.
        bursts: what was decided on requests that workers cannot answer: when, on which, by their order of arrival.
        counts: the counters at the end.
        in_time: requests that were answered before their deadlines.
        late: those that were answered later.
        unanswered: all others.
    """

    batches: list[tuple[int, int, list[int]]] = field(default_factory=list)
    trail: list[tuple[int, dict[str, int]]] = field(default_factory=list)
    bursts: list[tuple[int, int, BurstVerdict]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    in_time: int = 0
    late: int = 0
    unanswered: int = 0


def counts_of(statistics: Statistics) -> dict[str, int]:
    """Every counter that does not depend on how large a request is in memory."""
    return {
        "submitted": statistics.submitted_requests,
        "queued": statistics.queued_requests,
        "in flight": statistics.in_flight_requests,
        "retried": statistics.retried_requests,
        "rows launched": statistics.dispatched_rows,
        "latency": statistics.latency_sum_ns,
        **{f"launched: {reason.name}": statistics.dispatched(reason) for reason in DispatchReason},
        **{outcome.name: statistics.ended(outcome) for outcome in Outcome},
    }
