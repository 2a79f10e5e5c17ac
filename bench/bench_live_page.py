"""What it costs the router that somebody may look on: a look at a model each second, and its past for a page."""

from __future__ import annotations

import asyncio
import json

import pytest
from browser.story import Story
from pytest_benchmark.fixture import BenchmarkFixture

from mark.live.feed import Feed
from mark.live.history import History

POINTS = 10_000
PART = 500
SECONDS_MAX = 0.01  # of each second, on a machine where much else runs; it takes less than a thousandth


def test_a_sample_is_kept_and_told(benchmark: BenchmarkFixture) -> None:
    samples = list(Story(seconds=200).samples())
    history = History(POINTS)

    async def tell_all() -> Feed:
        feed = Feed()
        for sample in samples:
            history.add(sample)
            feed.publish("sample", sample.as_dict())
        return feed

    feed = benchmark(lambda: asyncio.run(tell_all()))

    assert feed.seen == len(samples)
    assert benchmark.stats is None or benchmark.stats["min"] / len(samples) < SECONDS_MAX


def test_a_full_past_is_told_in_parts(benchmark: BenchmarkFixture) -> None:
    history = History(POINTS)
    for sample in Story(seconds=POINTS).samples():
        history.add(sample)

    def tell() -> list[bytes]:
        past = history.past()
        return [json.dumps(past.columns(begin, begin + PART)).encode() for begin in range(0, past.points, PART)]

    parts = benchmark(tell)

    times = [at for part in parts for at in json.loads(part)["unix_s"]]
    assert len(times) == POINTS
    assert times == pytest.approx(sorted(times))
