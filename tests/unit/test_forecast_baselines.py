"""Forecasters that need no training."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mark.forecast.baselines import MovingMaximum, SeasonalQuantile

Floats = npt.NDArray[np.float64]


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


# Seasonal quantile: periods of ten steps unless a test says otherwise.


def seasonal(level: float = 1.0, **changes: Any) -> SeasonalQuantile:
    settings = {"period_steps": 10, "periods": 4, "spread_steps": 0, "level_steps": 5, "lasting_steps": 2}
    return SeasonalQuantile(level, **(settings | changes))


def rates(forecaster: SeasonalQuantile, past: Floats, horizon_steps: int = 10) -> list[float]:
    return list(forecaster.forecast(past, 60.0, horizon_steps).rates_per_s)


def steady(steps: int, **bursts: float) -> Floats:
    """Ten a second, but in the steps that are named: at_3=20.0."""
    load = np.full(steps, 10.0)
    for name, rate in bursts.items():
        load[int(name.removeprefix("at_"))] = rate
    return load


def test_a_steady_load_gives_its_level() -> None:
    forecast = seasonal().forecast(steady(45), 60.0, 12)

    assert forecast.rates_per_s == (10.0,) * 12
    assert (forecast.step_s, forecast.forecaster) == (60.0, "seasonal quantile")


def test_a_burst_is_forecast_at_its_phase_and_not_elsewhere() -> None:
    # Step 40 runs now: a burst at 13, 23 and 33 comes again at 43.
    past = steady(41, at_13=30.0, at_23=40.0, at_33=20.0)

    assert rates(seasonal(1.0, periods=3), past) == [10.0] * 3 + [40.0] + [10.0] * 6
    assert rates(seasonal(0.5, periods=3), past) == [10.0] * 3 + [30.0] + [10.0] * 6


def test_a_phase_is_as_wide_as_told() -> None:
    past = steady(42, at_33=20.0, at_38=30.0)

    assert rates(seasonal(spread_steps=1), past) == [10.0, 20.0, 20.0, 20.0, 10.0, 10.0, 30.0, 30.0, 30.0, 10.0]


def test_a_burst_at_the_edge_of_the_horizon_is_seen_from_its_neighbours() -> None:
    # The step before the one that runs comes again as the last of the horizon; beyond it, the period before stands in.
    assert rates(seasonal(spread_steps=1, level_steps=9), steady(42, at_40=20.0))[-2:] == [20.0, 20.0]
    assert rates(seasonal(spread_steps=1), steady(42, at_31=20.0))[0] == 20.0
    # The step that runs is not over: what was seen of it says nothing of a period later.
    assert rates(seasonal(spread_steps=1), steady(42, at_41=20.0))[2:] == [10.0] * 8


def test_a_ratio_is_of_its_own_periods_median() -> None:
    # Twice the usual when the usual was 4, and now it is 10.
    past = np.concatenate([np.full(30, 4.0), np.full(11, 10.0)])
    past[23] = 8.0

    assert rates(seasonal(), past)[3] == 20.0


def test_a_level_between_two_ratios_lies_between_them() -> None:
    past = steady(41, at_3=10.0, at_13=20.0, at_23=30.0, at_33=40.0)

    assert rates(seasonal(2 / 3), past)[3] == pytest.approx(30.0)
    assert rates(seasonal(0.5), past)[3] == pytest.approx(25.0)
    assert rates(seasonal(1.0), past)[3] == pytest.approx(40.0)


def test_only_so_many_periods_are_looked_back_on() -> None:
    assert rates(seasonal(periods=2), steady(41, at_13=90.0, at_23=20.0))[3] == 20.0
    assert rates(seasonal(periods=3), steady(41, at_13=90.0, at_23=20.0))[3] == 90.0


def test_a_burst_of_now_lasts_for_the_lasting_steps_and_raises_no_level() -> None:
    assert rates(seasonal(lasting_steps=3), steady(41, at_40=70.0)) == [70.0] * 3 + [10.0] * 7
    assert rates(seasonal(lasting_steps=0), steady(41, at_40=70.0)) == [10.0] * 10


def test_a_load_that_has_risen_is_the_level_after_half_of_the_level_steps() -> None:
    past = np.concatenate([np.full(40, 10.0), np.full(2, 30.0)])
    assert rates(seasonal(), past, 8) == [30.0] * 2 + [10.0] * 6

    assert rates(seasonal(), np.append(past, 30.0), 8) == [30.0] * 8


def test_a_dip_below_the_usual_is_not_relied_on() -> None:
    assert rates(seasonal(), steady(41, at_3=1.0, at_13=1.0, at_23=1.0, at_33=1.0)) == [10.0] * 10


def test_after_the_horizon_of_a_period_comes_the_same_again() -> None:
    past = steady(41, at_23=30.0)

    assert rates(seasonal(), past, 35) == (rates(seasonal(), past, 10) * 4)[:35]


def test_a_load_that_doubled_a_period_ago_is_not_taken_to_double_again() -> None:
    past = np.concatenate([np.full(30, 10.0), np.full(11, 20.0)])

    assert rates(seasonal(), past, 30) == [20.0] * 30


def test_without_history_no_load_is_expected() -> None:
    assert rates(seasonal(), np.array([]), 3) == [0.0] * 3
    assert rates(seasonal(prior_ratio=2.0), np.array([]), 3) == [0.0] * 3


@pytest.mark.parametrize("steps", [1, 4, 10])
def test_before_a_period_was_seen_the_level_is_expected_times_the_prior(steps: int) -> None:
    assert rates(seasonal(), steady(steps), 3) == [10.0] * 3
    assert rates(seasonal(prior_ratio=1.5), steady(steps), 3) == [15.0] * 3


def test_the_prior_holds_until_all_periods_were_seen_but_not_against_what_was_seen() -> None:
    prior = seasonal(prior_ratio=1.5)

    assert rates(prior, steady(40, at_13=30.0), 6) == [15.0] * 4 + [30.0, 15.0]
    assert rates(prior, steady(41, at_13=30.0), 6) == [10.0] * 3 + [30.0, 10.0, 10.0]


def test_silence_gives_silence_and_divides_by_nothing() -> None:
    assert rates(seasonal(), np.zeros(45)) == [0.0] * 10
    assert rates(seasonal(), np.append(np.zeros(44), 5.0)) == [5.0] * 2 + [0.0] * 8
    assert rates(seasonal(), np.concatenate([np.zeros(30), np.full(11, 10.0)])) == [10.0] * 10


@pytest.mark.parametrize("level", [0.5, 0.9, 1.0])
def test_a_daily_trend_does_not_inflate_the_forecast_of_an_hour(level: float) -> None:
    minutes = np.arange(2 * 1440)
    load = 100.0 * (1 + 0.5 * np.sin(2 * np.pi * minutes / 1440))

    for now in range(1440, 2 * 1440 - 60, 97):
        highest = max(rates(SeasonalQuantile(level), load[:now], 60))
        assert highest <= 1.1 * load[now - 10 : now + 60].max()


@given(
    st.lists(st.floats(0.0, 1e3), min_size=0, max_size=80),
    st.sampled_from([0.25, 4.0, 1024.0]),
    st.integers(1, 25),
    st.floats(0.1, 1.0),
    st.integers(0, 2),
)
def test_the_forecast_is_linear_in_the_load(
    load: list[float], scale: float, horizon_steps: int, level: float, spread_steps: int
) -> None:
    forecaster = seasonal(level, spread_steps=spread_steps)
    past: Floats = np.array([round(rate, 3) for rate in load], dtype=np.float64)

    plain, scaled = rates(forecaster, past, horizon_steps), rates(forecaster, scale * past, horizon_steps)

    assert scaled == pytest.approx([scale * rate for rate in plain])
    assert len(plain) == horizon_steps
    if load:
        assert min(plain) >= np.median(past[-5:])
        assert min(plain[:2]) >= past[-1]


def test_head_room_is_on_every_rate() -> None:
    past = steady(41, at_33=20.0, at_40=50.0)

    assert rates(seasonal(headroom=1.5), past) == [1.5 * rate for rate in rates(seasonal(), past)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"level": 0.0}, {"level": 1.1}, {"level": float("nan")}, {"period_steps": 0}, {"periods": 0},
        {"level_steps": 0},
        {"spread_steps": -1}, {"lasting_steps": -1}, {"headroom": 0.0}, {"headroom": float("inf")},
        {"prior_ratio": 0.9}, {"prior_ratio": float("nan")},
    ],
)  # fmt: skip
def test_a_nonsensical_season_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must lie in|must not be negative|must be positive"):
        seasonal(**wrong)
