"""A process that must not outlive the one that started it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import stat
import sys
import threading
from collections.abc import Callable

__all__ = ["Parent", "watch_parent"]

_log = logging.getLogger(__name__)


class Parent:
    """The process that holds the other end of stdin, which closes when that process ends, however it ends.

    Needs no event loop, so it is noticed even while the main thread loads a model. A stdin that nobody holds the other
    end of (a file, /dev/null, none) has ended already.

    Thread safety: every method may be called from any thread.
    """

    def __init__(self) -> None:
        # A descriptor of its own: whoever closes stdin has not ended the parent.
        self._stdin = os.dup(sys.stdin.fileno()) if _has_another_end() else None

    def has_ended(self) -> bool:
        """Whether it has ended by now."""
        if self._stdin is None:
            return True
        poll = select.poll()
        poll.register(self._stdin, 0)  # asks for the hang-up alone, which is told always
        return bool(poll.poll(0))

    def when_ended(self, act: Callable[[], None]) -> None:
        """Call `act` from a daemon thread once it has ended."""

        def wait() -> None:
            if self._stdin is None:
                _warn_of_no_parent()
            else:
                _read_to_the_end(self._stdin)
            act()

        threading.Thread(target=wait, name="mark-parent", daemon=True).start()


async def watch_parent(stop: asyncio.Event, orphaned: asyncio.Event) -> None:
    """Set both events when stdin ends: its other end closes when the parent ends, however it ends.

    A stdin that nobody holds the other end of (a file, /dev/null, none) has ended already.
    """
    if _has_another_end():
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while await reader.read(4096):
            pass
    else:
        _warn_of_no_parent()
    orphaned.set()
    stop.set()


def _read_to_the_end(descriptor: int) -> None:
    with contextlib.suppress(OSError):  # a terminal that is gone cannot be read
        while True:
            select.select([descriptor], [], [])
            with contextlib.suppress(BlockingIOError):  # its other end may have made it non-blocking
                if not os.read(descriptor, 4096):
                    return


def _warn_of_no_parent() -> None:
    _log.warning("--exit-with-parent: stdin is no pipe, so there is no parent to wait for; stopping")


def _has_another_end() -> bool:
    if sys.stdin is None:
        return False
    mode = os.fstat(sys.stdin.fileno()).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or sys.stdin.isatty()
