"""Forecasters that need no training."""

from __future__ import annotations

import numpy as np
import pytest

from mark.forecast.baselines import MovingMaximum


def test_the_forecast_is_the_recent_maximum_with_headroom() -> None:
    forecast = MovingMaximum(window_steps=3, headroom=1.5).forecast(np.array([90.0, 10.0, 40.0, 20.0]), 60.0, 4)

    assert forecast.rates_per_s == (60.0,) * 4
    assert (forecast.step_s, forecast.forecaster) == (60.0, "moving maximum")


def test_without_history_nothing_is_expected() -> None:
    assert MovingMaximum().forecast(np.array([]), 60.0, 2).rates_per_s == (0.0, 0.0)


@pytest.mark.parametrize(("window_steps", "headroom"), [(0, 1.2), (3, 0.0), (3, float("nan")), (3, float("inf"))])
def test_nonsense_is_refused(window_steps: int, headroom: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        MovingMaximum(window_steps, headroom)
