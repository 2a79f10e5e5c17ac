"""`mark simulate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mark.app.simulation import SimulationQuestion
from mark.cli.simulation_options import check_policy, check_question
from mark.cli.simulation_run import simulate_all
from mark.cli.simulation_view import show

__all__ = ["simulate"]


def simulate(  # noqa: PLR0913, PLR0917 - every parameter is an option of the command line
    scenario: Annotated[str, typer.Argument(help="A built-in scenario, or a configuration file.")],
    trace: Annotated[Path, typer.Option(help="The load: a CSV of second,requests or minute,requests.")],
    policy: Annotated[str, typer.Option(help="How the fleet is sized.")] = "mark",
    seed: Annotated[int, typer.Option(help="Makes arrivals and interruptions reproducible.")] = 0,
    hours: Annotated[float | None, typer.Option(help="Simulate only so much of the trace.")] = None,
    scale: Annotated[float | None, typer.Option(help="Multiply the trace's rate.")] = None,
    model: Annotated[str | None, typer.Option(help="Which model of the file, where it has several.")] = None,
    catalog: Annotated[
        str | None, typer.Option(help="Prices of a built-in scenario: aws-2018 or aws-us-east-1.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Say what a policy would have cost on a recorded load, and whether it would have kept the promise.

    The built-in scenarios are the models of the MArk paper: paper/inception-v3, paper/nasnet, paper/lstm-ptb and
    paper/opennmt-ende. Nothing is launched, and nothing is served.

    Example: mark simulate paper/inception-v3 --trace day.csv --policy mark
    """
    question = SimulationQuestion(scenario, model, trace, seed, hours, scale, catalog)
    policies = (check_policy("--policy", policy),)
    slo = check_question(question)
    reports = simulate_all(question, policies)
    if as_json:
        typer.echo(json.dumps(reports[0].as_dict(), indent=2))
    else:
        show(Console(), reports, slo.sl_min)
