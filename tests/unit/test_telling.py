"""What whoever looks on is told, however it is sent. What the events of the page have of it, test_events has."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any, cast

import pytest
from unit.test_sample import SAMPLE

from mark.errors import Overloaded
from mark.live.feed import Feed
from mark.live.history import History
from mark.live.recorder import MemoryRecorder
from mark.live.telling import Telling, Tiding
from mark.live.watch import Watch


class World:
    def __init__(self, kept_max: int = 1024) -> None:
        self.feed = Feed(kept_max)
        self.histories = {"digits": History()}
        self.telling = Telling(cast(Watch, self), MemoryRecorder(), {"version": "1"})

    def sample(self, unix_s: float) -> None:
        sample = replace(SAMPLE, unix_s=unix_s)
        self.histories["digits"].add(sample)
        self.feed.publish("sample", sample.as_dict())


async def after_the_past(told: AsyncGenerator[list[Tiding], None]) -> Tiding:
    """The last of the past."""
    async for tidings in told:
        if tidings[-1].kind == "now":
            return tidings[-1]
    raise AssertionError("it ended")


async def test_hello_says_what_each_way_of_listening_adds() -> None:
    async with contextlib.aclosing(World().telling.told("", {"charts": True})) as told:
        (hello,) = await told.__anext__()

    assert (hello.kind, json.loads(hello.data), hello.id) == ("hello", {"version": "1", "charts": True}, "")


async def test_what_happens_while_the_past_is_told_is_not_lost() -> None:
    world = World()
    world.sample(1.0)
    async with contextlib.aclosing(world.telling.told()) as told:
        await told.__anext__()
        world.sample(2.0)
        now = await after_the_past(told)
        (missed,) = await told.__anext__()

    assert now.id == world.feed.id_of(1)
    assert (missed.kind, json.loads(missed.data)["unix_s"], missed.id) == ("sample", 2.0, world.feed.id_of(2))


async def test_several_at_once_are_told_at_once() -> None:
    world = World()
    async with contextlib.aclosing(world.telling.told()) as told:
        await after_the_past(told)
        for second in range(3):
            world.sample(float(second))
        tidings = await told.__anext__()

    assert [json.loads(each.data)["unix_s"] for each in tidings] == [0, 1, 2]


async def test_the_end_of_the_router_ends_it() -> None:
    world = World()
    told = world.telling.told()
    await after_the_past(told)
    ending: asyncio.Future[Any] = asyncio.ensure_future(told.__anext__())
    await asyncio.sleep(0)

    world.telling.end()

    with pytest.raises(StopAsyncIteration):
        await ending
    assert world.telling.listeners == 0


async def test_who_falls_behind_too_far_is_sent_away_to_begin_anew() -> None:
    world = World(kept_max=4)
    told = world.telling.told()
    await after_the_past(told)
    for second in range(9):
        world.sample(float(second))

    with pytest.raises(StopAsyncIteration):
        await told.__anext__()
    async with contextlib.aclosing(world.telling.told(world.feed.id_of(1))) as again:
        assert (await again.__anext__())[0].kind == "hello"


async def test_so_many_listen_at_most_and_who_leaves_makes_room() -> None:
    world = World()
    crowd = [world.telling.told() for _ in range(64)]
    for each in crowd:
        await each.__anext__()
    assert world.telling.listeners == 64

    with pytest.raises(Overloaded, match="64 pages and terminals look on already"):
        await world.telling.told().__anext__()
    await crowd[0].aclose()
    async with contextlib.aclosing(world.telling.told()) as newcomer:
        assert (await newcomer.__anext__())[0].kind == "hello"
    for each in crowd:
        await each.aclose()
    assert world.telling.listeners == 0
