"""Samples in columns of time."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from unit.top_story import BEGAN_UNIX_S, sample_at

from mark.cli.top.columns import TimeColumns, coming_steps, expected_now
from mark.domain.forecast import Forecast
from mark.domain.sample import ModelSample


def at(second: float, load: float = 0.0) -> ModelSample:
    return replace(sample_at(0), unix_s=BEGAN_UNIX_S + second, load_per_s=load)


def load_of(sample: ModelSample) -> float:
    return sample.load_per_s


def drawn(
    loads: dict[float, float], end: float, span_s: float, count: int, *, lowest: bool = False
) -> list[float | None]:
    samples = [at(second, load) for second, load in loads.items()]
    values = TimeColumns(samples, BEGAN_UNIX_S + end, span_s, count).values(load_of, lowest=lowest)
    return [None if math.isnan(value) else value for value in values]


def test_columns_begin_at_multiples_of_their_length() -> None:
    for end in (10.0, 19.9):
        assert drawn({-20: 1.0, 9: 2.0, 10: 3.0}, end, 40, 4) == [1.0, 1.0, 2.0, 3.0]
    assert drawn({-20: 1.0, 9: 2.0, 10: 3.0}, 20, 40, 4) == [1.0, 2.0, 3.0, None]


@pytest.mark.parametrize(("lowest", "values"), [(False, [None, 9.0, 4.0]), (True, [None, 1.0, 3.0])])
def test_a_column_has_the_greatest_of_its_values_or_the_least(lowest: bool, values: list[float | None]) -> None:
    assert drawn({0: 1.0, 4: 9.0, 12: 3.0, 19: 4.0}, 19, 30, 3, lowest=lowest) == values


def test_a_value_holds_until_the_next_one() -> None:
    # Columns of 5 s, from -5 on.
    assert drawn({-5: 2.0, 12: 7.0, 20: 1.0}, 20, 30, 6) == [2.0, 2.0, 2.0, 7.0, 7.0, 1.0]


def test_a_gap_stays_empty() -> None:
    values = drawn({0: 1.0, 1: 1.0, 2: 1.0, 100: 5.0}, 100, 120, 12)

    assert values == [None, 1.0, *[None] * 9, 5.0]


def test_samples_that_all_are_far_apart_leave_no_gaps() -> None:
    """A router that runs for weeks keeps a point for every few minutes."""
    values = drawn({200.0 * number: 1.0 for number in range(10)}, 1_800, 2_000, 20)

    assert values[1:] == [1.0] * 19


def test_what_lies_before_the_first_column_reaches_into_it() -> None:
    assert drawn({-12: 6.0, 15: 1.0}, 19, 20, 2) == [6.0, 1.0]


def test_what_was_expected_is_the_bound_of_the_plan_before() -> None:
    assert expected_now(replace(at(0), foreseen_per_s={"bound": 12.0, "0.5": 3.0})) == 12.0
    assert math.isnan(expected_now(replace(at(0), foreseen_per_s={})))


def test_steps_to_come_begin_with_the_one_that_runs_now() -> None:
    forecast = Forecast(10.0, (5.0, 6.0, 7.0, 8.0), "lstm", (0.5, 0.9), ((1.0, 2.0, 3.0), (2.0, 9.0)))
    sample = replace(at(12), forecast=forecast, forecast_unix_s=BEGAN_UNIX_S)

    assert coming_steps(sample, 10) == [(2.0, 6.0, 9.0), (3.0, 7.0), (8.0,)]
    assert coming_steps(sample, 1) == [(2.0, 6.0, 9.0)]
    assert coming_steps(replace(sample, unix_s=BEGAN_UNIX_S + 99), 10) == []
    assert coming_steps(replace(sample, forecast=None), 10) == []
