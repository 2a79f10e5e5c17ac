"""What a series of past rates must be like, and the rules for what it lacks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mark.errors import ForecastError

__all__ = ["Calendar", "checked_series", "fill_gaps"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calendar:
    """How many steps an hour and a day have."""

    hour_steps: int = 60
    day_steps: int = 1440

    def __post_init__(self) -> None:
        if self.hour_steps < 3 or self.day_steps != 24 * self.hour_steps:
            raise ForecastError(f"an hour must have 3 steps or more, and a day 24 times as many as an hour: not {self}")

    @classmethod
    def of_steps(cls, step_s: float) -> Calendar:
        """The calendar for steps of this length.

        Raises:
            ForecastError: an hour is no whole number of such steps.
        """
        steps = 3600.0 / step_s if step_s > 0 else 0.0
        if steps < 1 or abs(steps - round(steps)) > 1e-9:
            raise ForecastError(f"an hour must be a whole number of steps, which steps of {step_s} s are not")
        return cls(round(steps), 24 * round(steps))


def checked_series(maxima_per_s: FloatArray, steps_min: int) -> FloatArray:
    """The series as a flat float64 array.

    A series that is constant or all zero is fine: the forecast is then that it stays so.

    Raises:
        ForecastError: it is shorter than `steps_min`, or an entry is negative or no number: the message names it.
    """
    series = np.asarray(maxima_per_s, dtype=np.float64)
    if series.ndim != 1:
        raise ForecastError(f"a series must be flat, not of shape {series.shape}")
    wrong = ~(np.isfinite(series) & (series >= 0))
    if np.any(wrong):
        at = int(np.argmax(wrong))
        raise ForecastError(f"entry {at} of the series is {series[at]}: a rate is a number and not negative")
    if len(series) < steps_min:
        raise ForecastError(f"the series has {len(series)} steps, and {steps_min} are needed")
    return series


def fill_gaps(maxima_per_s: FloatArray, calendar: Calendar) -> FloatArray:
    """A copy in which every NaN is replaced by the rate a day earlier or, on the first day, by the last known one.

    Before the first known rate, that one stands in.

    Raises:
        ForecastError: nothing is known at all.
    """
    filled = np.array(maxima_per_s, dtype=np.float64)
    gaps = np.flatnonzero(np.isnan(filled))
    if len(gaps) == len(filled):
        raise ForecastError("the series holds no rate at all")
    first = float(filled[~np.isnan(filled)][0])
    for at in gaps.tolist():
        if at >= calendar.day_steps:
            filled[at] = filled[at - calendar.day_steps]
        else:
            filled[at] = filled[at - 1] if at else first
    return filled
