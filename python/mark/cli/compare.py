"""`mark compare`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mark.app.simulation import POLICIES, SimulationQuestion
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
    check_html,
    check_question,
    policies_of,
)
from mark.cli.simulation_run import simulate_all
from mark.cli.simulation_view import show
from mark.report import write_html

__all__ = ["compare"]


def compare(  # noqa: PLR0913, PLR0917 - every parameter is an option of the command line
    scenario: ScenarioName,
    trace: TracePath,
    policies: Annotated[str, typer.Option(help="Which, with commas between them.")] = ",".join(POLICIES),
    html: Annotated[Path | None, typer.Option(help="Write a page with plots to this file.")] = None,
    seed: Seed = 0,
    hours: Hours = None,
    scale: Scale = None,
    model: ModelName = None,
    catalog: CatalogName = None,
    history: History = 0.0,
    forecast_model: ForecastModel = None,
    as_json: AsJson = False,
) -> None:
    """Say which policy would have kept the promise on a recorded load at the least cost, and by how much.

    Every policy gets the same requests. Nothing is launched, and nothing is served.

    Example: mark compare paper/inception-v3 --trace day.csv --policies mark,reactive,peak-static --html day.html
    """
    question = SimulationQuestion(scenario, model, trace, seed, hours, scale, catalog, history, forecast_model)
    chosen = policies_of(policies)
    slo = check_question(question)
    if html is not None:
        check_html(html)
    reports = simulate_all(question, chosen)
    if as_json:
        answer = {"scenario": reports[0].scenario, "reports": [report.as_dict() for report in reports]}
        typer.echo(json.dumps(answer, indent=2))
    else:
        show(Console(), reports, slo.sl_min)
    if html is not None:  # last: whatever becomes of the file, the runs were not for nothing
        write_html(html, reports, f"Policies compared: {reports[0].scenario}", slo.sl_min)
        Console(stderr=True).print(f"wrote {html}", markup=False, highlight=False, soft_wrap=True)
