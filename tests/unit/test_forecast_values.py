"""Losses, levels, fans and what a series must be like."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mark.errors import ForecastError
from mark.forecast.fan import HORIZON_STEPS, LEVELS, QuantileFan, flat_fan
from mark.forecast.linear import fan_of, monotone
from mark.forecast.loss import newsvendor_level, pinball
from mark.forecast.series import Calendar, checked_series, fill_gaps


def test_pinball_weighs_too_little_by_the_level_and_too_much_by_the_rest() -> None:
    losses = pinball(np.array([10.0, 10.0, 10.0]), np.array([8.0, 10.0, 13.0]), 0.9)

    assert losses == pytest.approx([1.8, 0.0, 0.3])


@given(st.floats(0.05, 0.95))
def test_pinball_is_least_at_the_quantile(level: float) -> None:
    truth = np.arange(1000.0)
    candidates = np.arange(0.0, 1000.0, 5.0)
    losses = [pinball(truth, np.full(1000, bound), level).mean() for bound in candidates]

    assert candidates[int(np.argmin(losses))] == pytest.approx(1000 * level, abs=6)


@pytest.mark.parametrize(
    ("overflow", "instance", "level"), [(10.0, 1.0, 0.9), (4.0, 1.0, 0.75), (1.0, 1.0, 0.5), (1e6, 1.0, 0.99)]
)
def test_the_level_is_the_newsvendors_ratio(overflow: float, instance: float, level: float) -> None:
    assert newsvendor_level(overflow, instance) == pytest.approx(level)


@pytest.mark.parametrize(("overflow", "instance"), [(0.0, 1.0), (1.0, -1.0), (float("nan"), 1.0), (1.0, float("inf"))])
def test_prices_that_are_none_have_no_level(overflow: float, instance: float) -> None:
    with pytest.raises(ForecastError, match="must be positive"):
        newsvendor_level(overflow, instance)


@given(st.integers(0, 2**32 - 1))
def test_any_network_output_becomes_a_monotone_fan(seed: int) -> None:
    raw = np.random.default_rng(seed).normal(size=(1, 2, len(LEVELS), HORIZON_STEPS))

    fan = fan_of(np.exp(monotone(raw))[0])

    assert np.all(np.diff(fan.per_step, axis=0) >= 0)
    assert np.all(np.diff(fan.running_max, axis=1) >= 0)


def test_a_level_between_two_is_interpolated_and_beyond_the_last_is_the_last() -> None:
    rows = np.arange(len(LEVELS), dtype=float)[:, np.newaxis] * np.ones(3)
    fan = QuantileFan(LEVELS, rows, 10 * rows)

    assert fan.at(0.925).tolist() == [pytest.approx([4.5] * 3), pytest.approx([45.0] * 3)]
    assert fan.at(0.999)[0].tolist() == [6.0] * 3
    assert fan.at(0.01)[0].tolist() == [0.0] * 3


@pytest.mark.parametrize("spoilt", [np.nan, np.inf, -1.0])
def test_a_fan_of_something_that_is_no_rate_is_refused(spoilt: float) -> None:
    with pytest.raises(ForecastError, match="finite and not negative"):
        flat_fan([1.0, spoilt, 1.0])


def test_a_fan_whose_quantiles_cross_is_refused() -> None:
    crossing = np.arange(len(LEVELS), 0, -1.0)[:, np.newaxis]
    with pytest.raises(ForecastError, match="decreases from one level"):
        QuantileFan(LEVELS, crossing, crossing)


@pytest.mark.parametrize(
    ("series", "words"),
    [
        ([1.0, 2.0], "2 steps, and 3 are needed"),
        ([1.0, np.nan, 2.0], "entry 1 of the series is nan"),
        ([1.0, 2.0, -3.0], "entry 2 of the series is -3.0"),
        ([np.inf, 2.0, 3.0], "entry 0"),
        ([[1.0, 2.0, 3.0]], "must be flat"),
    ],
)
def test_a_bad_series_is_refused_by_name(series: list[float], words: str) -> None:
    with pytest.raises(ForecastError, match=words):
        checked_series(np.array(series), 3)


def test_a_gap_is_filled_from_the_day_before() -> None:
    calendar = Calendar(3, 72)
    series = np.arange(150.0)
    series[[0, 5, 6, 100]] = np.nan

    filled = fill_gaps(series, calendar)

    assert filled[[0, 5, 6, 100]].tolist() == [1.0, 4.0, 4.0, 28.0]
    with pytest.raises(ForecastError, match="no rate at all"):
        fill_gaps(np.full(10, np.nan), calendar)


def test_a_calendar_needs_hours_of_whole_steps() -> None:
    assert Calendar.of_steps(60.0) == Calendar(60, 1440)
    for step_s in (0.0, 7.0, 1800.0):
        with pytest.raises(ForecastError, match="hour must"):
            Calendar.of_steps(step_s)
