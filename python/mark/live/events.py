"""Server-sent events of the live page."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from mark.errors import Overloaded
from mark.live.telling import Telling, Tiding

__all__ = ["EventStreams"]


class EventStreams:
    """Answers /events with what there is to tell: see `Tiding`. `Last-Event-ID` says what was told last.

    Thread safety: belongs to one event loop.
    """

    def __init__(self, telling: Telling, about: Mapping[str, Any]) -> None:
        """Make it.

        Args:
            telling: has what is told.
            about: what the first event says of the page.
        """
        self._telling = telling
        self._about = dict(about)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One stream, until its client leaves or the server stops."""
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
        )
        told = self._telling.told(request.headers.get("Last-Event-ID", ""), self._about)
        try:
            async with contextlib.aclosing(told):
                async for tidings in told:
                    if not response.prepared:
                        await response.prepare(request)
                        await response.write(b"retry: 1000\n")
                    await response.write(b"".join(_event(each) for each in tidings))
        except Overloaded as error:
            return web.Response(status=503, headers={"Retry-After": "10"}, text=f"{error}\n")
        except ConnectionResetError:
            pass  # the page was closed
        return response


def _event(tiding: Tiding) -> bytes:
    named = f"id: {tiding.id}\n" if tiding.id else ""
    return f"{named}event: {tiding.kind}\ndata: ".encode() + tiding.data + b"\n\n"
