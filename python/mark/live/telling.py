"""Tells whoever looks on what was, then what comes: the events of the live page and of `mark top`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mark.domain.record import Record, RecordKind
from mark.errors import Overloaded
from mark.live.recorder import MemoryRecorder
from mark.live.watch import Watch

__all__ = ["Telling", "Tiding"]

_LISTENERS_MAX: Final = 64
_POINTS_AT_ONCE: Final = 500
_RECORDS_AT_ONCE: Final = 20
_RECORDS_PAST: Final = 400
_QUIET_PLANS: Final = 20
_LATER_MS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Tiding:
    """One thing that is told.

    Attributes:
        kind: "hello", about the router and its models: whoever listens begins anew; "history", points of a model's
            past: `model`, `columns` by name; "records" of the past: `records`; "now", the past is told; "sample" and
            "record", as they come.
        data: it, as JSON without line breaks.
        id: to go on after it; empty where that cannot be.
    """

    kind: str
    data: bytes
    id: str = ""


class Telling:
    """Whoever comes back with the id of what was told last gets only what came since, if it is still known.

    Thread safety: belongs to one event loop.
    """

    def __init__(self, watch: Watch, recorder: MemoryRecorder, about: Mapping[str, Any]) -> None:
        """Make it.

        Args:
            watch: what is told.
            recorder: has the records of the past.
            about: what `hello` says.
        """
        self.watch = watch
        self.recorder = recorder
        self._about = dict(about)
        self._ending = asyncio.Event()
        self._listeners = 0

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return self._listeners

    def end(self) -> None:
        """Everybody has heard enough: the router stops."""
        self._ending.set()

    async def told(
        self, last_seen: str = "", also_about: Mapping[str, Any] | None = None
    ) -> AsyncGenerator[list[Tiding], None]:
        """What there is to tell, as it comes; to be closed by who listens no more.

        Args:
            last_seen: the id of what was told last.
            also_about: what `hello` says besides.

        Raises:
            Overloaded: too many listen already.
        """
        if self._listeners >= _LISTENERS_MAX:
            raise Overloaded(f"{_LISTENERS_MAX} pages and terminals look on already", _LATER_MS)
        self._listeners += 1
        try:
            feed = self.watch.feed
            number = feed.number_of(last_seen)
            if number is None:
                number = feed.seen
                async for tidings in self._past(number, also_about or {}):
                    yield tidings
            async for tidings in self._coming(number):
                yield tidings
        finally:
            self._listeners -= 1

    async def _coming(self, number: int) -> AsyncGenerator[list[Tiding], None]:
        feed = self.watch.feed
        ending = asyncio.ensure_future(self._ending.wait())
        news: asyncio.Future[Any] | None = None
        try:
            while not ending.done():
                news = asyncio.ensure_future(feed.after(number))
                await asyncio.wait({news, ending}, return_when=asyncio.FIRST_COMPLETED)
                if not news.done():
                    return
                events = news.result()
                if events is None:
                    return  # it fell so far behind that it had better begin anew, as it does when it connects again
                number = events[-1].number
                yield [Tiding(each.kind, each.data, feed.id_of(each.number)) for each in events]
        finally:
            ending.cancel()
            if news is not None:
                news.cancel()

    async def _past(self, number: int, also_about: Mapping[str, Any]) -> AsyncGenerator[list[Tiding], None]:
        """Everything until an event, taken at once and told bit by bit: requests are not to wait for who looks on."""
        pasts = {name: history.past() for name, history in self.watch.histories.items()}
        records = _worth_telling(self.recorder.since(0)[1])
        yield [Tiding("hello", _json({**self._about, **also_about}))]
        for name, past in pasts.items():
            for begin in range(0, past.points, _POINTS_AT_ONCE):
                columns = await asyncio.to_thread(past.columns, begin, begin + _POINTS_AT_ONCE)
                yield [Tiding("history", await asyncio.to_thread(_json, {"model": name, "columns": columns}))]
        for begin in range(0, len(records), _RECORDS_AT_ONCE):
            part = [record.as_dict() for record in records[begin : begin + _RECORDS_AT_ONCE]]
            yield [Tiding("records", await asyncio.to_thread(_json, {"records": part}))]
        yield [Tiding("now", b"{}", self.watch.feed.id_of(number))]


def _worth_telling(records: Sequence[Record]) -> list[Record]:
    """Of each model the newest that did something, and of the plans that left all as it was only some; in order."""
    left: dict[tuple[str, bool], int] = {}
    kept = []
    for record in reversed(records):
        is_quiet = record.kind is RecordKind.PLAN and not record.actions
        key = (record.model, is_quiet)
        left.setdefault(key, _QUIET_PLANS if is_quiet else _RECORDS_PAST)
        if left[key] > 0:
            left[key] -= 1
            kept.append(record)
    return kept[::-1]


def _json(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":"), allow_nan=False).encode()
