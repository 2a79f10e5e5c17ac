"""Bursts of refusals and fallbacks: one record each, with beginning, end and reason."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mark.controlplane.chronicle import Chronicle, Scene
from mark.controlplane.snapshot import Snapshot
from mark.controlplane.tallies import Refusals, RefusedBurst, Tallies, Tally
from mark.domain.forecast import Forecast
from mark.domain.record import Record, RecordKind
from mark.live.recorder import MemoryRecorder

S = 1_000_000_000


class World:
    def __init__(self) -> None:
        self.recorder = MemoryRecorder()
        self.tallies = Tallies(Chronicle(("m", "run"), self.recorder), quiet_s=5.0)

    def look(self, at_s: float, tally: Tally) -> None:
        self.tallies.look(tally, scene(at_s))

    @property
    def records(self) -> list[Record]:
        return self.recorder.records("m")


def scene(at_s: float) -> Scene:
    return Scene(Snapshot(round(at_s * S), ()))


def test_refusals_without_a_pause_are_one_burst_with_beginning_end_and_reasons() -> None:
    refusals = Refusals(quiet_s=5.0)
    counts = [(0, 3, 0), (1, 3, 0), (2, 5, 1), (3, 9, 1), (6, 10, 1), (10, 10, 1)]
    for at_s, full, missed in counts:
        assert refusals.look(at_s * S, {"queue_full": full, "predicted_miss": missed}) is None

    burst = refusals.look(11 * S, {"queue_full": 10, "predicted_miss": 1})

    assert burst == RefusedBurst(1 * S, 6 * S, {"queue_full": 7, "predicted_miss": 1})
    assert burst.requests == 8
    assert refusals.look(30 * S, {"queue_full": 10, "predicted_miss": 1}) is None


def test_what_was_refused_before_the_first_look_is_not_counted() -> None:
    refusals = Refusals(quiet_s=5.0)
    refusals.look(0, {"queue_full": 100})

    assert refusals.end() is None


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 3)), max_size=60), st.floats(0.0, 30.0))
def test_every_refusal_is_in_exactly_one_burst_and_bursts_do_not_overlap(
    looks: list[tuple[int, int]], quiet_s: float
) -> None:
    refusals, at_s, count = Refusals(quiet_s), 0, 0
    refusals.look(0, {"x": 0})
    bursts = []
    for pause_s, more in looks:
        at_s, count = at_s + pause_s, count + more
        bursts.append(refusals.look(at_s * S, {"x": count}))
    bursts.append(refusals.end())
    found = [burst for burst in bursts if burst is not None]

    assert sum(burst.requests for burst in found) == count
    assert all(burst.began_ns < burst.ended_ns for burst in found)
    assert all(a.ended_ns + quiet_s * S <= b.ended_ns for a, b in pairwise(found))
    assert all(a.ended_ns <= b.began_ns for a, b in pairwise(found))


def test_a_shed_burst_is_one_record() -> None:
    world = World()
    for at_s, count in enumerate((0, 4, 9, 9, 9, 9, 9, 9, 9, 9, 9)):
        world.look(at_s, Tally(shed={"queue_full": count, "expired": 0}))

    (record,) = world.records
    assert record.kind is RecordKind.SHED
    assert record.reason == "9 requests were not answered in 2.0 s: 9 queue full"
    assert record.details["by_reason"] == {"queue_full": 9}
    assert (record.details["began_at_ns"], record.details["ended_at_ns"]) == (0, 2 * S)


def test_a_burst_that_is_not_over_when_serving_ends_is_written_then() -> None:
    world = World()
    world.look(0, Tally())
    world.look(1, Tally(shed={"expired": 2}, functions_refused={"at_limit": 3}))
    world.tallies.end(scene(1.5))
    world.tallies.end(scene(2.0))

    assert [each.kind for each in world.records] == [RecordKind.SHED, RecordKind.FALLBACK]
    assert world.records[1].reason == "functions were not asked for 3 requests in 1.0 s: 3 at limit"
    assert world.records[1].details["what"] == "functions"


def test_the_breaker_is_written_when_it_opens_and_again_only_after_it_was_closed() -> None:
    world = World()
    for at_s, breaker in enumerate(("closed", "open", "half_open", "open", "closed", "half_open")):
        world.look(at_s, Tally(breaker=breaker))

    assert [(each.at_ns // S, each.details["what"]) for each in world.records] == [(1, "breaker"), (5, "breaker")]


def test_a_forecaster_that_stands_in_is_written_when_it_begins() -> None:
    world = World()
    for at_s, fallback in enumerate(("", "in place of lstm: raised", "in place of lstm", "", "x")):
        world.tallies.planned_for(Forecast(60.0, (1.0,), "moving maximum", fallback=fallback), scene(at_s))

    assert [each.at_ns // S for each in world.records] == [1, 4]
    assert world.records[0].reason == "the forecast is by moving maximum: in place of lstm: raised"


def test_arrivals_are_sampled_once_a_second_and_thinned_but_never_lost() -> None:
    world = World()
    for tenth in range(50_000):
        world.tallies.observe(tenth * S // 10, tenth)
    arrivals = world.tallies.details()["arrivals"]

    assert len(arrivals) <= 722
    assert arrivals[0] == [0, 0]
    assert arrivals[-1] == [49_999 * S // 10, 49_999]  # the last, whether a second has passed or not
    assert arrivals == sorted(arrivals)
    assert world.tallies.details()["arrivals"] == [arrivals[-1]]
