"""How a load gets to the engine: behind a stretch that sets the scene, and never further ahead than it has to."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from mark import _core
from mark.domain.load import LoadChunk, RecordedLoad
from mark.sim.load_feed import LoadFeed, feed_of, offered_counts

S = 1_000_000_000


@dataclass
class Chunks:
    """A load of several chunks, each of (end in seconds, rate per second); notes how many were read."""

    stretches: Sequence[Sequence[tuple[float, float]]]
    read: list[int] = field(default_factory=list)

    def chunks(self) -> Iterator[LoadChunk]:
        for number, stretches in enumerate(self.stretches):
            self.read.append(number)
            ends_s, rates_per_s = zip(*stretches, strict=True)
            yield LoadChunk(np.array(ends_s, dtype=np.float64), np.array(rates_per_s, dtype=np.float64))


THREE = [[(50.0, 20.0), (100.0, 60.0)], [(200.0, 10.0)], [(250.0, 0.0), (300.0, 40.0)]]


def engine(seed: int = 0) -> _core.Simulation:
    return _core.Simulation(_core.DispatcherParams(S, rows_max=1), seed=seed)


def arrivals(load: Chunks, warmup_s: float, until_s: int, seed: int = 0) -> list[int]:
    """Requests that arrived by the end of each ten seconds, fed ten seconds at a time."""
    feed, target = LoadFeed(load, warmup_s), engine(seed)
    counts = []
    for now_s in range(0, until_s, 10):
        feed.feed(target, now_s + 10.0)
        target.run_until((now_s + 10) * S)
        counts.append(target.arrived)
    return [after - before for before, after in itertools.pairwise([0, *counts])]


def test_the_load_arrives_at_its_rates_behind_the_warm_up() -> None:
    counts = np.array(arrivals(Chunks(THREE), warmup_s=100.0, until_s=400)) / 10.0

    # The mean rate of the first chunk: (50 * 20 + 50 * 60) / 100.
    expected = [(0, 10, 40.0), (10, 15, 20.0), (15, 20, 60.0), (20, 30, 10.0), (35, 40, 40.0)]
    for first, last, rate in expected:
        assert counts[first:last].mean() == pytest.approx(rate, rel=0.15)
    assert counts[30:35].tolist() == [0.0] * 5


def test_the_warm_up_has_the_mean_rate_of_the_first_ten_minutes_only() -> None:
    load = Chunks([[(300.0, 10.0), (900.0, 30.0), (1000.0, 5000.0)]])

    assert sum(arrivals(load, warmup_s=200.0, until_s=200)) == pytest.approx(200 * 20, rel=0.06)


def test_without_a_warm_up_the_load_begins_at_once() -> None:
    counts = arrivals(Chunks(THREE), warmup_s=0.0, until_s=100)

    assert np.mean(counts[:5]) == pytest.approx(200, rel=0.15)
    assert np.mean(counts[5:]) == pytest.approx(600, rel=0.15)


def test_no_chunk_is_read_before_it_is_needed() -> None:
    load = Chunks(THREE)
    feed, target = LoadFeed(load, 100.0), engine()
    read = []
    for until_s in (50.0, 100.0, 150.0, 201.0, 399.0, 400.0):
        feed.feed(target, until_s)
        read.append(len(load.read))

    # One is always at hand, to know whether there is more.
    assert read == [1, 1, 2, 3, 3, 3]


def test_the_end_is_known_once_all_is_told() -> None:
    feed, target = LoadFeed(Chunks(THREE), 100.0), engine()
    feed.feed(target, 300.0)
    assert feed.ended_s is None

    feed.feed(target, 301.0)
    feed.feed(target, 1000.0)

    assert feed.ended_s == 400.0


def test_a_load_of_nothing_ends_with_its_warm_up() -> None:
    feed, target = LoadFeed(Chunks([]), 100.0), engine()

    feed.feed(target, 1000.0)
    target.run_until(1000 * S)

    assert feed.ended_s == 100.0
    assert target.arrived == 0
    assert offered_counts(Chunks([]), 100.0, 0, 5.0).tolist() == []


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("warmup_s", [0.0, 100.0])
def test_an_oracle_counts_what_the_simulation_of_its_seed_will_see(seed: int, warmup_s: float) -> None:
    seen = arrivals(Chunks(THREE), warmup_s, 300 + round(warmup_s), seed)

    counted = offered_counts(Chunks(THREE), warmup_s, seed, 10.0)

    assert counted.tolist() == seen


def test_another_seed_is_another_future() -> None:
    first, second = (offered_counts(Chunks(THREE), 100.0, seed, 10.0).tolist() for seed in (0, 1))

    assert first != second


def test_a_recorded_load_arrives_at_its_instants_behind_a_silence() -> None:
    load, target = RecordedLoad(np.array([0.0, 0.5, 0.5, 29.9]), 40.0), engine()
    feed = feed_of(load, 100.0)
    feed.feed(target, 10.0)
    feed.feed(target, 20.0)
    seen = []
    for now_s in (100.0, 100.1, 100.5, 100.6, 129.9, 140.0):
        target.run_until(round(now_s * S))
        seen.append(target.arrived)

    assert seen == [0, 1, 1, 3, 3, 4]
    assert feed.ended_s == 140.0
    assert offered_counts(load, 100.0, 0, 10.0).tolist() == [0] * 10 + [3, 0, 1]


@pytest.mark.parametrize(
    ("instants_s", "duration_s"),
    [([1.0, 0.5], 2.0), ([-1.0], 2.0), ([float("nan")], 2.0), ([1.0], 0.5), ([1.0], float("inf"))],
)
def test_a_recording_that_cannot_be_is_refused(instants_s: list[float], duration_s: float) -> None:
    with pytest.raises(ValueError, match=r"instants_s must|duration_s must"):
        RecordedLoad(np.array(instants_s), duration_s)
