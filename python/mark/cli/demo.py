"""`mark demo`."""

from __future__ import annotations

import asyncio
import enum
import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mark.cli.option_checks import check_positive, check_within
from mark.demo.run import DemoParams, run_demo
from mark.errors import ConfigError

__all__ = ["demo"]


class Provider(enum.Enum):
    """What the demo rents from."""

    LOCAL = "local"
    AWS = "aws"


def demo(
    folder: Annotated[Path, typer.Option(help="Where the model, the configuration and the picture go.")] = Path(
        "mark-demo"
    ),
    duration_s: Annotated[float, typer.Option(help="How long the load lasts.")] = 60.0,
    peak_rate: Annotated[float, typer.Option(help="Requests per second at the top of the day.")] = 220.0,
    seed: Annotated[int, typer.Option(help="Of the arrivals.")] = 1,
    provider: Annotated[
        Provider, typer.Option(help="What to rent from: this machine, or a fake AWS on it; the latter needs [testing].")
    ] = Provider.LOCAL,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON report and nothing else.")] = False,
) -> None:
    """Train, profile and serve a real model on this machine, drive it for a minute, and report SLO and cost.

    Ends with exit code 1 when an answer was wrong, the promise was broken, or a fleet sized for the peak was cheaper.

    Example: mark demo --duration-s 60
    """
    check_positive({"--duration-s": duration_s, "--peak-rate": peak_rate})
    check_within("--seed", seed, 0)
    console = Console(stderr=as_json, quiet=as_json)
    folder = folder.absolute()
    _prepare(folder)
    report = asyncio.run(run_demo(DemoParams(folder, duration_s, peak_rate, seed, provider.value), console))
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2))
    else:
        console.print(report.as_table())
    if not report.kept:
        raise typer.Exit(1)


def _prepare(folder: Path) -> None:
    """Make the folder, and make sure beforehand that files can be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(f"--folder {folder}: cannot be written to: {error.strerror}") from error
