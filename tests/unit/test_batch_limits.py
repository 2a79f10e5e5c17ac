from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mark._core import LatencyProfile, batch_limits, capacity_rows_per_s

MS = 1_000_000


def limits_of(profile: LatencyProfile, rt_max_ns: int, rows_max: int = 8) -> tuple[int, int] | None:
    limits = batch_limits(profile, rt_max_ns, rows_max)
    return None if limits is None else (limits.n_batch, limits.w_batch_ns)


def test_the_slo_bounds_the_batch_and_leaves_the_rest_as_wait() -> None:
    profile = LatencyProfile([1, 8], [10 * MS, 45 * MS])  # 5 ms a further row
    assert limits_of(profile, 33 * MS) == (5, 3 * MS)


def test_the_throughput_without_batches_bounds_the_wait() -> None:
    profile = LatencyProfile([1, 8], [10 * MS, 45 * MS])
    assert limits_of(profile, 1_000 * MS, rows_max=4) == (4, 4 * 10 * MS - 25 * MS)


def test_a_batch_that_is_slower_than_its_rows_one_by_one_is_not_used() -> None:
    profile = LatencyProfile([1, 2, 3], [10 * MS, 15 * MS, 40 * MS])
    assert limits_of(profile, 1_000 * MS) == (2, 5 * MS)


def test_one_noisy_point_does_not_end_the_search() -> None:
    # T_2 is one per cent beyond twice T_1: MArk's search would stop there, and halve the worker.
    profile = LatencyProfile([1, 2, 4, 8], [5 * MS, 10_100_000, 12 * MS, 20 * MS])
    assert limits_of(profile, 100 * MS) == (8, 20 * MS)
    assert capacity_rows_per_s(profile, 100 * MS, 8) == pytest.approx(400.0)


def test_the_capacity_is_that_of_batches_that_the_constraints_allow() -> None:
    profile = LatencyProfile([1, 2, 8], [5 * MS, 11 * MS, 44 * MS])  # any batch is slower than its rows one by one
    assert limits_of(profile, 100 * MS) == (1, 0)
    assert capacity_rows_per_s(profile, 100 * MS, 8) == pytest.approx(200.0)


def test_without_batching_gain_every_size_is_allowed_and_none_waits() -> None:
    assert limits_of(LatencyProfile([1], [10 * MS]), 1_000 * MS) == (8, 0)


def test_there_are_no_limits_where_one_row_is_too_slow() -> None:
    profile = LatencyProfile([1], [10 * MS])
    assert limits_of(profile, 10 * MS) == (1, 0)
    assert limits_of(profile, 10 * MS - 1) is None


def test_the_capacity_lets_a_request_wait_for_one_batch() -> None:
    profile = LatencyProfile([1, 8], [10 * MS, 45 * MS])
    assert capacity_rows_per_s(profile, 50 * MS, 8) == pytest.approx(4 / 0.025)
    assert capacity_rows_per_s(profile, 1_000 * MS, 8) == pytest.approx(8 / 0.045)


def test_the_capacity_of_a_worker_that_just_meets_the_slo_is_one_row_at_a_time() -> None:
    profile = LatencyProfile([1, 8], [10 * MS, 45 * MS])
    assert capacity_rows_per_s(profile, 15 * MS, 8) == pytest.approx(100.0)
    assert capacity_rows_per_s(profile, 9 * MS, 8) == 0.0


def test_the_limits_name_the_batches_that_the_capacity_is_of() -> None:
    profile = LatencyProfile([1, 8], [10 * MS, 45 * MS])
    limits = batch_limits(profile, 50 * MS, 8)
    assert limits is not None
    assert (limits.n_batch, limits.n_sustained) == (8, 4)
    assert capacity_rows_per_s(profile, 50 * MS, 8) == pytest.approx(4e9 / profile.predict_ns(4))


def test_a_batch_without_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="rows_max is 0"):
        batch_limits(LatencyProfile([1], [5]), 10, 0)
    with pytest.raises(ValueError, match="rows_max is -1"):
        capacity_rows_per_s(LatencyProfile([1], [5]), 10, -1)


@given(
    st.dictionaries(st.integers(1, 40), st.integers(1, 10**9), min_size=1, max_size=6),
    st.integers(1, 2 * 10**9),
    st.integers(1, 40),
)
def test_the_limits_keep_both_constraints(measured: dict[int, int], rt_max_ns: int, rows_max: int) -> None:
    sizes = sorted(measured)
    profile = LatencyProfile(sizes, [measured[size] for size in sizes])
    limits = limits_of(profile, rt_max_ns, rows_max)
    one_row = profile.predict_ns(1)
    if limits is None:
        assert one_row > rt_max_ns
        assert capacity_rows_per_s(profile, rt_max_ns, rows_max) == 0.0
        return
    n_batch, w_batch_ns = limits
    assert 1 <= n_batch <= rows_max
    assert w_batch_ns == min(rt_max_ns, n_batch * one_row) - profile.predict_ns(n_batch) >= 0
    assert capacity_rows_per_s(profile, rt_max_ns, rows_max) > 0.0
