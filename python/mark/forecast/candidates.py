"""The predictors that compete, and how each is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from mark.forecast.background import Fit
from mark.forecast.fan import QuantilePredictor
from mark.forecast.holt_winters import fit_holt_winters
from mark.forecast.linear import fit_linear
from mark.forecast.points import LastValue, MovingMaximumPoint, SeasonalNaive
from mark.forecast.series import Calendar
from mark.forecast.training import TrainingOptions, train_lstm

__all__ = ["point_predictors", "refit_steps", "standard_fits"]


def point_predictors(calendar: Calendar) -> tuple[QuantilePredictor, ...]:
    """Those that need no fit."""
    return (MovingMaximumPoint(), LastValue(), SeasonalNaive(calendar))


def standard_fits(calendar: Calendar, lstm: TrainingOptions | None = None) -> Mapping[str, Fit]:
    """How the others are fitted, by the names they have then; the LSTM, which needs torch, only with options for it."""
    fits: dict[str, Fit] = {
        "Holt-Winters": lambda series, _: fit_holt_winters(series, calendar),
        "linear quantiles": partial(fit_linear, calendar=calendar),
    }
    if lstm is not None:
        fits["lstm"] = partial(train_lstm, calendar=calendar, options=lstm)
    return fits


def refit_steps(calendar: Calendar) -> Mapping[str, int]:
    """How often each is fitted anew, in steps."""
    return {
        "Holt-Winters": calendar.day_steps,
        "linear quantiles": 6 * calendar.hour_steps,
        "lstm": calendar.day_steps,
    }
