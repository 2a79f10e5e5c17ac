"""What happens, in order, for whoever looks on: the events of the live page."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["Event", "Feed"]

_KEPT: Final = 1024


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        number: counts from 1.
        kind: "sample" or "record".
        data: what happened, as JSON without line breaks.
    """

    number: int
    kind: str
    data: bytes


class Feed:
    """The last events, numbered, and a wake-up for each new one. Each is turned into JSON once, for all who look on.

    Thread safety: belongs to one event loop.

    Invariant: the numbers of what is kept follow each other, and the last one is `seen`.
    """

    def __init__(self, kept_max: int = _KEPT) -> None:
        self._run = secrets.token_hex(4)
        self._events: deque[Event] = deque(maxlen=kept_max)
        self._seen = 0
        self._news = asyncio.Event()

    @property
    def seen(self) -> int:
        """How many there were so far."""
        return self._seen

    def id_of(self, number: int) -> str:
        """What a client may name an event by later: no other run of a router gives the same."""
        return f"{self._run}-{number}"

    def number_of(self, event_id: str) -> int | None:
        """The number of an event that a client saw last, when what came after it is still known; None otherwise."""
        run, _, text = event_id.rpartition("-")
        if run != self._run or not (text.isascii() and text.isdecimal()):
            return None
        number = int(text)
        return number if self._first - 1 <= number <= self._seen else None

    def publish(self, kind: str, data: Mapping[str, Any]) -> None:
        """Tell everybody; the oldest event makes room."""
        self._seen += 1
        self._events.append(Event(self._seen, kind, json.dumps(data, separators=(",", ":"), allow_nan=False).encode()))
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def after(self, number: int) -> Sequence[Event] | None:
        """The events after a number, at least one: waits for it. None when some of them are not kept any more."""
        while number >= self._seen:
            await self._news.wait()
        if number < self._first - 1:
            return None
        return [event for event in self._events if event.number > number]

    @property
    def _first(self) -> int:
        return self._events[0].number if self._events else self._seen + 1
