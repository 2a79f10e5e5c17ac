"""Every metric that a worker exports: its name, kind, labels and meaning."""

from __future__ import annotations

from typing import Final

from mark.protocol.metric_info import MetricInfo, MetricKind

__all__ = ["WORKER_METRICS"]

_C, _G, _H = MetricKind.COUNTER, MetricKind.GAUGE, MetricKind.HISTOGRAM
_MODEL = ("model",)

WORKER_METRICS: Final = (
    MetricInfo("mark_build_info", _G, "1, with the version.", ("version",)),
    MetricInfo(
        "mark_worker_batches_total", _C, "Batches that the model ran on, by how they ended.", ("model", "outcome")
    ),
    MetricInfo("mark_worker_rows_total", _C, "Rows that the model answered.", _MODEL),
    MetricInfo("mark_worker_compute_seconds", _H, "How long the model took for a batch.", _MODEL),
    MetricInfo(
        "mark_worker_idled_seconds_total",
        _C,
        "Time that was idled after batches, for the share of the CPU or for want of credits.",
        _MODEL,
    ),
    MetricInfo("mark_worker_credits_seconds", _G, "Full speed that is left, of a burstable worker.", _MODEL),
)
"""What a worker exports, but for what every process does."""
