"""Waiting for an instant, exactly."""

from __future__ import annotations

import asyncio
import time

from mark._core import WakeupTimer

__all__ = ["Pacer"]


class Pacer:
    """Waits for instants of `time.monotonic()`, never returning early and late by some tens of microseconds only.

    The timers of asyncio and uvloop count whole milliseconds. A request sent that much off its instant would be
    charged to the server, or credited to it.

    Thread safety: belongs to the event loop that runs when it is made.
    """

    def __init__(self) -> None:
        self._timer = WakeupTimer()
        self._fired = asyncio.Event()
        self._woken = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._timer.fileno(), self._on_timer)

    async def until(self, instant_s: float) -> None:
        """Return at `instant_s`; in the past, after one turn of the event loop."""
        await asyncio.sleep(0)
        while not self._woken and (ahead_s := instant_s - time.monotonic()) > 0:
            self._fired.clear()
            self._timer.arm(round(ahead_s * 1e9))
            await self._fired.wait()

    def wake(self) -> None:
        """End the wait at once, and every later one."""
        self._woken = True
        self._fired.set()

    def close(self) -> None:
        """Give the timer back."""
        self._loop.remove_reader(self._timer.fileno())

    def _on_timer(self) -> None:
        self._timer.acknowledge()
        self._fired.set()
