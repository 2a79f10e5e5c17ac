"""Exponential smoothing with a trend and a daily season (Holt 1957, Winters 1960; additive).

The recursion is written out here: a season of 1440 steps and a forecast in every step need a state that moves on, and
the libraries that fit the method (statsmodels, statsforecast) take no new value without fitting the whole again.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mark.forecast.fan import HORIZON_STEPS, QuantileFan, flat_fan
from mark.forecast.series import Calendar, checked_series

__all__ = ["HoltWinters", "Smoothing", "fit_holt_winters"]

FloatArray = npt.NDArray[np.float64]

_LEVELS = (0.05, 0.1, 0.2, 0.4, 0.7)
_TRENDS = (0.0, 0.01)
_SEASONS = (0.05, 0.2, 0.5)
_DAMPING = 0.98  # of the trend, for each step: an hour's extrapolation of a minute's noise is none


@dataclass(frozen=True, slots=True)
class Smoothing:
    """How fast level, trend and season follow, each from 0 to 1."""

    level: float = 0.2
    trend: float = 0.0
    season: float = 0.2


class HoltWinters:
    """Additive Holt-Winters with a damped trend. Implements `QuantilePredictor`.

    It keeps its state from one step to the next; after a jump in time it begins anew from the history.

    Thread safety: none.
    """

    def __init__(self, smoothing: Smoothing | None = None, calendar: Calendar | None = None) -> None:
        self._smoothing = smoothing or Smoothing()
        self._calendar = calendar or Calendar()
        self._next_step = -1
        self._level = self._trend = 0.0
        self._season: list[float] = []

    @property
    def name(self) -> str:
        """As it is called in decisions."""
        return "Holt-Winters"

    @property
    def history_steps(self) -> int:
        """Two days: one to begin with and one to smooth."""
        return 2 * self._calendar.day_steps

    def predict(self, history: FloatArray, first_step: int) -> QuantileFan:
        """Level, damped trend and season of each step, 0 at the least."""
        missed = first_step - self._next_step
        if self._next_step < 0 or not 0 <= missed < self._calendar.day_steps:
            missed = self.history_steps - self._calendar.day_steps
            past = checked_series(history[-self.history_steps :], self.history_steps)
            self._begin(past[: self._calendar.day_steps], first_step - self.history_steps)
        past = checked_series(history[len(history) - missed :], missed)
        self._next_step = first_step - missed
        for rate in past.tolist():
            self._smooth(rate)
        steps = np.arange(1, HORIZON_STEPS + 1)
        damped = self._trend * np.cumsum(_DAMPING**steps)
        season = np.take(self._season, np.arange(first_step, first_step + HORIZON_STEPS), mode="wrap")
        return flat_fan(np.maximum(0.0, self._level + damped + season))

    def _begin(self, day: FloatArray, first_step: int) -> None:
        self._level, self._trend = float(day.mean()), 0.0
        self._season = np.roll(day - self._level, first_step % len(day)).tolist()

    def _smooth(self, rate: float) -> None:
        phase, smoothing = self._next_step % self._calendar.day_steps, self._smoothing
        season, expected = self._season[phase], self._level + _DAMPING * self._trend
        level = expected + smoothing.level * (rate - season - expected)
        self._trend = _DAMPING * self._trend + smoothing.trend * (level - expected)
        self._season[phase] = season + smoothing.season * (rate - level - season)
        self._level = level
        self._next_step += 1


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
        season, expected = seasons[step % day], level + _DAMPING * trend
        new_level = expected + follow_level * (known[step] - season - expected)
        trend = _DAMPING * trend + follow_trend * (new_level - expected)
        seasons[step % day] = season + follow_season * (known[step] - new_level - season)
        level = new_level
        if step >= 2 * day:
            errors += (known[step + 10] - level - 10 * trend - seasons[(step + 10) % day]) ** 2
    return HoltWinters(Smoothing(*grid[int(np.argmin(errors))].tolist()), calendar)
