"""The events that a page is sent: what was, then what comes, and no more than that after a break."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from unit.test_sample import SAMPLE

from mark.domain.plan import Launch
from mark.domain.record import Record, RecordKind
from mark.live.events import EventStreams
from mark.live.feed import Feed
from mark.live.history import History
from mark.live.http_server import HttpServer
from mark.live.page import mount_page, page_files
from mark.live.recorder import MemoryRecorder
from mark.live.telling import Telling
from mark.live.watch import Watch, next_look_ns
from mark.testing import ManualClock


@dataclass(frozen=True)
class Seen:
    kind: str
    data: Any
    id: str


class World:
    """A feed, a history and a recorder that the test fills, and a server that tells of them."""

    def __init__(self) -> None:
        self.feed = Feed()
        self.histories = {"digits": History()}
        self.recorder = MemoryRecorder()
        self.server = HttpServer("127.0.0.1", None)
        self.telling = Telling(cast(Watch, self), self.recorder, {"version": "1"})
        self.streams = EventStreams(self.telling, {"charts": True})
        self.server.mount("/events", self.streams.answer)
        mount_page(self.server, page_files(Path("/nowhere")))

    def sample(self, unix_s: float) -> None:
        sample = replace(SAMPLE, unix_s=unix_s)
        self.histories["digits"].add(sample)
        self.feed.publish("sample", sample.as_dict())

    def record(self, number: int, kind: RecordKind = RecordKind.PLAN, *, acts: bool = False) -> None:
        actions = (Launch("small", "token", "because"),) if acts else ()
        record = Record(f"digits-{number}", number, float(number), "digits", kind, "because", actions)
        self.recorder.record(record)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.server.start(0)
    yield world
    await world.server.stop()


async def listen(world: World, until: str, last_seen: str = "") -> list[Seen]:
    """Events of a stream up to the first of a kind."""
    headers = {"Last-Event-ID": last_seen} if last_seen else {}
    found: list[Seen] = []
    async with (
        aiohttp.ClientSession(world.server.address) as session,
        session.get("/events", headers=headers) as answer,
    ):
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        fields: dict[str, str] = {}
        async for line in answer.content:
            name, colon, value = line.decode().rstrip("\n").partition(": ")
            if colon:
                fields[name] = value
            elif "event" in fields:
                found.append(Seen(fields["event"], json.loads(fields["data"]), fields.get("id", "")))
                if fields["event"] == until:
                    return found
                fields = {}
    return found


async def test_the_past_comes_first_in_order(world: World) -> None:
    for second in range(3):
        world.sample(float(second))
    world.record(1)

    events = await listen(world, "now")

    assert [event.kind for event in events] == ["hello", "history", "records", "now"]
    assert events[0].data == {"version": "1", "charts": True}
    assert events[1].data["model"] == "digits"
    assert events[1].data["columns"]["unix_s"] == [0, 1, 2]
    assert [record["id"] for record in events[2].data["records"]] == ["digits-1"]
    assert events[3].id == world.feed.id_of(3)


async def test_a_long_past_comes_in_parts(world: World) -> None:
    for second in range(1200):
        world.histories["digits"].add(replace(SAMPLE, unix_s=float(second)))

    parts = [event.data["columns"]["unix_s"] for event in await listen(world, "now") if event.kind == "history"]

    assert [len(part) for part in parts] == [500, 500, 200]
    assert [second for part in parts for second in part] == list(range(1200))


async def test_what_happens_is_told_at_once_and_with_an_id(world: World) -> None:
    listening = asyncio.ensure_future(listen(world, "sample"))
    while not world.feed.seen:
        await asyncio.sleep(0.01)
        if world.telling.listeners:  # it listens: the past is taken at once
            world.sample(7.0)

    *_, last = await asyncio.wait_for(listening, 30)

    assert (last.kind, last.data["unix_s"], last.id) == ("sample", 7.0, world.feed.id_of(1))


class TestAfterABreak:
    async def test_only_what_was_missed_is_told(self, world: World) -> None:
        for second in range(4):
            world.sample(float(second))

        events = await listen(world, "sample", world.feed.id_of(2))

        assert [event.data["unix_s"] for event in events] == [2]

    async def test_all_of_it_where_the_router_is_another_one_now(self, world: World) -> None:
        world.sample(0.0)

        assert [event.kind for event in await listen(world, "now", "deadbeef-1")] == ["hello", "history", "now"]


class TestRecords:
    async def test_of_plans_that_change_nothing_only_the_last_are_told(self, world: World) -> None:
        world.record(0, acts=True)
        world.record(1, RecordKind.INTERRUPTION)
        for number in range(2, 102):
            world.record(number)

        told = [record["at_ns"] for event in await listen(world, "now") if event.kind == "records"
                for record in event.data["records"]]  # fmt: skip

        assert told == [0, 1, *range(82, 102)]

    async def test_of_very_many_the_last_are_told(self, world: World) -> None:
        for number in range(1000):
            world.record(number, acts=True)

        told = [record["at_ns"] for event in await listen(world, "now") if event.kind == "records"
                for record in event.data["records"]]  # fmt: skip

        assert told == list(range(600, 1000))


async def test_pages_beyond_count_are_asked_to_come_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.telling._listeners = 64
    async with aiohttp.ClientSession(world.server.address) as session, session.get("/events") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "10")


async def test_a_page_that_was_closed_is_forgotten(world: World) -> None:
    world.sample(0.0)
    await listen(world, "now")
    for second in range(1, 200):
        if world.telling.listeners == 0:
            break
        world.sample(float(second))
        await asyncio.sleep(0.01)

    assert world.telling.listeners == 0


class TestWatch:
    async def test_it_samples_all_models_and_tells_each_record(self) -> None:
        clock = SimpleNamespace(now_ns=lambda: 0, unix_s=lambda _: 5.0)
        bill = SimpleNamespace(by_model=lambda: {"digits": 1.0})
        accounts = SimpleNamespace(cloud=SimpleNamespace(offerings=tuple), bill=lambda: bill)
        sampler = SimpleNamespace(sample=lambda moment: replace(SAMPLE, usd_total=moment.usd_by_model["digits"]))
        recorder = MemoryRecorder()
        watch = Watch({"digits": cast(Any, sampler)}, recorder, cast(Any, clock), cast(Any, accounts))
        recorder.record(Record("digits-1", 0, 0.0, "digits", RecordKind.PLAN, "because"))

        running = asyncio.ensure_future(watch.run())
        try:
            events = await asyncio.wait_for(watch.feed.after(1), 30)
        finally:
            running.cancel()

        assert events is not None
        assert [event.kind for event in events] == ["sample"]
        assert json.loads(events[0].data)["usd_total"] == 1.0
        assert len(watch.histories["digits"]) == 1

    async def test_what_cannot_be_seen_is_told_once_and_looked_for_again(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        now_ns = iter(range(0, 10**15, 10**9))
        clock = SimpleNamespace(now_ns=lambda: next(now_ns), unix_s=lambda _: 5.0)
        fails = iter([True, True, True, False])

        def by_model() -> dict[str, float]:
            if next(fails, False):
                raise RuntimeError("no bill today")
            return {}

        bill = SimpleNamespace(by_model=by_model)
        accounts = SimpleNamespace(cloud=SimpleNamespace(offerings=tuple), bill=lambda: bill)
        sampler = SimpleNamespace(sample=lambda _: SAMPLE)
        watch = Watch({"digits": cast(Any, sampler)}, MemoryRecorder(), cast(Any, clock), cast(Any, accounts))

        running = asyncio.ensure_future(watch.run())
        try:
            assert await asyncio.wait_for(watch.feed.after(0), 30)
        finally:
            running.cancel()

        assert caplog.text.count("page and top show nothing new") == 1
        assert "no bill today" in caplog.text

    def test_a_loop_that_was_held_up_looks_once_and_not_again_at_once(self) -> None:
        assert next_look_ns(due_ns=0, now_ns=10_000_000) == 1_000_000_000
        assert next_look_ns(due_ns=0, now_ns=999_000_000) == 1_499_000_000
        assert next_look_ns(due_ns=0, now_ns=7_300_000_000) == 7_800_000_000

    async def test_a_bill_that_takes_long_is_reckoned_seldom(self) -> None:
        clock, bills = ManualClock(), []

        def bill() -> Any:
            bills.append(clock.now_ns())
            clock.advance_s(0.05)
            return SimpleNamespace(by_model=lambda: {"digits": float(len(bills))})

        accounts = SimpleNamespace(cloud=SimpleNamespace(offerings=tuple), bill=bill)
        sampler = SimpleNamespace(sample=lambda moment: replace(SAMPLE, usd_total=moment.usd_by_model["digits"]))
        steady = SimpleNamespace(now_ns=clock.now_ns, unix_s=lambda at_ns: at_ns / 1e9)
        watch = Watch({"digits": cast(Any, sampler)}, MemoryRecorder(), cast(Any, steady), cast(Any, accounts))

        for _ in range(20):
            watch.look()
            clock.advance_s(1.0)

        assert len(bills) == 4  # for each took as long as a hundredth of five seconds
        told = [json.loads(event.data)["usd_total"] for event in await watch.feed.after(0) or ()]
        assert told == sorted(told)
        assert (told[0], told[-1]) == (1.0, 4.0)
