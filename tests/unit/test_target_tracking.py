"""Target tracking by the rules of AWS's alarms, a minute at a time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mark.policies.target_tracking import TargetTracking


def counts(tracking: TargetTracking, *loads_per_s: float) -> list[int]:
    return [tracking.desired(load_per_s) for load_per_s in loads_per_s]


def test_it_scales_out_after_three_minutes_above_the_target_to_what_the_last_asks_for() -> None:
    assert counts(TargetTracking(10.0), 95.0, 25.0, 31.0) == [1, 1, 4]


def test_a_minute_at_the_target_begins_the_three_minutes_anew() -> None:
    assert counts(TargetTracking(10.0), 11.0, 11.0, 10.0, 11.0, 11.0, 11.0) == [1, 1, 1, 1, 1, 2]


def test_a_load_that_goes_on_growing_is_followed_every_minute() -> None:
    assert counts(TargetTracking(10.0), 15.0, 25.0, 35.0, 45.0, 55.0, 65.0) == [1, 1, 4, 4, 4, 7]


def at_ten() -> TargetTracking:
    """A policy that wants ten instances, of ten each."""
    tracking = TargetTracking(10.0)
    assert counts(tracking, *[100.0] * 15)[-1] == 10
    return tracking


def test_it_scales_in_after_fifteen_minutes_below_nine_tenths_to_what_the_highest_asks_for() -> None:
    loads = [20.0] * 5 + [61.0] + [20.0] * 9

    assert counts(at_ten(), *loads) == [10] * 14 + [7]


def test_a_minute_at_nine_tenths_begins_the_fifteen_minutes_anew() -> None:
    assert counts(at_ten(), *[20.0] * 14, 90.0, *[20.0] * 15) == [10] * 29 + [2]


def test_fewer_than_the_minimum_are_never_wanted() -> None:
    tracking = TargetTracking(10.0, count_min=3)

    assert counts(tracking, *[0.0] * 20) == [3] * 20
    assert counts(tracking, *[45.0] * 3)[-1] == 5
    assert counts(tracking, *[0.0] * 15)[-1] == 3


def test_with_a_minimum_of_none_it_comes_back_from_nothing() -> None:
    tracking = TargetTracking(10.0, count_min=0)

    assert counts(tracking, 0.0, 0.0, 1.0, 1.0, 1.0) == [0, 0, 0, 0, 1]
    assert counts(tracking, *[0.0] * 15)[-1] == 0


@given(st.lists(st.floats(0.0, 1e4), min_size=16, max_size=60), st.integers(0, 5), st.floats(1.0, 100.0))
def test_it_only_moves_towards_the_load(loads: list[float], count_min: int, target_per_s: float) -> None:
    tracking = TargetTracking(target_per_s, count_min)
    before = count_min
    for minute, load in enumerate(loads, start=1):
        desired = tracking.desired(load)
        recent = loads[max(0, minute - 15) : minute]
        if desired > before:
            assert load > before * target_per_s
            assert (desired - 1) * target_per_s < load <= desired * target_per_s * (1 + 1e-9)
        if desired < before:
            assert len(recent) == 15
            assert max(recent) <= max(count_min, desired) * target_per_s * (1 + 1e-9)
        assert desired >= count_min
        before = desired


@given(st.floats(0.1, 1e4), st.floats(1.0, 100.0))
def test_under_a_constant_load_it_comes_to_rest(load: float, target_per_s: float) -> None:
    tracking = TargetTracking(target_per_s)
    settled = counts(tracking, *[load] * 40)[15:]

    assert len(set(settled)) == 1


@pytest.mark.parametrize(
    ("target_per_s", "count_min"), [(0.0, 1), (-1.0, 1), (float("inf"), 1), (float("nan"), 1), (1.0, -1)]
)
def test_nonsense_is_refused(target_per_s: float, count_min: int) -> None:
    with pytest.raises(ValueError, match="target_per_s must be positive and finite, count_min not negative"):
        TargetTracking(target_per_s, count_min)
