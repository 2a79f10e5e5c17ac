"""Forecasters that need no training."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mark.domain.forecast import Forecast

__all__ = ["MovingMaximum"]


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
