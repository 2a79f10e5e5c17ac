"""When a batch size was measured enough: the interval around a p99, and the rule to stop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mark.worker.measuring import Effort, measurement_of, quantile_interval

RUNS_THAT_BOUND = 368  # 0.99 ** 368 is the first below 0.025


@pytest.mark.parametrize(
    ("runs", "low", "high"),
    [(1, 0, None), (20, 18, None), (RUNS_THAT_BOUND - 1, 358, None), (RUNS_THAT_BOUND, 359, 367)],
)
def test_few_runs_do_not_bound_a_p99_from_above(runs: int, low: int, high: int | None) -> None:
    assert quantile_interval(runs) == (low, high)


@pytest.mark.parametrize("runs", [400, 1000, 3000])
def test_the_interval_holds_the_true_p99_as_often_as_it_says(runs: int) -> None:
    random = np.random.default_rng(11)
    low, high = quantile_interval(runs)
    assert high is not None
    ordered = np.sort(random.exponential(size=(4000, runs)), axis=1)
    p99 = -np.log(0.01)

    assert np.mean(ordered[:, low] > p99) < 0.032  # 0.025, and what four thousand tries may miss it by
    assert np.mean(ordered[:, high] < p99) < 0.032


@given(st.integers(1, 5000))
def test_the_bounds_are_runs_and_in_order(runs: int) -> None:
    low, high = quantile_interval(runs)

    assert 0 <= low < runs
    assert high is None or low <= high < runs
    assert (high is None) == (runs < RUNS_THAT_BOUND)


def test_a_measurement_has_interpolated_quantiles() -> None:
    measured = measurement_of(4, [float(value) for value in range(1, 102)])

    assert (measured.rows, measured.runs) == (4, 101)
    assert (measured.p50_ms, measured.p95_ms, measured.p99_ms) == pytest.approx((51.0, 96.0, 100.0))
    assert measured.p99_high_ms is None


class TestEffort:
    EFFORT = Effort(runs_min=50, runs_max=1000, time_max_s=10.0, p99_tolerance=0.05)

    def test_steady_latencies_stop_as_soon_as_a_p99_can_be_bounded(self) -> None:
        assert not self.EFFORT.is_enough([5.0] * (RUNS_THAT_BOUND - 1), spent_s=2.0)
        assert self.EFFORT.is_enough([5.0] * RUNS_THAT_BOUND, spent_s=2.0)

    def test_noisy_ones_go_on(self) -> None:
        noisy = [5.0] * 394 + [9.0, 10.0, 11.0, 12.0, 13.0, 14.0]

        assert not self.EFFORT.is_enough(noisy, spent_s=2.0)

    def test_nothing_is_measured_for_ever(self) -> None:
        noisy = [5.0] * 990 + [5.0 + value for value in range(10)]

        assert self.EFFORT.is_enough(noisy, spent_s=2.0)  # runs_max
        assert self.EFFORT.is_enough([5.0, 9.0, 7.0], spent_s=10.0)
        assert not self.EFFORT.is_enough([5.0, 9.0], spent_s=30.0)  # that would be no measurement at all

    def test_a_fixed_number_of_runs_is_kept(self) -> None:
        effort = Effort(runs_min=2, runs_max=2)

        assert not effort.is_enough([5.0], spent_s=1.0)
        assert effort.is_enough([5.0, 5.0], spent_s=1.0)

    def test_progress_is_by_what_ends_first(self) -> None:
        assert self.EFFORT.share_done(500, 1.0) == 0.5
        assert self.EFFORT.share_done(5, 8.0) == 0.8
        assert self.EFFORT.share_done(5000, 8.0) == 1.0

    @pytest.mark.parametrize(
        "wrong", [{"runs_min": 0}, {"runs_max": 49}, {"time_max_s": 0.0}, {"p99_tolerance": float("nan")}]
    )
    def test_what_never_stops_is_refused(self, wrong: dict[str, float]) -> None:
        with pytest.raises(ValueError, match="needs 1 <= runs_min"):
            Effort(**wrong)  # type: ignore[arg-type]
