"""Figure 2 and section 5.1: what batches cost, how long they take, and how large they may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.paper.published import BATCH_COSTS, BATCH_LATENCIES, BATCH_LIMITS, BATCHES
from bench.paper.runs import scenario_of
from bench.paper.table import Table

from mark import _core

__all__ = ["BatchLimit", "batch_curves", "batch_limits_of", "curves_table", "limits_table"]

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class BatchLimit:
    """The largest batch, and how long its first request may wait for the others; (1, 0) for no batches."""

    n_batch: int
    w_batch_ms: float


def batch_curves() -> dict[Key, list[tuple[int, float]]]:
    """Latency by rows relative to a single request, of the profiles that the scenarios use."""
    found = {}
    for model, offering in BATCH_LATENCIES:
        points = scenario_of(model).profiles[offering].points
        found[model, offering] = [(point.rows, point.latency_ms / points[0].latency_ms) for point in points]
    return found


def curves_table(curves: Mapping[Key, list[tuple[int, float]]]) -> Table:
    """A row for each size of batch that is modelled."""
    rows = []
    for key, points in curves.items():
        for size, ratio in points[1:]:
            place = BATCHES.index(size)
            rows.append((
                *key,
                str(size),
                f"{BATCH_LATENCIES[key][place]:.2f}",
                f"{ratio:.2f}",
                f"{BATCH_COSTS[key][place]:.2f}",
                f"{ratio / size:.2f}",
            ))  # fmt: skip
    columns = ("model", "instance", "batch", "latency: paper", "ours", "cost of a request: paper", "ours")
    sentences = (
        "Latencies are the figure's by construction: profiles scale the prototype's time of a batch by it. Costs are "
        "latency over size; the paper's were measured on their own and differ by up to a quarter.",
        "What the prototype serves one by one (Inception-v3 on c5, all of LSTM-ptb) has no batches here, nor have "
        "sizes beyond its 2 on c5 and 8 on p2.",
    )
    return Table("Figure 2: batches relative to a single request", columns, rows, sentences)


def batch_limits_of() -> dict[Key, BatchLimit]:
    """What mark allows by MArk's two constraints, on the profiles that the scenarios use."""
    found = {}
    for model, offering in BATCH_LIMITS:
        simulated = scenario_of(model)
        profile = simulated.profiles[offering]
        core = _core.LatencyProfile(profile.rows, profile.latencies_ns)
        limits = _core.batch_limits(core, simulated.scenario.slo.rt_max_ns, simulated.rows_max[offering])
        if limits is None:
            found[model, offering] = BatchLimit(0, 0.0)
        else:
            found[model, offering] = BatchLimit(limits.n_batch, limits.w_batch_ns / 1e6)
    return found


def limits_table(found: Mapping[Key, BatchLimit]) -> Table:
    """N_batch and W_batch."""
    rows = []
    for key, limit in found.items():
        n_batch, w_batch_ms = BATCH_LIMITS[key]
        window = "" if w_batch_ms is None else f"{w_batch_ms:.0f}"
        ours = ("none meets the SLO", "") if limit.n_batch == 0 else (str(limit.n_batch), f"{limit.w_batch_ms:.0f}")
        rows.append((*key, str(n_batch), ours[0], window, ours[1]))
    columns = ("model", "instance", "N_batch: paper", "ours", "W_batch ms: paper", "ours")
    sentences = (
        "Ours is the largest window that both constraints allow, with the 99th percentile of a batch; how "
        "the paper chose its shorter ones is not said. It is a bound: a batch leaves before it when its first request "
        "could not wait longer, or when waiting gains nothing.",
        "NASNet and OpenNMT on p2.xlarge: the prototype's batches are of 8, and profiles end there. The paper's 750 ms "
        "for NASNet leave 250 ms for a batch of 16, and the prototype needs 632 ms for one of 8.",
        "OpenNMT on c5.xlarge: one request takes 1,364 ms on average, over 1,400 ms in one of a hundred.",
    )
    return Table("Section 5.1: limits of batches", columns, rows, sentences)
