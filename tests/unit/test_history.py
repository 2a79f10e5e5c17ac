"""The past that a page is given when it is opened: bounded, even, and with every peak."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.test_sample import SAMPLE

from mark.live.history import Columns, History


def history_of(loads_per_s: list[float], points_max: int) -> History:
    history = History(points_max)
    for second, load_per_s in enumerate(loads_per_s):
        history.add(replace(SAMPLE, unix_s=float(second), load_per_s=load_per_s))
    return history


def all_of(history: History) -> Columns:
    return history.past().columns(0, len(history))


class TestPoints:
    def test_each_sample_is_one_until_it_is_full(self) -> None:
        columns = all_of(history_of([1.0, 2.0, 3.0, 4.0], 4))

        assert columns["unix_s"] == [0, 1, 2, 3]
        assert columns["load_per_s"] == [1, 2, 3, 4]

    def test_then_two_become_one_and_each_new_one_stands_for_two(self) -> None:
        history = history_of([1.0, 2.0, 3.0, 4.0, 9.0, 5.0, 6.0], 4)

        assert all_of(history)["unix_s"] == [1, 3, 5, 6]
        assert all_of(history)["load_per_s"] == [2, 4, 9, 6]

    def test_parts_of_it_are_what_is_between(self) -> None:
        history = history_of([1.0, 2.0, 3.0, 4.0], 10)

        assert history.past().columns(1, 3)["load_per_s"] == [2, 3]
        assert history.past().columns(3, 10)["load_per_s"] == [4]
        assert history.past().columns(4, 10) == {}

    @given(st.integers(1, 150), st.sampled_from([2, 4, 10, 64]))
    def test_they_stay_few_and_evenly_spread_and_end_with_now(self, seconds: int, points_max: int) -> None:
        history = history_of([1.0] * seconds, points_max)
        times = all_of(history)["unix_s"]

        assert len(history) <= points_max
        assert seconds < points_max or len(history) >= points_max // 2
        assert times[-1] == seconds - 1
        gaps = [after - before for before, after in pairwise(times) if before is not None and after is not None]
        assert len(set(gaps[:-1])) <= 1  # the last point is still being filled

    @given(st.lists(st.integers(1, 1000), min_size=1, max_size=100), st.sampled_from([2, 8, 32]))
    def test_no_peak_is_lost(self, loads: list[int], points_max: int) -> None:
        kept = all_of(history_of([float(load) for load in loads], points_max))["load_per_s"]

        assert max(value or 0 for value in kept) == max(loads)

    @pytest.mark.parametrize("points_max", [0, 1, 3])
    def test_a_length_that_cannot_be_halved_is_refused(self, points_max: int) -> None:
        with pytest.raises(ValueError, match="must be even"):
            History(points_max)


class TestColumns:
    def test_they_are_named_by_their_path(self) -> None:
        history = History()
        history.add(SAMPLE)

        columns = all_of(history)

        assert columns["instances.spot.ready"] == [3]
        assert columns["attainment.60"] == [0.99]
        assert columns["foreseen_per_s.0.9"] == [130]
        assert not {"model", "forecast", "forecast_unix_s"} & {name.partition(".")[0] for name in columns}

    def test_a_new_one_is_empty_before_and_one_that_ends_after(self) -> None:
        history = History()
        history.add(replace(SAMPLE, latency_ms={}))
        history.add(SAMPLE)
        history.add(replace(SAMPLE, latency_ms={}))

        assert all_of(history)["latency_ms.p99"] == [None, 180, None]

    def test_what_is_always_nothing_is_left_out(self) -> None:
        history = History()
        history.add(replace(SAMPLE, queued=0, requests_per_s={"answered": 0.0}))

        assert not {"queued", "requests_per_s.answered"} & all_of(history).keys()

    def test_a_point_of_several_samples_has_the_worst_the_mean_or_the_last(self) -> None:
        history = History(2)
        worse = replace(
            SAMPLE,
            requests_per_s={"answered": 40.0},
            latency_ms={"p99": 400.0},
            attainment={60: 0.5},
            instances={"spot": {"ready": 1}},
            usd_total=0.02,
        )
        for sample in (worse, replace(SAMPLE, requests_per_s={"answered": 20.0}), SAMPLE):
            history.add(sample)

        columns = all_of(history)

        assert [columns[name][0] for name in ("latency_ms.p99", "attainment.60")] == [400, 0.5]
        assert columns["requests_per_s.answered"][0] == 30
        assert [columns[name][0] for name in ("instances.spot.ready", "usd_total")] == [3, 0.0123]

    def test_a_mean_counts_every_sample_alike(self) -> None:
        history = History(2)
        for rate in (0.0, 0.0, 0.0, 0.0, 8.0, 8.0, 8.0, 8.0, 1.0):
            history.add(replace(SAMPLE, requests_per_s={"answered": rate}))

        assert all_of(history)["requests_per_s.answered"] == [4, 1]

    def test_dollars_keep_every_digit(self) -> None:
        history = History()
        history.add(replace(SAMPLE, usd_total=1234.56789012, load_per_s=1234.56789012))

        assert all_of(history)["usd_total"] == [1234.56789012]
        assert all_of(history)["load_per_s"] == [1234.57]


def test_the_past_that_was_asked_for_stays_as_it_was() -> None:
    history = history_of([1.0, 2.0], 2)
    past = history.past()
    history.add(replace(SAMPLE, load_per_s=3.0))

    assert past.columns(0, past.points)["load_per_s"] == [1, 2]
