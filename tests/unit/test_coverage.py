"""Realised coverage: each forecast is held against the load of its own step, and of no other."""

from __future__ import annotations

import pytest

from mark.controlplane.coverage import BOUND, Coverage
from mark.domain.forecast import Forecast

S = 1_000_000_000


def forecast(bound: float, *quantiles: float, step_s: float = 60.0) -> Forecast:
    levels = (0.5, 0.9)[: len(quantiles)]
    return Forecast(step_s, (bound, 1e9), "made", levels, tuple((each, 0.0) for each in quantiles))


def test_a_forecast_is_judged_by_the_load_of_the_step_that_it_was_made_for() -> None:
    coverage = Coverage()

    coverage.planned(0, 500.0, forecast(120.0, 80.0, 110.0))
    assert coverage.levels() == []

    coverage.planned(60 * S, 100.0, forecast(120.0, 80.0, 110.0))
    coverage.planned(120 * S, 115.0, forecast(120.0, 80.0, 110.0))

    assert coverage.levels() == [BOUND, 0.5, 0.9]
    assert [coverage.share(level) for level in coverage.levels()] == [1.0, 0.0, 0.5]
    assert coverage.steps(0.9) == 2


def test_a_load_of_just_the_quantile_is_within_it() -> None:
    coverage = Coverage()
    coverage.planned(0, 0.0, forecast(10.0, 10.0))

    coverage.planned(60 * S, 10.0, forecast(10.0, 10.0))

    assert coverage.share(BOUND) == coverage.share(0.5) == 1.0


@pytest.mark.parametrize("next_s", [1, 29, 91, 3600])
def test_a_plan_that_does_not_follow_after_one_step_judges_nothing(next_s: int) -> None:
    coverage = Coverage()
    coverage.planned(0, 0.0, forecast(10.0))

    coverage.planned(next_s * S, 99.0, forecast(10.0))

    assert coverage.levels() == []
    coverage.planned((next_s + 60) * S, 99.0, forecast(10.0))
    assert coverage.share(BOUND) == 0.0


def test_a_forecast_without_quantiles_has_its_bound_judged_alone() -> None:
    coverage = Coverage()
    coverage.planned(0, 0.0, forecast(10.0))

    coverage.planned(60 * S, 5.0, Forecast(60.0, (), "nothing"))
    coverage.planned(120 * S, 5.0, forecast(10.0))

    assert coverage.levels() == [BOUND]
    assert coverage.steps(BOUND) == 1


def test_only_the_last_steps_count() -> None:
    coverage = Coverage(steps_max=3)
    for step, load_per_s in enumerate([0.0, 99.0, 99.0, 1.0, 1.0, 1.0]):
        coverage.planned(step * 60 * S, load_per_s, forecast(10.0))

    assert coverage.share(BOUND) == 1.0
    assert coverage.steps(BOUND) == 3


def test_of_a_level_that_was_never_forecast_nothing_is_known() -> None:
    assert Coverage().share(0.99) == 1.0
    assert Coverage().steps(0.99) == 0
