"""Offered load as the controller sees it: maxima of windows, step by step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mark.controlplane.arrivals import Arrivals, step_maxima
from mark.domain.trace import Trace

S = 1_000_000_000


def test_a_step_is_worth_its_busiest_window() -> None:
    arrivals = Arrivals(step_s=20, window_s=5, steps_max=10)
    arrivals.observe(0, 0)

    for at_s, rows in [(5, 10), (10, 110), (15, 120), (20, 121), (25, 121)]:
        arrivals.observe(at_s * S, rows)

    assert arrivals.maxima_per_s().tolist() == [20.0, 0.0]


def test_a_sample_over_several_windows_is_spread_evenly() -> None:
    arrivals = Arrivals(step_s=10, window_s=5, steps_max=10)
    arrivals.observe(0, 0)

    arrivals.observe(20 * S, 400)

    assert arrivals.maxima_per_s().tolist() == [20.0, 20.0]


def test_samples_inside_a_window_add_up() -> None:
    arrivals = Arrivals(step_s=10, window_s=5, steps_max=10)

    for at_s, rows in [(0, 0), (1, 5), (2, 15), (4, 20), (5, 25), (6, 26)]:
        arrivals.observe(at_s * S, rows)

    assert arrivals.maxima_per_s().tolist() == [5.0]


def test_the_last_rate_is_that_of_the_step_before_until_a_window_is_done() -> None:
    arrivals = Arrivals(step_s=10, window_s=5, steps_max=10)
    arrivals.observe(0, 0)
    assert arrivals.last_per_s() == 0.0

    arrivals.observe(10 * S, 100)
    assert arrivals.last_per_s() == 10.0

    arrivals.observe(15 * S, 100)
    assert arrivals.last_per_s() == 0.0


def test_the_step_that_runs_now_counts_from_its_first_finished_window() -> None:
    arrivals = Arrivals(step_s=10, window_s=5, steps_max=10)
    for at_s, rows in [(0, 0), (5, 50), (10, 60)]:
        arrivals.observe(at_s * S, rows)
    assert arrivals.maxima_per_s().tolist() == [10.0]

    arrivals.observe(15 * S, 160)

    assert arrivals.maxima_per_s().tolist() == [10.0, 20.0]


def test_rows_before_the_first_sample_do_not_count() -> None:
    arrivals = Arrivals(step_s=5, window_s=5, steps_max=10)
    arrivals.observe(7 * S, 1_000_000)

    arrivals.observe(12 * S, 1_000_005)

    assert arrivals.maxima_per_s().tolist() == [1.0]


def test_what_was_before_the_first_sample_can_be_remembered() -> None:
    arrivals = Arrivals(step_s=2.0, window_s=1.0, steps_max=3)
    arrivals.remember(np.array([1.0, 2.0, 3.0, 4.0]))
    arrivals.observe(0, 0)
    arrivals.observe(2_000_000_000, 10)

    assert arrivals.maxima_per_s().tolist() == [3.0, 4.0, 5.0]
    with pytest.raises(ValueError, match="before the first sample"):
        arrivals.remember(np.array([1.0]))


def test_the_history_is_bounded() -> None:
    arrivals = Arrivals(step_s=1, window_s=1, steps_max=3)

    for at_s in range(10):
        arrivals.observe(at_s * S, at_s * at_s)

    assert arrivals.maxima_per_s().tolist() == [13.0, 15.0, 17.0]


@pytest.mark.parametrize(("step_s", "window_s"), [(5, 10), (10, 3), (10, 0), (10, -1)])
def test_a_step_must_be_a_whole_number_of_windows(step_s: float, window_s: float) -> None:
    with pytest.raises(ValueError, match="whole number of windows"):
        Arrivals(step_s, window_s, 10)


def test_time_and_counter_must_not_go_back() -> None:
    arrivals = Arrivals(step_s=10, window_s=5, steps_max=10)
    arrivals.observe(5 * S, 10)

    with pytest.raises(ValueError, match="go back"):
        arrivals.observe(4 * S, 10)
    with pytest.raises(ValueError, match="go back"):
        arrivals.observe(6 * S, 9)


@given(st.lists(st.tuples(st.integers(0, 7 * S), st.integers(0, 500)), min_size=1, max_size=60))
def test_no_row_is_lost_or_counted_twice(samples: list[tuple[int, int]]) -> None:
    # With one window a step, the maxima are the windows, and their rows add up to what was offered.
    arrivals = Arrivals(step_s=1, window_s=1, steps_max=1000)
    now_ns = rows = 0
    arrivals.observe(0, 0)
    for gap_ns, more in samples:
        now_ns += gap_ns
        rows += more
        arrivals.observe(now_ns, rows)
    arrivals.observe((now_ns // S + 1) * S, rows)

    assert np.sum(arrivals.maxima_per_s()) == pytest.approx(rows)


def test_the_steps_of_a_trace_are_what_a_live_counter_would_have_seen() -> None:
    counts = np.random.default_rng(4).poisson(20.0, 50).astype(np.float64)
    arrivals = Arrivals(step_s=10, window_s=5, steps_max=100)
    for at_s, rows in enumerate([0, *np.cumsum(counts).tolist()]):
        arrivals.observe(at_s * S, int(rows))

    assert step_maxima(Trace(1.0, counts), 10.0, 5.0).tolist() == arrivals.maxima_per_s().tolist()


def test_a_bin_longer_than_a_window_is_spread_and_a_step_that_is_not_whole_is_left_out() -> None:
    trace = Trace(60.0, np.array([60.0, 6.0, 600.0]))

    assert step_maxima(trace).tolist() == pytest.approx([1.0, 0.1, 10.0])
    assert step_maxima(trace, step_s=120.0).tolist() == pytest.approx([1.0])
