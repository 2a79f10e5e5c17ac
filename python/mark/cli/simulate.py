"""`mark simulate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mark.app.simulation import SimulationQuestion
from mark.cli.simulation_options import (
    AsJson,
    CatalogName,
    ForecastModel,
    History,
    Hours,
    ModelName,
    Scale,
    ScenarioName,
    Seed,
    TracePath,
    check_policy,
    check_question,
)
from mark.cli.simulation_run import simulate_all
from mark.cli.simulation_view import show

__all__ = ["simulate"]


def simulate(  # noqa: PLR0913, PLR0917 - every parameter is an option of the command line
    scenario: ScenarioName,
    trace: TracePath,
    policy: Annotated[str, typer.Option(help="How the fleet is sized.")] = "mark",
    seed: Seed = 0,
    hours: Hours = None,
    scale: Scale = None,
    model: ModelName = None,
    catalog: CatalogName = None,
    history: History = 0.0,
    forecast_model: ForecastModel = None,
    decision_log: Annotated[
        Path | None, typer.Option(help="Write a record of each decision to this file; mark explain tells it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a policy would have cost on a recorded load, and whether it would have kept the promise.

    The built-in scenarios are the models of the MArk paper: paper/inception-v3, paper/nasnet, paper/lstm-ptb and
    paper/opennmt-ende. Nothing is launched, and nothing is served.

    Example: mark simulate paper/inception-v3 --trace day.csv --policy mark
    """
    question = SimulationQuestion(
        scenario, model, trace, seed, hours, scale, catalog, history, forecast_model, decision_log
    )
    policies = (check_policy("--policy", policy),)
    slo = check_question(question)
    reports = simulate_all(question, policies)
    if as_json:
        typer.echo(json.dumps(reports[0].as_dict(), indent=2))
    else:
        show(Console(), reports, slo.sl_min)
