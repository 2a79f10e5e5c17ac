"""The predictors that compete, and how each is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import numpy.typing as npt

from mark.forecast.background import Fit
from mark.forecast.fan import HORIZON_STEPS, QuantilePredictor
from mark.forecast.features import SAMPLES_MIN, history_steps_of
from mark.forecast.holt_winters import fit_holt_winters
from mark.forecast.linear import fit_linear
from mark.forecast.points import LastValue, MovingMaximumPoint, SeasonalNaive
from mark.forecast.series import Calendar
from mark.forecast.training import TrainingOptions, train_lstm

__all__ = ["fit_steps_min", "point_predictors", "refit_steps", "standard_fits"]


def point_predictors(calendar: Calendar) -> tuple[QuantilePredictor, ...]:
    """Those that need no fit."""
    return (MovingMaximumPoint(), LastValue(), SeasonalNaive(calendar))


def standard_fits(calendar: Calendar, lstm: TrainingOptions | None = None) -> Mapping[str, Fit]:
    """How the others are fitted, by the names they have then; the LSTM, which needs torch, only with options for it."""
    fits: dict[str, Fit] = {
        "Holt-Winters": partial(_holt_winters, calendar=calendar),
        "linear quantiles": partial(fit_linear, calendar=calendar),
    }
    if lstm is not None:
        fits["lstm"] = partial(train_lstm, calendar=calendar, options=lstm)
    return fits


def _holt_winters(series: npt.NDArray[np.float64], first_step: int, calendar: Calendar) -> QuantilePredictor:  # noqa: ARG001 - whatever the time of day
    return fit_holt_winters(series, calendar)


def fit_steps_min(calendar: Calendar) -> Mapping[str, int]:
    """How many steps of history each fit needs."""
    trained = history_steps_of(calendar) + HORIZON_STEPS + SAMPLES_MIN
    return {"Holt-Winters": 3 * calendar.day_steps, "linear quantiles": trained, "lstm": trained}


def refit_steps(calendar: Calendar) -> Mapping[str, int]:
    """How often each is fitted anew, in steps."""
    return {
        "Holt-Winters": calendar.day_steps,
        "linear quantiles": calendar.day_steps,
        "lstm": 7 * calendar.day_steps,
    }
