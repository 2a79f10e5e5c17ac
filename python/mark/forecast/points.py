"""Baselines that forecast a rate and know no quantiles: calibration alone makes bounds of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mark.forecast.fan import HORIZON_STEPS, QuantileFan, flat_fan
from mark.forecast.series import Calendar, checked_series

__all__ = ["LastValue", "MovingMaximumPoint", "SeasonalNaive"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LastValue:
    """The load stays as it is. Implements `QuantilePredictor`."""

    name: str = "last value"
    history_steps: int = 1

    def predict(self, history: FloatArray, first_step: int) -> QuantileFan:  # noqa: ARG002 - the time does not matter
        """The last rate for every step."""
        return flat_fan(np.full(HORIZON_STEPS, checked_series(history[-1:], 1)[0]))


@dataclass(frozen=True, slots=True)
class MovingMaximumPoint:
    """The load stays below the highest of the last steps. Implements `QuantilePredictor`.

    Attributes:
        window_steps: how many it looks back on; fewer at the beginning.
    """

    window_steps: int = 10
    name: str = "moving maximum"
    history_steps: int = 1

    def predict(self, history: FloatArray, first_step: int) -> QuantileFan:  # noqa: ARG002 - the time does not matter
        """The highest rate of the last steps for every step."""
        return flat_fan(np.full(HORIZON_STEPS, checked_series(history[-self.window_steps :], 1).max()))


@dataclass(frozen=True, slots=True)
class SeasonalNaive:
    """Each step is as it was a day ago. Implements `QuantilePredictor`."""

    calendar: Calendar = field(default_factory=Calendar)
    name: str = "seasonal naive"

    @property
    def history_steps(self) -> int:
        """A day."""
        return self.calendar.day_steps

    def predict(self, history: FloatArray, first_step: int) -> QuantileFan:  # noqa: ARG002 - a day ago is a day ago
        """The rates of the same steps a day ago; of a day shorter than the horizon, over again."""
        day = checked_series(history[-self.history_steps :], self.history_steps)
        return flat_fan(np.resize(day, HORIZON_STEPS))
