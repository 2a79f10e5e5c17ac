"""A server of the page on a thread of its own, with a past and events that the test chooses."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from mark.domain.record import Record
from mark.domain.sample import ModelSample
from mark.live.events import EventStreams
from mark.live.feed import Feed
from mark.live.history import History
from mark.live.http_server import HttpServer
from mark.live.page import mount_page, page_files
from mark.live.recorder import MemoryRecorder
from mark.live.telling import Telling
from mark.live.watch import Watch

__all__ = ["PageWorld"]

_TIMEOUT_S = 30.0


class PageWorld:
    """What the page talks to. Its methods may be called from the test's thread."""

    def __init__(
        self, models: Sequence[str] = ("digits",), token: str | None = None, charts: Path | None = None
    ) -> None:
        self.histories: Mapping[str, History] = {model: History() for model in models}
        self.recorder = MemoryRecorder()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._about = {
            "version": "0.1.0",
            "cluster": "production",
            "models": [{"name": model, "version": "1", "rt_max_ms": 300.0, "sl_min": 0.98} for model in models],
        }
        self._token = token
        self._charts = charts
        self._do(self._start)

    @property
    def address(self) -> str:
        return self._server.address

    def past(self, samples: Sequence[ModelSample], records: Sequence[Record] = ()) -> None:
        """What was before the page is opened."""

        def add() -> None:
            for sample in samples:
                self.histories[sample.model].add(sample)
            for record in records:
                self.recorder.record(record)

        self._do(add)

    def happens(self, what: ModelSample | Record) -> None:
        """Something that the page is told of now."""

        def add() -> None:
            if isinstance(what, ModelSample):
                self.histories[what.model].add(what)
                self.feed.publish("sample", what.as_dict())
            else:
                self.recorder.record(what)
                self.feed.publish("record", what.as_dict())

        self._do(add)

    def stop(self) -> None:
        """The router is gone."""
        self._do(self._stop)

    def start_again(self) -> None:
        """Another router is there, at the same address; it knows nothing."""
        port = int(self._server.address.rstrip("/").rpartition(":")[2])
        self.histories = {model: History() for model in self.histories}
        self.recorder = MemoryRecorder()
        self._do(lambda: self._start(port))

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_TIMEOUT_S)
        self._loop.close()

    async def _start(self, port: int = 0) -> None:
        self.feed = Feed()
        self._server = HttpServer("127.0.0.1", self._token)
        files = page_files(self._charts)
        self._telling = Telling(cast(Watch, self), self.recorder, self._about)
        streams = EventStreams(self._telling, {"charts": files.has_charts})
        mount_page(self._server, files)
        self._server.mount("/events", streams.answer)
        await self._server.start(port)

    async def _stop(self) -> None:
        self._telling.end()
        await self._server.stop()

    def _do(self, work: Callable[[], Any]) -> None:
        async def done() -> None:
            result = work()
            if asyncio.iscoroutine(result):
                await result

        asyncio.run_coroutine_threadsafe(done(), self._loop).result(_TIMEOUT_S)
