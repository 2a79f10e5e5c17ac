"""`mark aws cost`."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime, timezone

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mark.app.aws import aws_settings
from mark.app.extra import needs_extra
from mark.cli.aws.options import AsJson, ConfigPath
from mark.config import load_config

__all__ = ["cost"]


def cost(config: ConfigPath, as_json: AsJson = False) -> None:
    """Say what the cluster's instances cost an hour, and have cost as far as EC2 still tells.

    EC2 forgets an instance about an hour after its end: `mark serve` says at its end what all of them have cost.

    Example: mark aws cost mark.yaml
    """
    settings = aws_settings(load_config(config))
    with needs_extra():
        from mark.cloud.aws.cost_report import cost_report
        from mark.cloud.aws.session import AwsSession
    report = cost_report(settings, AwsSession(settings))
    if as_json:
        totals = {"usd_per_hour": report.usd_per_hour, "usd": report.usd}
        typer.echo(json.dumps(asdict(report) | totals, indent=2))
        return
    title = f"cluster {settings.cluster} in {settings.region}"
    table = Table("offering", "market", title=title, title_justify="left", show_footer=True)
    for name in ("running", "stopped", "ended"):
        table.add_column(name, justify="right")
    table.add_column("$/h", f"{report.usd_per_hour:.4f}", justify="right")
    table.add_column("$ so far", f"{report.usd:.6f}", justify="right")
    for line in report.lines:
        counts = (str(line.running), str(line.stopped), str(line.ended))
        cells = (line.offering or "?", line.market, *counts, f"{line.usd_per_hour:.4f}", f"{line.usd:.6f}")
        table.add_row(*(Text(cell) for cell in cells))
    table.add_row(f"{report.volumes} volumes", "", "", "", "", f"{report.volumes_usd_per_hour:.4f}", "")
    Console().print(table)
    if report.oldest_at_s is not None:
        since = datetime.fromtimestamp(report.oldest_at_s, tz=timezone.utc)
        typer.echo(f"since {since:%Y-%m-%d %H:%M:%S} UTC, of instances that EC2 still tells of")
    unpriced = sum(line.unpriced for line in report.lines)
    if unpriced:
        typer.echo(f"{unpriced} instances have no known price and count as free")
    typer.echo(f"prices are {report.prices_age_s / 3600:.1f} h old")
