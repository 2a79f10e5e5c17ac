"""The full screen of `mark top`, from the first frame until the person, a signal or the router ends it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.text import Text

from mark.cli.top.frame import Size, draw
from mark.cli.top.glyphs import glyphs_for
from mark.cli.top.keys import Key, KeyReader
from mark.cli.top.router_feed import RouterFeed
from mark.cli.top.terminal import Terminal
from mark.cli.top.tidings import take
from mark.cli.top.view import View

__all__ = ["Session"]

_FRAME_S_MAX = 1.0  # a frame is drawn so often at least: it says how long the router has been silent
_FRAME_S_MIN = 0.05
_ESCAPE_S = 0.1  # after which what began like a sequence was the Escape key
_READ_BYTES = 4096
_SIGNALLED = 128  # what shells add to the number of the signal that ended a program


class Session:
    """Draws what a router tells, and does what keys ask for.

    Thread safety: belongs to one event loop, on the main thread.

    Invariant: while the process is stopped, and after `run`, the terminal is as it was before.
    """

    def __init__(self, address: str, view: View, console: Console, keys: int | None) -> None:
        """Make it.

        Args:
            address: of the router.
            view: to show; may have seen something already.
            console: of the terminal.
            keys: file descriptor to read keys from; None where there is none.
        """
        self._view = view
        self._console = console
        self._glyphs = glyphs_for(console.encoding)
        self._keys = keys
        self._reader = KeyReader()
        self._escape: asyncio.TimerHandle | None = None
        self._terminal = Terminal(console.file.fileno(), keys)
        self._feed = RouterFeed(address, self._on_event, self._on_lost)
        self._heard_s = time.monotonic()
        self._news = asyncio.Event()
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def run(self) -> int:
        """Show until somebody ends it; the exit code.

        Raises:
            RequestError: see `RouterFeed.run`.
        """
        listening: asyncio.Future[Any] = asyncio.ensure_future(self._feed.run())
        try:
            # Not before the router was heard of: that nobody answers belongs on the screen that was there.
            await self._first_news(listening)
            with self._terminal, self._signals(), self._key_events():
                drawing: asyncio.Future[Any] = asyncio.ensure_future(self._draw())
                try:
                    ends: set[asyncio.Future[Any]] = {self._ended, listening, drawing}
                    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    await _cancelled(drawing)
            for task in (listening, drawing):
                if task.done() and not task.cancelled():
                    task.result()  # raises why it ended, if it failed
            return await self._ended
        finally:
            await _cancelled(listening)

    async def _first_news(self, listening: asyncio.Future[Any]) -> None:
        news: asyncio.Future[Any] = asyncio.ensure_future(self._news.wait())
        try:
            await asyncio.wait({news, listening}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
        if listening.done():
            listening.result()

    async def _draw(self) -> None:
        while True:
            self._news.clear()
            width, height = self._terminal.size()
            frame = draw(self._view, Size(width, height), time.monotonic() - self._heard_s, self._glyphs)
            self._view.scroll = frame.scroll
            try:
                self._terminal.draw([_printed(self._console, line) for line in frame.lines])
            except OSError:  # the terminal is gone, and so is whoever looked on
                self._end(_SIGNALLED + signal.SIGHUP)
                return
            await asyncio.sleep(_FRAME_S_MIN)
            clock = asyncio.get_running_loop().call_later(_FRAME_S_MAX, self._news.set)
            try:
                await self._news.wait()
            finally:
                clock.cancel()

    def _on_event(self, kind: str, text: str) -> None:
        take(self._view, kind, text)
        self._view.lost_because = ""
        self._heard_s = time.monotonic()
        self._news.set()

    def _on_lost(self, reason: str) -> None:
        self._view.lost_because = reason
        self._news.set()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        actions: dict[signal.Signals, Callable[[], None]] = {
            signal.SIGWINCH: self._news.set,
            signal.SIGTSTP: self._suspend,
            signal.SIGCONT: self._resume,
        }
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            actions[signum] = functools.partial(self._end, _SIGNALLED + signum)
        for signum, action in actions.items():
            loop.add_signal_handler(signum, action)
        try:
            yield
        finally:
            for signum in actions:
                loop.remove_signal_handler(signum)

    @contextlib.contextmanager
    def _key_events(self) -> Iterator[None]:
        if self._keys is None:
            yield
            return
        loop = asyncio.get_running_loop()
        loop.add_reader(self._keys, self._read_keys, self._keys)
        try:
            yield
        finally:
            loop.remove_reader(self._keys)

    def _read_keys(self, keys: int) -> None:
        try:
            data = os.read(keys, _READ_BYTES)
        except OSError:
            data = b""  # as at its end: the terminal is gone
        if not data:
            self._end(_SIGNALLED + signal.SIGHUP)
            return
        if self._escape is not None:
            self._escape.cancel()
        self._press(self._reader.feed(data))
        if self._reader.waits:
            self._escape = asyncio.get_running_loop().call_later(_ESCAPE_S, self._flush_keys)

    def _flush_keys(self) -> None:
        self._press(self._reader.flush())

    def _press(self, keys: list[Key]) -> None:
        for key in keys:
            if key is Key.QUIT:
                self._end(0)
            self._view.press(key)
        if keys:
            self._news.set()

    def _end(self, code: int) -> None:
        if not self._ended.done():
            self._ended.set_result(code)

    def _suspend(self) -> None:
        """Ctrl-Z: the shell gets its terminal, and this process goes on when the shell says so."""
        loop = asyncio.get_running_loop()
        self._terminal.leave()
        loop.remove_signal_handler(signal.SIGTSTP)
        signal.raise_signal(signal.SIGTSTP)
        loop.add_signal_handler(signal.SIGTSTP, self._suspend)
        self._resume()

    def _resume(self) -> None:
        self._terminal.enter()
        self._news.set()


async def _cancelled(task: asyncio.Future[Any]) -> None:
    """Cancel a task and wait for its end; how it ended is for others to ask."""
    task.cancel()
    await asyncio.wait({task})


def _printed(console: Console, line: Text) -> str:
    """A line as the bytes that a console would write, with as much colour as it knows."""
    with console.capture() as captured:
        console.print(line, end="", no_wrap=True, overflow="ignore", crop=False, highlight=False)
    return captured.get()
