"""Loads that are drawn or made up: processes of several states, days with bursts, surges; and a fit of two rates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mark.domain.load import Load
from mark.domain.trace import Trace
from mark.workload.arrivals import daily_rate_per_s
from mark.workload.mmpp import Mmpp, MmppLoad, TwoState
from mark.workload.mmpp_fit import fit_two_state
from mark.workload.synthetic import Bursts, DailyLoad, surge

Floats = npt.NDArray[np.float64]
THREE_STATES = Mmpp((1.0, 10.0, 100.0), ((-0.5, 0.25, 0.25), (1.0, -1.0, 0.0), (0.0, 2.0, -2.0)))


def whole(load: Load) -> tuple[Floats, Floats]:
    chunks = list(load.chunks())
    return np.concatenate([each.ends_s for each in chunks]), np.concatenate([each.rates_per_s for each in chunks])


def mean_per_s(ends_s: Floats, rates_per_s: Floats) -> float:
    return float(np.diff(ends_s, prepend=0.0) @ rates_per_s / ends_s[-1])


def drawn_counts(load: Load, bins: int, bin_s: float, seed: int) -> Trace:
    """Counts of the process in each bin, whose mean is the integral of the rate over it."""
    ends_s, rates_per_s = whole(load)
    requests = np.append(0.0, np.cumsum(np.diff(ends_s, prepend=0.0) * rates_per_s))
    means = np.diff(np.interp(np.arange(bins + 1) * bin_s, np.append(0.0, ends_s), requests))
    return Trace(bin_s, np.random.default_rng(seed).poisson(means).astype(np.float64))


class TestMmpp:
    def test_states_are_held_as_long_and_as_often_as_the_matrix_says(self) -> None:
        ends_s, rates_per_s = whole(MmppLoad(THREE_STATES, 30_000.0, seed=4))

        lengths_s = np.diff(ends_s, prepend=0.0)
        for state, rate in enumerate(THREE_STATES.rates_per_s):
            held_s = lengths_s[rates_per_s == rate]
            mean_s = -1 / THREE_STATES.transitions_per_s[state][state]
            assert held_s.mean() == pytest.approx(mean_s, rel=0.05)
            assert held_s.std() == pytest.approx(mean_s, rel=0.05)  # exponential
            assert held_s.sum() / ends_s[-1] == pytest.approx(THREE_STATES.shares[state], rel=0.05)
        assert mean_per_s(ends_s, rates_per_s) == pytest.approx(THREE_STATES.mean_per_s, rel=0.05)
        assert ends_s[-1] == 30_000.0

    def test_states_follow_each_other_as_the_matrix_says(self) -> None:
        _, rates_per_s = whole(MmppLoad(THREE_STATES, 30_000.0, seed=5))

        followers = rates_per_s[1:][rates_per_s[:-1] == 1.0]
        assert np.mean(followers == 10.0) == pytest.approx(0.5, abs=0.02)
        assert set(rates_per_s[1:][rates_per_s[:-1] == 10.0]) == {1.0}

    def test_a_seed_is_a_path(self) -> None:
        load = MmppLoad(TwoState(1.0, 9.0, 30.0, 10.0).process(), 50_000.0, seed=6)

        np.testing.assert_array_equal(whole(load), whole(load))
        assert not np.array_equal(whole(load)[0], whole(MmppLoad(load.process, 50_000.0, seed=7))[0])
        assert load.process.mean_per_s == pytest.approx(3.0)

    def test_one_state_is_a_poisson_process(self) -> None:
        assert [each.tolist() for each in whole(MmppLoad(Mmpp((5.0,), ((0.0,),)), 60.0))] == [[60.0], [5.0]]

    @pytest.mark.parametrize(
        ("rates_per_s", "transitions_per_s", "words"),
        [
            ((), (), "rows of 0 numbers"),
            ((1.0, 2.0), ((0.0,),), "2 rows of 2 numbers"),
            ((1.0, -2.0), ((-1.0, 1.0), (1.0, -1.0)), "rates_per_s must be finite"),
            ((1.0, 2.0), ((1.0, -1.0), (1.0, -1.0)), "from 0 to a million"),
            ((1.0, 2.0), ((-1e9, 1e9), (1.0, -1.0)), "from 0 to a million"),
            ((1.0, 2.0), ((-1.0, float("nan")), (1.0, -1.0)), "from 0 to a million"),
            ((1.0, 2.0), ((-1.0, 2.0), (1.0, -1.0)), "must add up to 0"),
            ((1.0, 2.0), ((-1.0, 1.0), (0.0, 0.0)), "from every state to every other"),
        ],
    )
    def test_what_is_no_chain_is_refused(
        self, rates_per_s: tuple[float, ...], transitions_per_s: tuple[tuple[float, ...], ...], words: str
    ) -> None:
        with pytest.raises(ValueError, match=words):
            Mmpp(rates_per_s, transitions_per_s)


class TestFit:
    @pytest.mark.parametrize(
        "truth", [TwoState(5.0, 20.0, 300.0, 60.0), TwoState(40.0, 60.0, 120.0, 120.0), TwoState(0.0, 3.0, 50.0, 20.0)]
    )
    def test_what_made_the_counts_is_found_again(self, truth: TwoState) -> None:
        load = MmppLoad(truth.process(), 10_000.0, seed=1)
        ends_s, rates_per_s = whole(load)
        lengths_s = np.diff(ends_s, prepend=0.0)
        trace = drawn_counts(load, bins=5_000, bin_s=2.0, seed=2)

        found = fit_two_state(trace)

        assert found.quiet_per_s == pytest.approx(truth.quiet_per_s, rel=0.02, abs=0.01)
        assert found.busy_per_s == pytest.approx(truth.busy_per_s, rel=0.07)  # bins of both states pull it down
        # What this path did: of some tens of sojourns, the mean is far from that of the process.
        assert found.quiet_s == pytest.approx(lengths_s[rates_per_s == truth.quiet_per_s].mean(), rel=0.2)
        assert found.busy_s == pytest.approx(lengths_s[rates_per_s == truth.busy_per_s].mean(), rel=0.2)
        assert found.process().mean_per_s == pytest.approx(trace.counts.mean() / trace.bin_s, rel=0.05)

    def test_the_same_trace_has_the_same_fit_and_huge_counts_do_not_hurt(self) -> None:
        counts = np.tile(np.repeat([1e6, 5e6], [30, 10]), 20)

        found = fit_two_state(Trace(60.0, counts))

        assert found == fit_two_state(Trace(60.0, counts))
        assert (found.quiet_per_s, found.busy_per_s) == pytest.approx((1e6 / 60, 5e6 / 60))
        assert (found.quiet_s, found.busy_s) == pytest.approx((1800.0, 600.0), rel=0.1)

    @pytest.mark.parametrize(
        ("counts", "words"),
        [
            (np.arange(5.0), "at least 20 bins"),
            (np.full(50, 3.0), "counts that differ"),
            (np.tile([0.0, 90.0], 30), "last a bin"),
        ],
    )
    def test_a_trace_that_tells_no_two_states_is_refused(self, counts: Floats, words: str) -> None:
        with pytest.raises(ValueError, match=words):
            fit_two_state(Trace(1.0, counts))


class TestDailyLoad:
    def test_without_bursts_it_is_the_curve_of_the_day(self) -> None:
        ends_s, rates_per_s = whole(DailyLoad(100.0, 20.0, days=2.5, bursts=Bursts(per_day=0.0)))

        middles_s = ends_s - 30.0
        expected = daily_rate_per_s(middles_s, peak_per_s=100.0, valley_per_s=20.0, day_s=86_400.0)
        np.testing.assert_allclose(rates_per_s, expected)
        np.testing.assert_allclose(np.diff(ends_s), 60.0)
        assert ends_s[-1] == 2.5 * 86_400
        assert (rates_per_s.min(), rates_per_s.max()) == pytest.approx((20.0, 100.0), rel=1e-3)

    @given(st.integers(0, 50), st.floats(0.1, 3.0), st.floats(1.0, 100_000.0))
    def test_a_burst_adds_its_height_from_its_instant_for_its_length(
        self, seed: int, height: float, length_s: float
    ) -> None:
        load = DailyLoad(50.0, 50.0, days=3.0, bursts=Bursts(height, length_s, per_day=4.0), seed=seed)
        ends_s, rates_per_s = whole(load)

        begins_s = load.burst_begins_s()
        middles_s = (np.append(0.0, ends_s[:-1]) + ends_s) / 2
        bursting = np.any((middles_s[:, None] > begins_s) & (middles_s[:, None] < begins_s + length_s), axis=1)
        np.testing.assert_allclose(rates_per_s, np.where(bursting, 50.0 * (1 + height), 50.0))
        assert set(begins_s) <= set(ends_s)

    def test_a_seed_moves_the_bursts_and_their_number_has_its_mean(self) -> None:
        begins = [DailyLoad(9.0, 1.0, days=100.0, seed=seed).burst_begins_s() for seed in (1, 1, 2)]

        np.testing.assert_array_equal(begins[0], begins[1])
        assert not np.array_equal(begins[0], begins[2])
        assert len(begins[0]) == pytest.approx(300, abs=60)


class TestSurge:
    @pytest.mark.parametrize("share", [0.5, 0.75, 1.0])
    def test_it_rises_within_two_minutes_and_stays(self, share: float) -> None:
        ends_s, rates_per_s = whole(surge(80.0, share, at_s=600.0, duration_s=1200.0))

        assert (ends_s[0], rates_per_s[0]) == (600.0, 80.0)
        assert (ends_s[-2], ends_s[-1], rates_per_s[-1]) == (720.0, 1200.0, 80.0 * (1 + share))
        assert np.all(np.diff(rates_per_s) > 0)
        assert rates_per_s[60] == pytest.approx(80.0 * (1 + share / 2), rel=0.01)

    def test_it_may_begin_and_end_with_the_rise(self) -> None:
        ends_s, rates_per_s = whole(surge(10.0, 1.0, at_s=0.0, rise_s=60.0, duration_s=60.0))

        assert (len(ends_s), ends_s[-1]) == (120, 60.0)
        assert mean_per_s(ends_s, rates_per_s) == pytest.approx(15.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: surge(0.0, 0.5, 10.0),
        lambda: surge(1.0, -0.5, 10.0),
        lambda: surge(1.0, 0.5, -1.0),
        lambda: surge(1.0, 0.5, 3550.0),
        lambda: surge(1.0, 0.5, 0.0, duration_s=float("inf")),
        lambda: Bursts(height=-1.0),
        lambda: Bursts(length_s=0.0),
        lambda: Bursts(per_day=1e9),
        lambda: DailyLoad(1.0, 2.0),
        lambda: DailyLoad(2.0, 1.0, days=0.0),
        lambda: DailyLoad(2.0, 1.0, step_s=1e-6),
        lambda: DailyLoad(2.0, 1.0, seed=-1),
        lambda: TwoState(2.0, 1.0, 1.0, 1.0),
        lambda: TwoState(1.0, 2.0, 0.0, 1.0),
        lambda: MmppLoad(THREE_STATES, 0.0),
        lambda: MmppLoad(THREE_STATES, 1.0, seed=-1),
    ],
)
def test_nonsense_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="must"):
        make()
