"""What a worker counts around its model and its throttle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from unit.metrics_world import Samples, parsed

from mark.protocol.metric_info import MetricKind
from mark.worker.metric_table import WORKER_METRICS
from mark.worker.metrics import WorkerCounts
from mark.worker.throttle import CpuCredits, CpuShare, CpuUse

ROWS = {"x": np.ones((3, 4), np.float32)}
A_SECOND = CpuUse(1.0, 1.0, 1.0)


def doubled(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"y": 2 * inputs["x"]}


def raising(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    raise RuntimeError("no such weights")


def samples(counts: WorkerCounts) -> Samples:
    registry = CollectorRegistry()
    registry.register(counts)
    return parsed(generate_latest(registry))


def value(counts: WorkerCounts, name: str, **labels: str) -> float:
    return samples(counts)[name, tuple(sorted({"model": "m", **labels}.items()))]


def test_a_model_answers_as_before_and_its_batches_and_rows_are_counted() -> None:
    counts = WorkerCounts("m")
    model = counts.around_model(doubled)

    assert model(ROWS)["y"].tolist() == [[2.0] * 4] * 3
    model(ROWS)

    assert value(counts, "mark_worker_batches_total", outcome="answered") == 2
    assert value(counts, "mark_worker_batches_total", outcome="raised") == 0
    assert value(counts, "mark_worker_rows_total") == 6
    assert value(counts, "mark_worker_compute_seconds_count") == 2


def test_a_model_that_raises_is_counted_and_raises() -> None:
    counts = WorkerCounts("m")

    with pytest.raises(RuntimeError, match="no such weights"):
        counts.around_model(raising)(ROWS)

    assert value(counts, "mark_worker_batches_total", outcome="raised") == 1
    assert value(counts, "mark_worker_rows_total") == 0
    assert value(counts, "mark_worker_compute_seconds_count") == 1


def test_what_is_idled_for_a_share_adds_up() -> None:
    counts = WorkerCounts("m")
    throttle = counts.around_throttle(CpuShare(0.25))

    assert throttle.idle_s(A_SECOND, 0.0) == pytest.approx(3.0)
    throttle.idle_s(A_SECOND, 4.0)

    assert value(counts, "mark_worker_idled_seconds_total") == pytest.approx(6.0)
    assert "mark_worker_credits_seconds" not in {name for name, _ in samples(counts)}


def test_credits_are_told_as_they_are_now() -> None:
    counts = WorkerCounts("m")
    now_s = CpuUse.now().wall_s
    throttle = counts.around_throttle(CpuCredits(CpuShare(1.0), 0.1, 100.0, now_s - 1.0))
    throttle.idle_s(A_SECOND, now_s)

    assert value(counts, "mark_worker_credits_seconds") == pytest.approx(99.1, abs=1.0)


def test_a_worker_on_credits_exports_every_metric_of_the_table_and_no_other() -> None:
    counts = WorkerCounts("m")
    counts.around_throttle(CpuCredits(CpuShare(1.0), 0.1, 100.0, CpuUse.now().wall_s))
    parts = {
        f"{info.name}_{part}": info.name
        for info in WORKER_METRICS
        if info.kind is MetricKind.HISTOGRAM
        for part in ("bucket", "sum", "count")
    }

    assert {parts.get(name, name) for name, _ in samples(counts)} == {info.name for info in WORKER_METRICS}
