"""A process that must not outlive the one that started it."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import sys

__all__ = ["watch_parent"]

_log = logging.getLogger(__name__)


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
        _log.warning("--exit-with-parent: stdin is no pipe, so there is no parent to wait for; stopping")
    orphaned.set()
    stop.set()


def _has_another_end() -> bool:
    if sys.stdin is None:
        return False
    mode = os.fstat(sys.stdin.fileno()).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or sys.stdin.isatty()
