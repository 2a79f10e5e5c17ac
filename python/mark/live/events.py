"""Server-sent events of the live page: what was, then what comes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from aiohttp import web

from mark.domain.record import Record, RecordKind
from mark.live.recorder import MemoryRecorder
from mark.live.watch import Watch

__all__ = ["EventStreams"]

_STREAMS_MAX: Final = 64
_POINTS_AT_ONCE: Final = 500
_RECORDS_AT_ONCE: Final = 20
_RECORDS_PAST: Final = 400
_QUIET_PLANS: Final = 20


class EventStreams:
    """Answers /events, with these kinds of events.

    - `hello`: about the router and its models; the page begins anew;
    - `history`: points of a model's past: `model`, `columns` by name;
    - `records`: of the past: `records`;
    - `now`: the past is told;
    - `sample` and `record`: as they come, with an id.

    Whoever comes back with the id of the last one (`Last-Event-ID`) gets only what came since, if it is still known.

    Thread safety: belongs to one event loop.
    """

    def __init__(self, watch: Watch, recorder: MemoryRecorder, about: Mapping[str, Any], ending: asyncio.Event) -> None:
        """Make it.

        Args:
            watch: what is told.
            recorder: has the records of the past.
            about: what `hello` says.
            ending: set when every stream is to end.
        """
        self._watch = watch
        self._recorder = recorder
        self._about = dict(about)
        self._ending = ending
        self._streams = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One stream, until its client leaves or the server stops."""
        if self._streams >= _STREAMS_MAX:
            return web.Response(status=503, headers={"Retry-After": "10"}, text="too many pages are open\n")
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
        )
        self._streams += 1
        try:
            await response.prepare(request)
            async for chunk in self._chunks(request.headers.get("Last-Event-ID", "")):
                await response.write(chunk)
        except ConnectionResetError:
            pass  # the page was closed
        finally:
            self._streams -= 1
        return response

    async def _chunks(self, last_seen: str) -> AsyncIterator[bytes]:
        feed = self._watch.feed
        number = feed.number_of(last_seen)
        if number is None:
            number = feed.seen
            async for chunk in self._past(number):
                yield chunk
        ending = asyncio.ensure_future(self._ending.wait())
        try:
            while not ending.done():
                news = asyncio.ensure_future(feed.after(number))
                await asyncio.wait({news, ending}, return_when=asyncio.FIRST_COMPLETED)
                if not news.done():
                    news.cancel()
                    return
                events = news.result()
                if events is None:
                    return  # it fell so far behind that it had better begin anew, as it does when it connects again
                number = events[-1].number
                yield b"".join(_event(each.kind, each.data, feed.id_of(each.number)) for each in events)
        finally:
            ending.cancel()

    async def _past(self, number: int) -> AsyncIterator[bytes]:
        """Everything until an event, taken at once and told bit by bit: requests are not to wait for a page."""
        pasts = {name: history.past() for name, history in self._watch.histories.items()}
        records = [record for name in pasts for record in _worth_telling(self._recorder.records(name))]
        records.sort(key=lambda record: record.unix_s)
        yield b"retry: 1000\n" + _event("hello", _json(self._about))
        for name, past in pasts.items():
            for begin in range(0, past.points, _POINTS_AT_ONCE):
                columns = await asyncio.to_thread(past.columns, begin, begin + _POINTS_AT_ONCE)
                yield _event("history", await asyncio.to_thread(_json, {"model": name, "columns": columns}))
        for begin in range(0, len(records), _RECORDS_AT_ONCE):
            part = [record.as_dict() for record in records[begin : begin + _RECORDS_AT_ONCE]]
            yield _event("records", await asyncio.to_thread(_json, {"records": part}))
        yield _event("now", b"{}", self._watch.feed.id_of(number))


def _worth_telling(records: list[Record]) -> list[Record]:
    """The newest of those that did something, and of the plans that left all as it was only some."""
    quiet = [record for record in records if record.kind is RecordKind.PLAN and not record.actions]
    left_out = {record.id for record in quiet[:-_QUIET_PLANS]}
    return [record for record in records if record.id not in left_out][-_RECORDS_PAST:]


def _event(kind: str, data: bytes, event_id: str = "") -> bytes:
    named = f"id: {event_id}\n" if event_id else ""
    return f"{named}event: {kind}\ndata: ".encode() + data + b"\n\n"


def _json(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":"), allow_nan=False).encode()
