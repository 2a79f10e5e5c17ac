"""The events of the live page: numbered, kept for a while, and told at once."""

from __future__ import annotations

import asyncio
import json
import math

import pytest

from mark.live.feed import Feed


def publish(feed: Feed, *numbers: int) -> None:
    for number in numbers:
        feed.publish("sample", {"number": number})


async def test_what_was_published_is_there_in_order() -> None:
    feed = Feed()
    publish(feed, 1, 2, 3)

    events = await feed.after(1)

    assert events is not None
    assert [(event.number, event.kind, json.loads(event.data)) for event in events] == [
        (2, "sample", {"number": 2}),
        (3, "sample", {"number": 3}),
    ]


async def test_whoever_waits_is_woken_by_the_next_one() -> None:
    feed = Feed()
    publish(feed, 1)
    waiting = [asyncio.ensure_future(feed.after(1)) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(each.done() for each in waiting)

    publish(feed, 2)

    for events in await asyncio.wait_for(asyncio.gather(*waiting), 30):
        assert events is not None
        assert [event.number for event in events] == [2]


async def test_whoever_falls_behind_is_told_so() -> None:
    feed = Feed(kept_max=3)
    publish(feed, 1, 2, 3, 4, 5)

    assert await feed.after(1) is None
    events = await feed.after(2)
    assert events is not None
    assert [event.number for event in events] == [3, 4, 5]


class TestIds:
    def test_one_that_is_still_known_leads_back_to_its_number(self) -> None:
        feed = Feed(kept_max=3)
        assert feed.number_of(feed.id_of(0)) == 0
        publish(feed, 1, 2, 3, 4, 5)

        assert [feed.number_of(feed.id_of(number)) for number in range(7)] == [None, None, 2, 3, 4, 5, None]

    @pytest.mark.parametrize("event_id", ["", "7", "-1", "run-1", "x-y-1", "-"])
    def test_any_other_is_unknown(self, event_id: str) -> None:
        feed = Feed()
        publish(feed, 1)

        assert feed.number_of(event_id) is None
        assert feed.number_of(f"{feed.id_of(1)}x") is None

    def test_another_run_gives_others(self) -> None:
        assert Feed().number_of(Feed().id_of(0)) is None


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        Feed().publish("sample", {"number": math.nan})
