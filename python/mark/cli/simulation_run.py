"""Runs the simulations that a command was asked for, and shows how far they are."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from mark.app import simulation
from mark.app.simulation import SimulationQuestion
from mark.domain.simulation_report import SimulationReport
from mark.errors import ConfigError
from mark.report import duration
from mark.workload.trace_load import survey_trace

__all__ = ["ProgressBars", "simulate_all"]


class ProgressBars:
    """A bar for each policy: simulated time, and requests per second of real time.

    Args:
        console: where the bars go; nothing is shown where it is no terminal.
        total_s: how long a run is.
        mean_per_s: about how many requests a second it has.
    """

    def __init__(self, console: Console, total_s: float, mean_per_s: float) -> None:
        self._total_s = total_s
        self._mean_per_s = mean_per_s
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[done]}"), TimeRemainingColumn(),
            console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip

    @contextlib.contextmanager
    def shown(self) -> Iterator[ProgressBars]:
        """Show them for as long as this lasts."""
        with self._progress:
            yield self

    def begin(self, policy: str) -> Callable[[float], None]:
        """A new bar; the result is to be called with the simulated seconds that are done."""
        began_s = time.perf_counter()
        bar = self._progress.add_task(policy, total=self._total_s, done=self.words(0.0, 0.0))

        def on_progress(done_s: float) -> None:
            words = self.words(done_s, time.perf_counter() - began_s)
            self._progress.update(bar, completed=done_s, done=words)

        return on_progress

    def words(self, done_s: float, wall_s: float) -> str:
        """How far a run is that has taken that long."""
        rate = f", about {self._mean_per_s * done_s / wall_s:,.0f} requests/s" if wall_s > 0 else ""
        return f"{duration(done_s)} of {duration(self._total_s)}{rate}"


def simulate_all(question: SimulationQuestion, policies: Sequence[str]) -> list[SimulationReport]:
    """One report for each policy.

    Raises:
        ConfigError: the scenario or the trace cannot be used.
    """
    reports = []
    hours = None if question.hours is None else question.history_hours + question.hours
    survey = survey_trace(question.trace, hours)
    total_s = survey.duration_s - question.history_hours * 3600
    if total_s <= 0:
        raise ConfigError(
            f"--history-hours {question.history_hours:g}: {question.trace} has {survey.duration_s / 3600:.4g} hours; "
            "nothing is left to simulate"
        )
    total_s = min(total_s, math.inf if question.hours is None else question.hours * 3600)
    # Once for all policies: it may take a pass over the whole trace.
    question = replace(question, scale=simulation.scale_of(question))
    mean_per_s = survey.mean_per_s * (question.scale or 1.0)
    with ProgressBars(Console(stderr=True), total_s, mean_per_s).shown() as bars:
        for policy in policies:
            on_progress = bars.begin(policy)
            reports.append(simulation.run(question, policy, on_progress))
            on_progress(reports[-1].duration_s)
    return reports
