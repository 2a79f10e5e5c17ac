"""Forecasters that need no training."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mark.domain.forecast import Forecast

__all__ = ["MovingMaximum", "SeasonalQuantile"]


@dataclass(frozen=True, slots=True)
class MovingMaximum:
    """The highest rate of the last steps, with head-room. Implements `mark.ports.Forecaster`.

    Attributes:
        window_steps: how many of the last entries of the history it looks back on.
        headroom: what the maximum is multiplied by.
    """

    window_steps: int = 10
    headroom: float = 1.2

    def __post_init__(self) -> None:
        if self.window_steps < 1 or not (self.headroom > 0 and math.isfinite(self.headroom)):
            raise ValueError("window_steps and headroom must be positive")

    def forecast(self, maxima_per_s: npt.NDArray[np.float64], step_s: float, horizon_steps: int) -> Forecast:
        """The same rate for every step; 0 before anything was seen."""
        recent = maxima_per_s[-self.window_steps :]
        rate = self.headroom * float(recent.max()) if len(recent) else 0.0
        return Forecast(step_s=step_s, rates_per_s=(rate,) * horizon_steps, forecaster="moving maximum")


@dataclass(frozen=True, slots=True)
class SeasonalQuantile:
    """How much higher than usual the load went at this phase of earlier periods. Implements `mark.ports.Forecaster`.

    The rate of a step is the level of now, the median of the last steps, times a quantile of the ratios of the same
    phase, each ratio being the highest rate near that phase of a period over that period's own median. A burst neither
    raises the level nor is taken to last; a load that has risen for good does after half of `level_steps`.

    Attributes:
        level: of the quantile, in (0, 1]; 1 asks for the highest.
        period_steps: steps of a period.
        periods: how many it looks back on.
        spread_steps: a phase is this many steps wide to either side.
        level_steps: steps whose median is the level of now.
        lasting_steps: for so many steps the load is taken to stay at least as high as it is in this one.
        headroom: what every rate is multiplied by.
        prior_ratio: how many times its level the load is taken to reach until all `periods` were seen.
    """

    level: float
    period_steps: int = 60
    periods: int = 12
    spread_steps: int = 1
    level_steps: int = 10
    lasting_steps: int = 10
    headroom: float = 1.0
    prior_ratio: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.level <= 1 or min(self.period_steps, self.periods, self.level_steps) < 1:
            raise ValueError("level must lie in (0, 1], period_steps, periods and level_steps be positive")
        if min(self.spread_steps, self.lasting_steps) < 0:
            raise ValueError("spread_steps and lasting_steps must not be negative")
        if not (0 < self.headroom < math.inf and 1 <= self.prior_ratio < math.inf):
            raise ValueError("headroom must be positive and prior_ratio 1 or more, both finite")

    def forecast(self, maxima_per_s: npt.NDArray[np.float64], step_s: float, horizon_steps: int) -> Forecast:
        """A rate for every step; 0 before anything was seen, and the level alone before a period was."""
        level_per_s = float(np.median(maxima_per_s[-self.level_steps :])) if len(maxima_per_s) else 0.0
        # Beyond a period the same phases come again.
        ratios = self._ratios(maxima_per_s, min(horizon_steps, self.period_steps))
        rates_per_s = level_per_s * np.resize(ratios, horizon_steps)
        if len(maxima_per_s):
            rates_per_s[: self.lasting_steps] = np.maximum(rates_per_s[: self.lasting_steps], maxima_per_s[-1])
        rates = tuple(float(rate) for rate in self.headroom * rates_per_s)
        return Forecast(step_s=step_s, rates_per_s=rates, forecaster="seasonal quantile")

    def _ratios(self, maxima_per_s: npt.NDArray[np.float64], horizon_steps: int) -> npt.NDArray[np.float64]:
        """One for each step of the horizon, at least 1; the first is of the step that runs now."""
        period, spread = self.period_steps, self.spread_steps
        periods = min(self.periods, (len(maxima_per_s) - 1 - spread) // period)
        prior = self.prior_ratio if periods < self.periods else 1.0
        if periods < 1:
            return np.full(horizon_steps, prior)
        now = len(maxima_per_s) - 1
        # By period, the latest first: its first step, its own median, and the steps that the horizon's phases fell on.
        firsts = now - period * np.arange(1, periods + 1)[:, np.newaxis]
        usual = np.median(maxima_per_s[now - periods * period : now].reshape(periods, period)[::-1], axis=1)
        index = firsts + np.arange(-spread, horizon_steps + spread)
        # What is not over yet is as unknown as the horizon: the period before stands in for it.
        index -= period * np.maximum(0, -((now - 1 - index) // period))
        values = maxima_per_s[np.clip(index, 0, now)]
        highest = np.lib.stride_tricks.sliding_window_view(values, 2 * spread + 1, axis=1).max(axis=2)
        known = usual > 0
        found = np.where(known[:, np.newaxis], highest / np.where(known, usual, 1.0)[:, np.newaxis], 1.0)
        ratios: npt.NDArray[np.float64] = np.quantile(found, self.level, axis=0)
        return np.maximum(prior, ratios)
