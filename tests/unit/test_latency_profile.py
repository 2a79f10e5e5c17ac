from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mark._core import LatencyProfile


def test_a_measured_batch_size_is_predicted_as_measured() -> None:
    profile = LatencyProfile([1, 4, 16], [5_000, 8_000, 20_000])
    assert [profile.predict_ns(rows) for rows in (1, 4, 16)] == [5_000, 8_000, 20_000]


def test_between_two_points_the_prediction_is_linear() -> None:
    profile = LatencyProfile([1, 4, 16], [5_000, 8_000, 20_000])
    assert [profile.predict_ns(rows) for rows in (2, 3, 10)] == [6_000, 7_000, 14_000]


def test_fewer_rows_than_were_measured_are_not_taken_to_be_faster() -> None:
    assert LatencyProfile([4, 8], [8_000, 9_000]).predict_ns(1) == 8_000


def test_above_the_largest_point_the_last_slope_goes_on() -> None:
    assert LatencyProfile([1, 4], [5_000, 8_000]).predict_ns(10) == 14_000
    assert LatencyProfile([2], [6_000]).predict_ns(10) == 30_000


def test_a_later_point_is_never_faster_than_an_earlier_one() -> None:
    profile = LatencyProfile([1, 2, 4], [5_000, 4_000, 6_000])
    assert [profile.predict_ns(rows) for rows in (1, 2, 3, 4)] == [5_000, 5_000, 5_500, 6_000]


def test_a_prediction_is_at_least_one_nanosecond_and_at_most_a_day() -> None:
    assert LatencyProfile([100], [1]).predict_ns(1) == 1
    assert LatencyProfile([1], [3_600_000_000_000]).predict_ns(2**31 - 1) == 86_400_000_000_000


@pytest.mark.parametrize(
    ("rows", "latencies_ns", "message"),
    [
        ([], [], "no points"),
        ([1, 2], [5], "2 rows but 1 latencies"),
        ([2, 1], [5, 6], "point 1 has 1 rows after 2"),
        ([1, 1], [5, 6], "point 1 has 1 rows after 1"),
        ([0], [5], "point 0 has 0 rows"),
        ([1], [0], "point 0 has a latency of 0 ns"),
        ([1], [86_400_000_000_001], "between 1 ns and 24 h"),
    ],
)
def test_a_profile_that_makes_no_sense_is_refused(rows: list[int], latencies_ns: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LatencyProfile(rows, latencies_ns)


def test_a_batch_without_rows_has_no_prediction() -> None:
    with pytest.raises(ValueError, match="0 rows"):
        LatencyProfile([1], [5]).predict_ns(0)


points = st.dictionaries(st.integers(1, 200), st.integers(1, 10**10), min_size=1, max_size=8)


@given(points)
def test_more_rows_never_take_less_time(measured: dict[int, int]) -> None:
    rows = sorted(measured)
    profile = LatencyProfile(rows, [measured[count] for count in rows])
    predictions = [profile.predict_ns(count) for count in range(1, 300)]
    assert predictions == sorted(predictions)
