"""What a profile is worth under a promise."""

from __future__ import annotations

import pytest

from mark.domain.cost import usd_per_million_rows
from mark.domain.profile import Profile, ProfilePoint
from mark.domain.slo import Slo
from mark.policies.batching_advice import batching_advice


def profile(*points: tuple[int, float]) -> Profile:
    return Profile(tuple(ProfilePoint(rows, latency_ms) for rows, latency_ms in points))


def test_a_model_that_gains_is_batched_within_both_constraints() -> None:
    advice = batching_advice(profile((1, 10.0), (8, 24.0)), Slo(102.0, 0.98), margin_ms=2.0, rows_max=8)

    assert advice.meets_slo
    assert advice.batching_pays
    assert (advice.n_batch, advice.w_batch_ms, advice.n_sustained) == (8, 80 - 24, 8)
    assert advice.unbatched_rows_per_s == pytest.approx(100.0)
    assert advice.capacity_rows_per_s == pytest.approx(8 / 0.024)
    assert advice.verdict == "batches of 8 serve 3.3 times as many rows as single ones"


def test_a_model_that_gains_nothing_is_said_to() -> None:
    advice = batching_advice(profile((1, 10.0), (8, 80.0)), Slo(500.0, 0.98), margin_ms=0.0, rows_max=8)

    assert advice.meets_slo
    assert not advice.batching_pays
    assert advice.verdict.startswith("batching is not worth it: larger batches take as much longer")


def test_a_gain_that_is_next_to_nothing_is_told_with_its_size() -> None:
    advice = batching_advice(profile((1, 10.0), (8, 76.0)), Slo(500.0, 0.98), margin_ms=0.0, rows_max=8)

    assert not advice.batching_pays
    assert advice.verdict.endswith("(the best, of 8, serve 5% more)")


def test_a_promise_that_leaves_no_time_to_wait_for_a_batch_is_said() -> None:
    advice = batching_advice(profile((1, 10.0), (8, 14.0)), Slo(15.0, 0.98), margin_ms=0.0, rows_max=8)

    assert (advice.n_batch, advice.n_sustained) == (8, 1)
    assert "the promise leaves no time for another batch" in advice.verdict


def test_a_promise_below_a_single_row_is_said_with_how_to_mend_it() -> None:
    advice = batching_advice(profile((1, 10.0)), Slo(11.0, 0.98), margin_ms=2.0, rows_max=8)

    assert not advice.meets_slo
    assert (advice.n_batch, advice.w_batch_ms, advice.n_sustained, advice.capacity_rows_per_s) == (None, None, None, 0)
    assert advice.verdict == (
        "no batch meets the promise: a single row takes 10 ms, and rt_max_ms 11 less margin_ms 2 leaves 9 ms; raise "
        "rt_max_ms, or take a faster worker"
    )


def test_a_model_that_takes_single_rows_is_not_advised_against_batches() -> None:
    advice = batching_advice(profile((1, 10.0)), Slo(100.0, 0.98), margin_ms=2.0, rows_max=1)

    assert advice.verdict == "rows_max is 1: rows are served one at a time"


def test_a_row_costs_its_share_of_the_hour() -> None:
    assert usd_per_million_rows(0.36, 100.0) == pytest.approx(1.0)
    assert usd_per_million_rows(0.36, 0.0) is None
