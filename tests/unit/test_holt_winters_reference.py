"""Holt-Winters here and in statsmodels, which nobody of this project wrote: the same forecasts."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.tsa.holtwinters import ExponentialSmoothing
from unit.forecast_series import SHORT_DAY, daily

from mark.forecast.fan import HORIZON_STEPS
from mark.forecast.holt_winters import DAMPING, HoltWinters, Smoothing


@pytest.mark.parametrize("smoothing", [Smoothing(0.2, 0.0, 0.2), Smoothing(0.5, 0.01, 0.05), Smoothing(0.05, 0.3, 0.5)])
def test_the_forecasts_are_those_of_statsmodels(smoothing: Smoothing) -> None:
    day = SHORT_DAY.day_steps
    past = daily(2)
    ours = HoltWinters(smoothing, SHORT_DAY).predict(past, 2 * day)

    first = past[:day]
    model = ExponentialSmoothing(
        past[day:], trend="add", damped_trend=True, seasonal="add", seasonal_periods=day,
        initialization_method="known", initial_level=first.mean(), initial_trend=0.0,
        initial_seasonal=first - first.mean(),
    )  # fmt: skip
    # It smooths the season by the error before the level has moved, ours by the one after: a factor between the two.
    fitted = model.fit(
        smoothing_level=smoothing.level,
        smoothing_trend=smoothing.trend,
        smoothing_seasonal=smoothing.season * (1 - smoothing.level),
        damping_trend=DAMPING,
        optimized=False,
    )

    assert ours.per_step[0] == pytest.approx(np.maximum(0.0, fitted.forecast(HORIZON_STEPS)), rel=1e-6)
