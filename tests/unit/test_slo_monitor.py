"""When the fast loop says that the promise is broken, and how it holds back: in virtual time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mark.controlplane.slo_monitor import SloMonitor, SloMonitorParams
from mark.domain.fleet import Instance, InstanceId, InstanceState

S = 1_000_000_000
PARAMS = SloMonitorParams(sl_min=0.98, requests=100, cooldown_s=30.0)


class Watched:
    """A monitor, and the counters that it is told, a second at a time."""

    def __init__(self, params: SloMonitorParams = PARAMS) -> None:
        self.monitor = SloMonitor(params)
        self.now_ns = self.ended = self.in_time = 0
        self.rows = 0
        self.second(0, 0)

    def second(self, ended: int, missed: int = 0, seconds: float = 1.0) -> str | None:
        self.now_ns += round(seconds * S)
        self.ended += ended
        self.in_time += ended - missed
        self.rows += 2 * ended
        return self.monitor.look(self.now_ns, self.rows, self.ended, self.in_time)


def test_a_promise_that_is_kept_is_none_of_its_business() -> None:
    watched = Watched()

    assert [watched.second(50, missed=1) for _ in range(20)] == [None] * 20


def test_it_is_broken_as_soon_as_more_are_missed_than_the_last_requests_allow() -> None:
    watched = Watched()

    assert watched.second(10, missed=2) is None
    broken = watched.second(10, missed=1)

    assert broken == "3 of the last 20 requests missed the promise, which allows 2 of 100"


def test_exactly_as_many_as_allowed_do_not_break_it() -> None:
    watched = Watched(replace(PARAMS, requests=500))

    assert watched.second(500, missed=10) is None
    assert watched.second(500, missed=11) is not None


def test_what_was_missed_before_the_last_requests_is_forgotten() -> None:
    watched = Watched()
    watched.second(20, missed=2)
    for _ in range(5):
        watched.second(20)

    assert watched.second(20, missed=1) is None


def test_of_heavy_traffic_all_between_two_looks_is_judged() -> None:
    watched = Watched()

    assert watched.second(10_000, missed=200) is None
    assert watched.second(10_000, missed=201) == (
        "201 of the last 10000 requests missed the promise, which allows 200 of 10000"
    )


def test_what_is_over_is_not_acted_on() -> None:
    watched = Watched()
    watched.second(10, missed=2)
    watched.monitor.added(watched.now_ns, {"small": 0.0})
    watched.second(0, seconds=31.0)
    watched.second(50, missed=2)

    assert watched.second(1, missed=0) is None
    assert watched.second(1, missed=1) is not None


def test_it_looks_as_often_as_it_is_told_to_and_no_more() -> None:
    watched = Watched(replace(PARAMS, every_s=2.0))

    assert watched.second(10, missed=10) is None  # too early
    assert watched.second(0) == "10 of the last 10 requests missed the promise, which allows 2 of 100"


def test_the_load_is_that_between_two_looks() -> None:
    watched = Watched(replace(PARAMS, every_s=2.0))
    watched.second(10)
    watched.second(30)

    assert watched.monitor.load_per_s == 40.0


def test_nothing_is_judged_while_what_was_added_boots_and_cools_down() -> None:
    watched = Watched()
    watched.second(10, missed=5)
    watched.monitor.added(watched.now_ns, {"slow": 20.0, "fast": 5.0})

    assert [watched.second(10, missed=10) for _ in range(49)] == [None] * 49
    assert watched.second(10, missed=2) is None  # what was missed meanwhile does not count
    assert watched.second(10, missed=1) is not None


def test_what_is_refused_after_all_is_looked_for_elsewhere_at_once() -> None:
    watched = Watched()
    watched.second(10, missed=5)
    watched.monitor.added(watched.now_ns, {"spot": 0.0})
    watched.monitor.refused("another")
    assert watched.second(10, missed=10) is None

    watched.monitor.refused("spot")

    assert watched.second(10, missed=10) is not None


def test_that_nothing_can_be_added_is_said_once_in_a_while_and_looked_at_all_the_time() -> None:
    watched = Watched()

    assert watched.second(10, missed=5) is not None
    assert watched.monitor.nothing_added(watched.now_ns)
    assert watched.second(10, missed=5) is not None
    assert not watched.monitor.nothing_added(watched.now_ns)
    watched.second(10, missed=5, seconds=30.0)
    assert watched.monitor.nothing_added(watched.now_ns)


def instance(number: int, offering: str, launched_s: float) -> Instance:
    return Instance(
        InstanceId(f"{offering}-{number}"), offering, "m", InstanceState.READY, launched_at_ns=round(launched_s * S)
    )


def test_what_it_added_is_kept_until_the_cool_down_is_over_and_nothing_else_is() -> None:
    monitor = SloMonitor(PARAMS)
    fleet = [instance(1, "small", 0.0), instance(2, "small", 50.0), instance(3, "other", 50.0)]
    monitor.added(50 * S, {"small": 10.0})

    assert monitor.kept(fleet, 51 * S) == ["small-2"]
    assert monitor.kept(fleet, 90 * S - 1) == ["small-2"]
    assert monitor.kept(fleet, 90 * S) == []


@given(st.lists(st.tuples(st.integers(0, 300), st.floats(0.0, 0.1)), max_size=60))
def test_it_is_broken_exactly_when_the_fewest_looks_that_cover_the_last_requests_miss_too_many(
    seconds: list[tuple[int, float]],
) -> None:
    watched = Watched()
    counts: list[tuple[int, int]] = []
    for ended, share in seconds:
        missed = round(ended * share)
        counts.append((ended, missed))
        total = total_missed = 0
        for each, each_missed in reversed(counts):
            total, total_missed = total + each, total_missed + each_missed
            if total >= PARAMS.requests:
                break
        expected = missed > 0 and total_missed > 0.02 * max(total, PARAMS.requests) + 1e-9

        assert (watched.second(ended, missed) is not None) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"sl_min": 0.0},
        {"sl_min": 1.1},
        {"requests": 0},
        {"every_s": 0.0},
        {"cooldown_s": -1.0},
        {"load_factor_max": 0.5},
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="needs"):
        replace(PARAMS, **changes)  # type: ignore[arg-type]
