"""The forecaster that knows the future."""

from __future__ import annotations

import numpy as np
import pytest

from mark.forecast.true_future import TrueFuture
from mark.testing import ManualClock

PAST = np.array([99.0])
RATES = np.array([1.0, 2.0, 3.0, 4.0])


def test_the_step_that_runs_now_comes_first_and_the_last_rate_holds_for_ever() -> None:
    clock = ManualClock()
    oracle = TrueFuture(RATES, clock, headroom=2.0)

    assert oracle.forecast(PAST, 60.0, 3).rates_per_s == (2.0, 4.0, 6.0)
    clock.advance_s(119.9)
    assert oracle.forecast(PAST, 60.0, 5).rates_per_s == (4.0, 6.0, 8.0, 8.0, 8.0)
    clock.advance_s(1e6)
    forecast = oracle.forecast(PAST, 60.0, 2)

    assert forecast.rates_per_s == (8.0, 8.0)
    assert (forecast.step_s, forecast.forecaster) == (60.0, "true future")


@pytest.mark.parametrize("step_s", [0.1, 0.7, 1.0, 60.0])
def test_a_step_begins_at_its_edge_in_spite_of_rounding(step_s: float) -> None:
    clock = ManualClock()
    oracle = TrueFuture(np.arange(200.0), clock)

    seen = []
    for _ in range(200):
        seen.append(oracle.forecast(PAST, step_s, 1).rates_per_s[0])
        clock.advance_s(step_s)

    assert seen == list(range(200))


def test_without_a_future_no_load_is_expected() -> None:
    assert TrueFuture(np.array([]), ManualClock()).forecast(PAST, 60.0, 2).rates_per_s == (0.0, 0.0)
