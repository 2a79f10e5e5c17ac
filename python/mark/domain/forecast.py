"""How high the load may go."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Forecast"]


@dataclass(frozen=True, slots=True)
class Forecast:
    """The maximum rate expected in each of the next steps.

    Attributes:
        step_s: length of one step.
        rates_per_s: rows per second, one for each step; index 0 is the step that runs now.
        forecaster: name of the forecaster that made it.
    """

    step_s: float
    rates_per_s: tuple[float, ...]
    forecaster: str
