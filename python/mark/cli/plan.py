"""`mark plan`."""

from __future__ import annotations

import contextlib
import ctypes
import enum
import importlib.util
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mark.cli.option_checks import check_positive, check_within
from mark.cli.plan_forecast import flat_forecast, read_forecast
from mark.cli.plan_question import running_groups, scenario_of
from mark.cli.plan_report import PlanReport
from mark.domain.fleet_plan import RunningGroup
from mark.domain.forecast import Forecast
from mark.domain.scenario import Scenario
from mark.errors import ConfigError

__all__ = ["Policy", "plan"]

_STEP_S_MAX = 86_400
_HORIZON_STEPS_MAX = 1440  # a day of minutes


class Policy(enum.Enum):
    """How the plan is made."""

    GREEDY = "greedy"
    REFINED = "refined"


def plan(  # noqa: PLR0913, PLR0917 - every parameter is an option of the command line
    config: Annotated[str, typer.Argument(help="A configuration file, or a built-in scenario.")],
    rate: Annotated[float | None, typer.Option(help="Requests per second to carry, in every step.")] = None,
    forecast: Annotated[
        Path | None, typer.Option(help="Or a CSV of step,rate, second,requests or minute,requests.")
    ] = None,
    running: Annotated[
        list[str] | None, typer.Option(help="What runs already, as type=count; may be repeated.")
    ] = None,
    policy: Annotated[Policy, typer.Option(help="MArk's Algorithm 1, or the refined one.")] = Policy.REFINED,
    optimal_gap: Annotated[bool, typer.Option("--optimal-gap", help="Solve it exactly, too; needs SciPy.")] = False,
    catalog: Annotated[str | None, typer.Option(help="Prices to take: aws-2018 or aws-us-east-1.")] = None,
    spot: Annotated[bool, typer.Option("--spot", help="Offer the catalogue's types on spot, too.")] = False,
    model: Annotated[str | None, typer.Option(help="Which model of the file, where it has several.")] = None,
    step_s: Annotated[float | None, typer.Option(help="Seconds in a step; the scenario has its own.")] = None,
    horizon_steps: Annotated[int | None, typer.Option(help="Steps to plan; the scenario has its own.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Say which fleet would be rented for a load, why, and what it would cost. Nothing is launched.

    The built-in scenarios are the models of the MArk paper: paper/inception-v3, paper/nasnet, paper/lstm-ptb and
    paper/opennmt-ende. The load is carried as it is given: head-room is yours to add.

    Example: mark plan paper/inception-v3 --rate 50 --running c5.large=3
    """
    scenario = scenario_of(config, model, catalog, spot=spot)
    scenario = _stepped(scenario, step_s, horizon_steps)
    load, notes = _load(scenario, rate, forecast)
    scenario = replace(scenario, notes=(*scenario.notes, *notes))
    fleet = running_groups(running or (), scenario.offerings)
    if optimal_gap and importlib.util.find_spec("scipy") is None:
        raise ConfigError("--optimal-gap needs SciPy: pip install 'mark-serve[plan]'")
    report = _answer(scenario, load, fleet, policy, optimal_gap=optimal_gap)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2))
        return
    console = Console()
    console.print(report.as_table())
    for line in report.totals():
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _stepped(scenario: Scenario, step_s: float | None, horizon_steps: int | None) -> Scenario:
    """The scenario with the steps that were asked for."""
    if step_s is not None:
        check_positive({"--step-s": step_s})
        check_within("--step-s", step_s, 0, _STEP_S_MAX)
        scenario = replace(scenario, step_s=step_s)
    if horizon_steps is not None:
        check_within("--horizon-steps", horizon_steps, 1, _HORIZON_STEPS_MAX)
        scenario = replace(scenario, horizon_steps=horizon_steps)
    return scenario


def _load(scenario: Scenario, rate: float | None, file: Path | None) -> tuple[Forecast, tuple[str, ...]]:
    """The load that was asked about, and notes on it."""
    if rate is not None and file is None:
        return flat_forecast(rate, scenario), ()
    if file is not None and rate is None:
        return read_forecast(file, scenario)
    raise ConfigError("give either --rate or --forecast, and not both")


def _answer(
    scenario: Scenario, load: Forecast, fleet: Sequence[RunningGroup], policy: Policy, *, optimal_gap: bool
) -> PlanReport:
    from mark.policies.planning import PlanningOptions, plan_fleet  # late: the other commands do without it

    options = PlanningOptions(policy="greedy" if policy is Policy.GREEDY else "refined", serverless=scenario.serverless)
    question = (scenario.offerings, scenario.capacities, fleet, load, options)
    began_s = time.perf_counter()
    made = plan_fleet(*question)
    planned_ms = (time.perf_counter() - began_s) * 1e3
    if not optimal_gap:
        return PlanReport(scenario, load, made, planned_ms)
    from mark.policies.optimum import optimal_gap as gap_of  # SciPy, which a router does without

    began_s = time.perf_counter()
    with _native_output_on_stderr():
        gap = gap_of(*question, made)
    return PlanReport(scenario, load, made, planned_ms, gap, time.perf_counter() - began_s)


@contextlib.contextmanager
def _native_output_on_stderr() -> Iterator[None]:
    """HiGHS prints a line of its own now and then, told not to or not; JSON must stand alone."""
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        ctypes.CDLL(None).fflush(None)  # C has its own buffer, which may be written out only at the end
        os.dup2(stdout, 1)
        os.close(stdout)
