"""What `mark simulate` and `mark compare` are asked, checked before anything is simulated."""

from __future__ import annotations

import difflib
import tempfile
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from mark.app.simulated_scenario import simulated_scenario
from mark.app.simulation import POLICIES, SimulationQuestion
from mark.cli.option_checks import check_positive, check_within
from mark.domain.slo import Slo
from mark.errors import ConfigError

__all__ = [
    "AsJson",
    "CatalogName",
    "ForecastModel",
    "History",
    "Hours",
    "ModelName",
    "Scale",
    "ScenarioName",
    "Seed",
    "TracePath",
    "check_html",
    "check_policy",
    "check_question",
    "policies_of",
]

ScenarioName = Annotated[str, typer.Argument(help="A built-in scenario, or a configuration file.", metavar="SCENARIO")]
TracePath = Annotated[Path, typer.Option(help="The load: a CSV of second,requests or minute,requests.")]
Seed = Annotated[int, typer.Option(help="Makes arrivals and interruptions reproducible.")]
Hours = Annotated[float | None, typer.Option(help="Simulate only so much of the trace.")]
Scale = Annotated[float | None, typer.Option(help="Multiply the trace's rate.")]
ModelName = Annotated[str | None, typer.Option(help="Which model of the file, where it has several.")]
History = Annotated[
    float, typer.Option("--history-hours", help="So much of the trace comes first: known to forecasts, not simulated.")
]
ForecastModel = Annotated[
    Path | None, typer.Option(help="An LSTM of `mark forecast train`, for a built-in scenario with a history.")
]
CatalogName = Annotated[str | None, typer.Option(help="Prices of a built-in scenario: aws-2018 or aws-us-east-1.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


def check_question(question: SimulationQuestion) -> Slo:
    """Refuse what cannot be simulated; returns the promise of the scenario.

    Raises:
        ConfigError: naming the option, or what is wrong with the scenario.
    """
    check_positive({"--hours": question.hours, "--scale": question.scale})
    check_within("--seed", question.seed, 0)
    check_within("--history-hours", question.history_hours, 0.0)
    return simulated_scenario(question.scenario, question.model, question.catalog).scenario.slo


def check_policy(option: str, policy: str) -> str:
    """The policy, if there is one of that name.

    Raises:
        ConfigError: there is none; the message has the nearest name and all others.
    """
    if policy not in POLICIES:
        nearest = difflib.get_close_matches(policy, POLICIES, n=1, cutoff=0.0)[0]
        known = ", ".join(POLICIES)
        raise ConfigError(f"{option}: there is no policy {policy!r}; did you mean {nearest!r}? known are {known}")
    return policy


def policies_of(written: str) -> tuple[str, ...]:
    """The policies of a list with commas.

    Raises:
        ConfigError: it names none, one that there is not, or one twice.
    """
    policies = tuple(name.strip() for name in written.split(",") if name.strip())
    if not policies:
        raise ConfigError(f"--policies: names no policy; known are {', '.join(POLICIES)}")
    for policy, count in Counter(policies).items():
        check_policy("--policies", policy)
        if count > 1:
            raise ConfigError(f"--policies: {policy} is given {'twice' if count == 2 else f'{count} times'}")
    return policies


def check_html(html: Path) -> None:
    """Refuse beforehand what could not be written after the whole run, or not drawn.

    Raises:
        ConfigError: naming the option.
    """
    from mark.report import check_can_draw

    try:
        if html.is_dir():
            raise ConfigError(f"--html {html}: is a folder; name a file")
        if html.exists() and not html.is_file():
            raise ConfigError(f"--html {html}: is no file that could be replaced")
        folder = html.resolve().parent
        if not folder.is_dir():
            raise ConfigError(f"--html {html}: there is no folder {folder}; make it first")
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(f"--html {html}: cannot be written: {error.strerror}") from error
    check_can_draw()
