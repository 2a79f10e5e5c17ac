"""Exponential smoothing with a trend and a daily season (Holt 1957, Winters 1960; additive).

The recursion is written out here: with a season of 1440 steps and a forecast in every step the state has to move on,
and statsmodels goes over the whole history for each (docs/decisions/0013). The tests compare both.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mark.forecast.fan import HORIZON_STEPS, QuantileFan, flat_fan
from mark.forecast.series import Calendar, checked_series

__all__ = ["DAMPING", "HoltWinters", "Smoothing", "fit_holt_winters"]

FloatArray = npt.NDArray[np.float64]

_LEVELS = (0.05, 0.1, 0.2, 0.4, 0.7)
_TRENDS = (0.0, 0.01)
_SEASONS = (0.05, 0.2, 0.5)
DAMPING = 0.98  # of the trend, for each step: an hour's extrapolation of a minute's noise is none


@dataclass(frozen=True, slots=True)
class Smoothing:
    """How fast level, trend and season follow, each from 0 to 1."""

    level: float = 0.2
    trend: float = 0.0
    season: float = 0.2


@dataclass(slots=True, eq=False)
class _State:
    """All that the past left behind, until before step `next_step`."""

    next_step: int
    level: float
    trend: float
    season: list[float]

    def smooth(self, rate: float, smoothing: Smoothing) -> None:
        phase = self.next_step % len(self.season)
        season, expected = self.season[phase], self.level + DAMPING * self.trend
        level = expected + smoothing.level * (rate - season - expected)
        self.trend = DAMPING * self.trend + smoothing.trend * (level - expected)
        self.season[phase] = season + smoothing.season * (rate - level - season)
        self.level = level
        self.next_step += 1


class HoltWinters:
    """Additive Holt-Winters with a damped trend. Implements `QuantilePredictor`.

    It keeps its state from one step to the next; after a jump in time it begins anew from the history.

    Thread safety: predictions may run on any threads at once; each works on a copy of the state.
    """

    def __init__(self, smoothing: Smoothing | None = None, calendar: Calendar | None = None) -> None:
        self._smoothing = smoothing or Smoothing()
        self._calendar = calendar or Calendar()
        self._state: _State | None = None

    @property
    def name(self) -> str:
        """As it is called in decisions."""
        return "Holt-Winters"

    @property
    def smoothing(self) -> Smoothing:
        """How fast it follows."""
        return self._smoothing

    @property
    def history_steps(self) -> int:
        """Two days: one to begin with and one to smooth."""
        return 2 * self._calendar.day_steps

    def predict(self, history: FloatArray, first_step: int) -> QuantileFan:
        """Level, damped trend and season of each step, 0 at the least."""
        state = self._moved_on(history, first_step)
        self._state = state
        steps = np.arange(1, HORIZON_STEPS + 1)
        damped = state.trend * np.cumsum(DAMPING**steps)
        season = np.take(state.season, np.arange(first_step, first_step + HORIZON_STEPS), mode="wrap")
        return flat_fan(np.maximum(0.0, state.level + damped + season))

    def _moved_on(self, history: FloatArray, first_step: int) -> _State:
        last, day = self._state, self._calendar.day_steps
        if last is not None and 0 <= first_step - last.next_step < min(day, len(history) + 1):
            state = replace(last, season=last.season.copy())
        else:
            past = checked_series(history[-self.history_steps :], self.history_steps)
            state = _begin(past[:day], first_step - self.history_steps)
        missed = first_step - state.next_step
        for rate in checked_series(history[len(history) - missed :], missed).tolist():
            state.smooth(rate, self._smoothing)
        return state


def _begin(day: FloatArray, first_step: int) -> _State:
    level = float(day.mean())
    season = np.roll(day - level, first_step % len(day)).tolist()
    return _State(first_step + len(day), level, 0.0, season)


def fit_holt_winters(series: FloatArray, calendar: Calendar | None = None) -> HoltWinters:
    """The smoothing, out of a grid, with the least squared error ten steps ahead over the series.

    Raises:
        ForecastError: the series cannot be used, or is shorter than three days.
    """
    calendar = calendar or Calendar()
    day = calendar.day_steps
    known = checked_series(series, 3 * day)
    grid = np.array(list(itertools.product(_LEVELS, _TRENDS, _SEASONS)))
    follow_level, follow_trend, follow_season = grid.T
    level = np.full(len(grid), known[:day].mean())
    trend, errors = np.zeros(len(grid)), np.zeros(len(grid))
    seasons = np.tile((known[:day] - known[:day].mean())[:, np.newaxis], len(grid))
    for step in range(day, len(known) - 10):
        season, expected = seasons[step % day], level + DAMPING * trend
        new_level = expected + follow_level * (known[step] - season - expected)
        trend = DAMPING * trend + follow_trend * (new_level - expected)
        seasons[step % day] = season + follow_season * (known[step] - new_level - season)
        level = new_level
        if step >= 2 * day:
            errors += (known[step + 10] - level - 10 * trend - seasons[(step + 10) % day]) ** 2
    return HoltWinters(Smoothing(*grid[int(np.argmin(errors))].tolist()), calendar)
