"""The reference of the metrics, of the tables that the exporters are bound to."""

from __future__ import annotations

from mark.live.metric_table import ROUTER_METRICS
from mark.worker.metric_table import WORKER_METRICS

__all__ = ["metrics_page"]

_INTRODUCTION = """# Metrics

What a router exports at `/metrics` of `http.address`, and a worker at `--metrics-port`. `mark metrics list` prints the
same; [metrics, dashboard and alerts](../how-to/metrics.md) says what to do with them. This page is made of the tables
that the exporters are bound to.
"""


def metrics_page() -> str:
    """The page in Markdown."""
    parts = [_INTRODUCTION]
    for title, metrics in (("Of a router", ROUTER_METRICS), ("Of a worker", WORKER_METRICS)):
        rows = ["| name | | kind | labels |", "| --- | --- | --- | --- |"]
        rows += [
            f"| `{info.name}` | {info.meaning} | {info.kind.value} | {', '.join(f'`{name}`' for name in info.labels)} |"
            for info in metrics
        ]
        parts.append(f"## {title}\n\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)
