"""What a simulated run came to: requests, dollars, and how both went over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Cost", "LatencySummary", "Served", "SimulationReport", "SimulationSeries"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cost:
    """Dollars, by what they were spent on."""

    on_demand_usd: float = 0.0
    spot_usd: float = 0.0
    burstable_usd: float = 0.0
    serverless_usd: float = 0.0

    @property
    def total_usd(self) -> float:
        """All of it."""
        return self.on_demand_usd + self.spot_usd + self.burstable_usd + self.serverless_usd


@dataclass(frozen=True, slots=True)
class Served:
    """What became of the requests; every one is counted once.

    Attributes:
        instances: answered in time by an instance.
        serverless: answered in time by a function.
        refused: not answered: refused at the door, given up in the queue, or lost.
        late: answered after the SLO, by whatever.
    """

    instances: int
    serverless: int
    refused: int
    late: int


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """Latency of what was answered, in milliseconds; quantiles to within 3.2 %."""

    mean_ms: float
    p50_ms: float
    p98_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class SimulationSeries:
    """How it went, in bins of equal length; each array has one entry a bin.

    Attributes:
        bin_s: length of a bin.
        offered: requests that arrived.
        in_time: of them, answered within the SLO.
        serverless: of them, sent to functions.
        latency_mean_ms: mean latency of what was answered in the bin, whenever it arrived; 0 where nothing was.
        forecast_per_s: the rate that was forecast for the bin when it began.
        capacity_per_s: requests per second that the ready instances could serve when it ended.
        usd_by_market: dollars spent in the bin; keys "on_demand", "spot", "burstable", "serverless".
        fleet: instances that were ready when the bin ended, by offering.
        latency_edges_ms: upper edges of the latency buckets of the whole run, increasing.
        latency_shares: share of the answered requests at or below each edge.
    """

    bin_s: float
    offered: Floats
    in_time: Floats
    serverless: Floats
    latency_mean_ms: Floats
    forecast_per_s: Floats
    capacity_per_s: Floats
    usd_by_market: Mapping[str, Floats]
    fleet: Mapping[str, Floats]
    latency_edges_ms: Floats
    latency_shares: Floats


@dataclass(frozen=True, slots=True, eq=False)
class SimulationReport:
    """One policy on one load.

    Attributes:
        scenario: its name.
        policy: its name.
        rt_max_ms: the SLO's longest response.
        duration_s: simulated time.
        requests: that arrived.
        cost: dollars.
        attainment: share of the requests that were answered in time; 1 when none arrived.
        latency: of what was answered.
        served: what became of the requests.
        interruptions: spot instances that the cloud took away.
        wall_s: real seconds that the simulation took; the one figure that differs from run to run.
        series: how it went over time.
        notes: in words, what was assumed.
    """

    scenario: str
    policy: str
    rt_max_ms: float
    duration_s: float
    requests: int
    cost: Cost
    attainment: float
    latency: LatencySummary
    served: Served
    interruptions: int
    wall_s: float
    series: SimulationSeries
    notes: tuple[str, ...] = ()

    @property
    def requests_per_s(self) -> float:
        """Simulated requests per real second."""
        return self.requests / max(self.wall_s, 1e-9)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-ready values, without the series."""
        cost, latency, served = self.cost, self.latency, self.served
        return {
            "scenario": self.scenario,
            "policy": self.policy,
            "duration_s": self.duration_s,
            "requests": self.requests,
            "cost_usd": {
                "total": cost.total_usd,
                "on_demand": cost.on_demand_usd,
                "spot": cost.spot_usd,
                "burstable": cost.burstable_usd,
                "serverless": cost.serverless_usd,
            },
            "attainment": self.attainment,
            "rt_max_ms": self.rt_max_ms,
            "latency_ms": {
                "mean": latency.mean_ms,
                "p50": latency.p50_ms,
                "p98": latency.p98_ms,
                "p99": latency.p99_ms,
            },
            "served": {
                "instances": served.instances,
                "serverless": served.serverless,
                "refused": served.refused,
                "late": served.late,
            },
            "interruptions": self.interruptions,
            "simulated_requests_per_second": self.requests_per_s,
            "notes": list(self.notes),
        }
