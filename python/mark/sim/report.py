"""From a world that has run to its report."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mark import _core
from mark.domain.simulation_report import Cost, LatencySummary, Served, SimulationReport, SimulationSeries
from mark.sim.world import World

__all__ = ["report_of"]

Floats = npt.NDArray[np.float64]


def report_of(world: World, names: tuple[str, str], duration_s: float, wall_s: float) -> SimulationReport:
    """The report of a world that has run and settled.

    Args:
        world: the world.
        names: of the scenario and of the policy.
        duration_s: what was simulated.
        wall_s: real seconds that it took.
    """
    engine = world.engine
    series = _series(world)
    spent = {market: float(usd.sum()) for market, usd in series.usd_by_market.items()}
    served = Served(
        instances=engine.ended(_core.Ending.INSTANCE),
        serverless=engine.ended(_core.Ending.SERVERLESS),
        refused=engine.ended(_core.Ending.REFUSED) + engine.ended(_core.Ending.SHED),
        late=engine.ended(_core.Ending.LATE),
    )
    in_time = served.instances + served.serverless
    return SimulationReport(
        scenario=names[0],
        policy=names[1],
        rt_max_ms=world.rt_max_ms,
        duration_s=duration_s,
        requests=engine.offered,
        cost=Cost(
            on_demand_usd=spent.get("on_demand", 0.0),
            spot_usd=spent.get("spot", 0.0),
            burstable_usd=spent.get("burstable", 0.0),
            serverless_usd=spent.get("serverless", 0.0),
        ),
        attainment=in_time / engine.offered if engine.offered else 1.0,
        latency=_latency(engine),
        served=served,
        interruptions=world.interrupted,
        wall_s=wall_s,
        series=series,
    )


def _latency(engine: _core.Simulation) -> LatencySummary:
    answered = int(engine.latency_buckets.sum())
    p50_ms, p98_ms, p99_ms = (engine.latency_quantile_ns(q) / 1e6 for q in (0.5, 0.98, 0.99))
    return LatencySummary(engine.latency_sum_ns / max(answered, 1) / 1e6, p50_ms, p98_ms, p99_ms)


def _series(world: World) -> SimulationSeries:
    engine, history = world.engine, world.history
    forecast_per_s = history.forecast_per_s()
    bins = len(forecast_per_s)
    buckets = engine.latency_buckets
    used = np.flatnonzero(buckets)
    kept = slice(0, int(used[-1]) + 1 if len(used) else 0)
    return SimulationSeries(
        bin_s=history.bin_s,
        offered=_padded(engine.offered_by_bin, bins),
        in_time=_padded(engine.in_time_by_bin, bins),
        serverless=_padded(engine.burst_by_bin, bins),
        latency_mean_ms=history.latency_mean_ms(),
        forecast_per_s=forecast_per_s,
        capacity_per_s=history.capacity_per_s(),
        usd_by_market=history.usd_by_market(),
        fleet=history.fleet(),
        latency_edges_ms=engine.latency_edges_ns[kept] / 1e6,
        latency_shares=np.cumsum(buckets[kept]) / max(int(buckets.sum()), 1),
    )


def _padded(counts: npt.NDArray[np.uint64], bins: int) -> Floats:
    """As many bins as there are: the engine knows none after the last arrival."""
    padded = np.zeros(bins, dtype=np.float64)
    padded[: min(bins, len(counts))] = counts[:bins]
    return padded
