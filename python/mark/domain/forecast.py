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
        levels: of the quantiles, increasing, each in (0, 1); empty when only the bound is known.
        quantiles_per_s: for each level, rows per second in each step, before calibration; may reach less far than
            `rates_per_s`.
        fallback: why another forecaster stands in for the one that should have made it; empty when none does.
    """

    step_s: float
    rates_per_s: tuple[float, ...]
    forecaster: str
    levels: tuple[float, ...] = ()
    quantiles_per_s: tuple[tuple[float, ...], ...] = ()
    fallback: str = ""
