"""Simulates a policy on a load. A placeholder: it holds what is asked, and `run` is not written yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mark.domain.simulation_report import SimulationReport

__all__ = ["POLICIES", "SimulationQuestion", "run"]

POLICIES: tuple[str, ...] = (
    "mark",
    "mark-spot",
    "mark-no-batching",
    "mark-no-serverless",
    "mark-no-forecast",
    "oracle",
    "sagemaker",
    "reactive",
    "peak-static",
    "serverless-only",
)


@dataclass(frozen=True, slots=True)
class SimulationQuestion:
    """What is simulated, whatever the policy.

    Attributes:
        scenario: name of a built-in one, or path of a configuration file.
        model: which of the file's models; None where it has but one.
        trace: the load, as a trace file.
        seed: makes arrivals and interruptions reproducible.
        hours: how much of the trace, from its beginning; None for all of it.
        scale: what its rates are multiplied by; None for nothing.
    """

    scenario: str
    model: str | None
    trace: Path
    seed: int
    hours: float | None
    scale: float | None


def run(
    question: SimulationQuestion, policy: str, on_progress: Callable[[float], None] | None = None
) -> SimulationReport:
    """Simulate one policy.

    Args:
        question: the scenario and the load.
        policy: one of `POLICIES`.
        on_progress: called now and then with the simulated seconds that are done.

    Raises:
        ConfigError: the scenario or the trace cannot be used.
    """
    raise NotImplementedError
