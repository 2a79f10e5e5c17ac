"""Attainment, burn rate and what is left of the error budget, in virtual time."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mark.controlplane.error_budget import WINDOWS_S, ErrorBudget

S = 1_000_000_000


class Counted:
    """A budget, and the counters that it is told once a second."""

    def __init__(self, sl_min: float = 0.99) -> None:
        self.budget = ErrorBudget(sl_min)
        self.now_ns = 17 * S + 5  # on no grid
        self.ended = self.in_time = 0
        self.budget.observe(self.now_ns, 0, 0)

    def seconds(self, seconds: int, ended: int, missed: int = 0) -> None:
        for _ in range(seconds):
            self.now_ns += S
            self.ended += ended
            self.in_time += ended - missed
            self.budget.observe(self.now_ns, self.ended, self.in_time)


def test_without_requests_the_promise_is_kept_and_the_budget_whole() -> None:
    for budget in (ErrorBudget(0.98), Counted().budget):
        assert [budget.attainment(window_s) for window_s in WINDOWS_S] == [1.0] * 5
        assert [budget.burn_rate(window_s) for window_s in WINDOWS_S] == [0.0] * 5
        assert budget.left() == 1.0


def test_exactly_as_many_misses_as_the_promise_allows_burn_at_rate_one() -> None:
    counted = Counted(sl_min=0.99)

    counted.seconds(60, ended=100, missed=1)

    assert counted.budget.attainment(60) == pytest.approx(0.99)
    assert counted.budget.burn_rate(60) == pytest.approx(1.0)
    assert counted.budget.left() == pytest.approx(0.0)


def test_a_short_window_forgets_what_a_long_one_still_holds() -> None:
    counted = Counted(sl_min=0.9)
    counted.seconds(30, ended=10, missed=10)

    counted.seconds(70, ended=10)

    assert counted.budget.attainment(60) == 1.0
    assert counted.budget.attainment(300) == pytest.approx(0.7)
    assert counted.budget.burn_rate(300) == pytest.approx(3.0)
    assert counted.budget.left() == pytest.approx(-2.0)


@pytest.mark.parametrize("window_s", WINDOWS_S)
def test_a_window_covers_its_span_and_at_most_a_60th_more(window_s: int) -> None:
    counted = Counted()
    counted.seconds(1, ended=1, missed=1)

    counted.seconds(window_s - 1, ended=1)
    assert counted.budget.attainment(window_s) < 1.0

    counted.seconds(window_s // 60 + 1, ended=1)
    assert counted.budget.attainment(window_s) == 1.0


def test_after_a_long_silence_only_what_ended_since_counts() -> None:
    counted = Counted()
    counted.seconds(10, ended=10, missed=10)

    counted.now_ns += 30_000 * S
    counted.seconds(1, ended=10)

    assert [counted.budget.attainment(window_s) for window_s in WINDOWS_S] == [1.0] * 5


def test_what_ended_before_the_first_look_is_not_held_against_it() -> None:
    budget = ErrorBudget(0.9)
    budget.observe(0, 1000, 0)

    budget.observe(S, 1010, 9)

    assert budget.attainment(60) == pytest.approx(0.9)


def test_a_promise_without_a_budget_burns_infinitely_fast_on_its_first_miss() -> None:
    counted = Counted(sl_min=1.0)
    counted.seconds(10, ended=10)
    assert counted.budget.burn_rate(60) == 0.0

    counted.seconds(1, ended=10, missed=1)

    assert counted.budget.burn_rate(60) == math.inf
    assert counted.budget.left() == -math.inf


@pytest.mark.parametrize("observed", [(S - 1, 10, 9), (S, 9, 9), (S, 10, 8), (S, 11, 11)])
def test_counters_that_cannot_be_true_are_refused(observed: tuple[int, int, int]) -> None:
    budget = ErrorBudget(0.9)
    budget.observe(S, 10, 9)

    with pytest.raises(ValueError, match="neither the time nor a counter"):
        budget.observe(*observed)


@pytest.mark.parametrize("sl_min", [0.0, 1.1, math.nan])
def test_a_promise_that_is_no_share_is_refused(sl_min: float) -> None:
    with pytest.raises(ValueError, match="sl_min"):
        ErrorBudget(sl_min)


def test_a_window_that_there_is_not_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="no window of 61 s, but of 60, 300"):
        ErrorBudget(0.9).attainment(61)


@given(
    st.lists(st.tuples(st.integers(0, 700), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=200),
    st.sampled_from(WINDOWS_S),
)
def test_it_counts_what_a_list_of_all_observations_counts(looks: list[tuple[int, int, int]], window_s: int) -> None:
    budget, seen = ErrorBudget(0.5), [(0, 0, 0)]
    budget.observe(0, 0, 0)
    for pause_s, ended, missed in looks:
        now_s, all_ended, all_missed = seen[-1][0] + pause_s, seen[-1][1] + ended, seen[-1][2] + min(ended, missed)
        seen.append((now_s, all_ended, all_missed))
        budget.observe(now_s * S, all_ended, all_ended - all_missed)

    missed_share = 1.0 - budget.attainment(window_s)

    # It begins at one of the observations that lie at most a part before the window, or at the last one before that.
    now_s, ended_now, missed_now = seen[-1]
    began_s = now_s - window_s
    latest = max(i for i, (at_s, _, _) in enumerate(seen) if at_s <= max(0, began_s))
    earliest = max((i for i, (at_s, _, _) in enumerate(seen) if at_s < began_s - window_s // 60), default=0)
    possible = [
        (missed_now - missed) / (ended_now - ended) if ended_now > ended else 0.0
        for _, ended, missed in seen[earliest : latest + 1]
    ]
    assert any(missed_share == pytest.approx(each) for each in possible)
