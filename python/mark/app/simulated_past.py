"""What is known when a simulation begins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mark.app.simulated_scenario import SimulatedScenario
from mark.domain.load import Load
from mark.errors import ConfigError
from mark.sim.load_feed import offered_counts
from mark.workload.load_part import LoadPart

__all__ = ["NO_PAST", "Past", "first_step_of", "maxima_of", "past_of", "scene_s_of"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """The load before the clock's zero, and what was learnt from it.

    Attributes:
        maxima_per_s: highest rate of each step, as a controller would have seen it; empty when nothing is known.
        duration_s: how much of the load that is.
        forecast_model: file of an LSTM that was trained before, for the champion of a built-in scenario.
        scene_s: how long the load's first rate goes before the load; None for what is usual.
        first_step: number of the step at the clock's zero, counted from a midnight; None for what is usual.
    """

    maxima_per_s: FloatArray
    duration_s: float = 0.0
    forecast_model: Path | None = None
    scene_s: float | None = None
    first_step: int | None = None

    def rest_of(self, load: Load) -> Load:
        """What is left to simulate of the load that this was the beginning of."""
        return LoadPart(load, from_s=self.duration_s) if self.duration_s else load


NO_PAST = Past(np.empty(0))


def past_of(
    load: Load, simulated: SimulatedScenario, history_s: float, seed: int, forecast_model: Path | None = None
) -> Past:
    """The first `history_s` of a load, but for its last minutes, which are the simulation's warm-up.

    Raises:
        ConfigError: it is shorter than the warm-up, or the load cannot be read.
    """
    if history_s <= 0:
        if forecast_model is not None:
            raise ConfigError(f"--forecast-model {forecast_model}: a forecast needs a past; give --history-hours, too")
        return NO_PAST
    if forecast_model is not None and simulated.model is not None:
        raise ConfigError(
            f"--forecast-model {forecast_model}: a configuration names its own; use controller.forecast.model"
        )
    step_s = simulated.scenario.step_s
    duration_s = (history_s - simulated.warmup_s) // step_s * step_s
    if duration_s < step_s:
        raise ConfigError(
            f"--history-hours {history_s / 3600:g}: the last {simulated.warmup_s / 3600:g} hours of it are the "
            "warm-up; give more, or none"
        )
    counts = offered_counts(LoadPart(load, until_s=duration_s), 0.0, seed, simulated.window_s)
    return Past(maxima_of(counts, simulated), duration_s, forecast_model)


def maxima_of(counts: npt.NDArray[np.uint64], simulated: SimulatedScenario) -> FloatArray:
    """Highest rate of each step, from the requests in each window."""
    windows = round(simulated.scenario.step_s / simulated.window_s)
    padded = np.pad(counts, (0, -len(counts) % windows)).astype(np.float64)
    maxima: FloatArray = padded.reshape(-1, windows).max(axis=1) / simulated.window_s
    return maxima


def scene_s_of(simulated: SimulatedScenario, past: Past) -> float:
    """How long the load's first rate goes before it, where no past says what did."""
    if past.scene_s is not None:
        return past.scene_s
    return 0.0 if past.duration_s else simulated.warmup_s


def first_step_of(simulated: SimulatedScenario, past: Past) -> int:
    """Number of the step at the clock's zero; the load begins at a midnight where nobody says when it did."""
    if past.first_step is not None:
        return past.first_step
    return round((past.duration_s - scene_s_of(simulated, past)) / simulated.scenario.step_s)
