"""Made-up series for the tests of the forecasters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mark.forecast.fan import HORIZON_STEPS, QuantileFan, flat_fan
from mark.forecast.series import Calendar

SHORT_DAY = Calendar(hour_steps=3, day_steps=72)


def daily(days: int, calendar: Calendar = SHORT_DAY, seed: int = 0) -> npt.NDArray[np.float64]:
    """A daily wave around 100 rows per second with noise of a tenth."""
    steps = np.arange(days * calendar.day_steps)
    noise = np.random.default_rng(seed).lognormal(0.0, 0.1, len(steps))
    wave: npt.NDArray[np.float64] = (100 + 50 * np.sin(2 * np.pi * steps / calendar.day_steps)) * noise
    return wave


class Constant:
    """Predicts always the same rate."""

    def __init__(self, rate: float, name: str = "constant", history_steps: int = 1) -> None:
        self.rate, self.name, self.history_steps = rate, name, history_steps
        self.asked_at: list[int] = []

    def predict(self, history: npt.NDArray[np.float64], first_step: int) -> QuantileFan:
        self.asked_at.append(first_step)
        return flat_fan(np.full(HORIZON_STEPS, self.rate))
