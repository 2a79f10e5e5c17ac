"""Runs the simulations that a command was asked for, and shows how far they are."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from mark.app import simulation
from mark.app.simulation import SimulationQuestion
from mark.domain.simulation_report import SimulationReport
from mark.domain.trace import Trace
from mark.report import duration
from mark.workload.trace_file import read_trace

__all__ = ["ProgressBars", "simulate_all"]


class ProgressBars:
    """A bar for each policy: simulated time, and requests per second of real time.

    Args:
        console: where the bars go; nothing is shown where it is no terminal.
        trace: the load, to know how long a run is and how many requests come in it.
        question: says how much of the trace is simulated.
    """

    def __init__(self, console: Console, trace: Trace, question: SimulationQuestion) -> None:
        hours = math.inf if question.hours is None else question.hours
        self._total_s = min(trace.duration_s, hours * 3_600)
        self._bin_s = trace.bin_s
        self._arrived = np.append(0.0, np.cumsum(trace.counts)) * (question.scale or 1.0)
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
        requests = float(np.interp(done_s / self._bin_s, np.arange(len(self._arrived)), self._arrived))
        rate = f", {requests / wall_s:,.0f} requests/s" if wall_s > 0 else ""
        return f"{duration(done_s)} of {duration(self._total_s)}{rate}"


def simulate_all(question: SimulationQuestion, policies: Sequence[str]) -> list[SimulationReport]:
    """One report for each policy.

    Raises:
        ConfigError: the scenario or the trace cannot be used.
    """
    reports = []
    with ProgressBars(Console(stderr=True), read_trace(question.trace), question).shown() as bars:
        for policy in policies:
            on_progress = bars.begin(policy)
            reports.append(simulation.run(question, policy, on_progress))
            on_progress(reports[-1].duration_s)
    return reports
