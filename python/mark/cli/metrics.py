"""`mark metrics`."""

from __future__ import annotations

import typer

from mark.observability.files import alerts_yaml, dashboard_json

__all__ = ["metrics"]

metrics = typer.Typer(
    name="metrics", help="What Grafana and Prometheus need beside the metrics of a router.", no_args_is_help=True
)


@metrics.callback()
def _metrics() -> None:
    """What Grafana and Prometheus need beside the metrics of a router, at /metrics of http.address."""


@metrics.command()
def dashboard() -> None:
    """Print the Grafana dashboard, a JSON file to import.

    Example: mark metrics dashboard > mark-dashboard.json
    """
    typer.echo(dashboard_json(), nl=False)


@metrics.command()
def alerts() -> None:
    """Print the alert rules, a file for rule_files of Prometheus's configuration.

    Example: mark metrics alerts > mark-alerts.yaml
    """
    typer.echo(alerts_yaml(), nl=False)


@metrics.command(name="list")
def list_metrics() -> None:
    """Print a line for each metric: its name, kind, labels and meaning.

    Example: mark metrics list
    """
    from mark.live.metric_table import ROUTER_METRICS
    from mark.worker.metric_table import WORKER_METRICS

    for info in dict.fromkeys((*ROUTER_METRICS, *WORKER_METRICS)):
        labels = f"{{{', '.join(info.labels)}}}" if info.labels else ""
        typer.echo(f"{info.name}{labels} {info.kind.value}: {info.meaning}")
