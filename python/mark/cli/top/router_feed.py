"""Listens to a router, and goes on listening when it goes away and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from mark.errors import RequestError, Unavailable
from mark.protocol import messages
from mark.protocol.statuses import error_of

__all__ = ["RouterFeed"]

_SILENCE_S_MAX = 10.0  # a router tells something every second
_AGAIN_S = 0.5
_AGAIN_S_MAX = 5.0
_CHANNEL_OPTIONS = [
    # Of one's own, so that the channel's pause between two attempts is not the sum of what others saw.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_receive_message_length", -1),
]
# What says that the router is not there, or not now; any other status will be the same again.
_AGAIN = frozenset({
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
})  # fmt: skip


class RouterFeed:
    """The events of one router.

    Thread safety: belongs to one event loop.
    """

    def __init__(self, address: str, on_event: Callable[[str, str], None], on_lost: Callable[[str], None]) -> None:
        """Make it.

        Args:
            address: "host:port".
            on_event: called with kind and JSON of each event, which it may refuse with a RequestError.
            on_lost: called with the reason each time that the router is lost, or still is.
        """
        self._address = address
        self._on_event = on_event
        self._on_lost = on_lost
        self._last_seen = ""
        self._heard = 0

    async def run(self) -> None:
        """Listen until cancelled.

        Raises:
            Unavailable: nobody answered the first time: the address may well be wrong.
            RequestError: it is no router that can be listened to, or it tells what is not understood.
        """
        pause_s = _AGAIN_S
        async with grpc.aio.insecure_channel(self._address, options=_CHANNEL_OPTIONS) as channel:
            while True:
                heard = self._heard
                reason = await self._listen(channel)
                if not self._heard:
                    raise Unavailable(reason)
                if self._heard > heard:
                    pause_s = _AGAIN_S
                self._on_lost(reason)
                await asyncio.sleep(pause_s)
                pause_s = min(_AGAIN_S_MAX, 2 * pause_s)

    async def _listen(self, channel: grpc.aio.Channel) -> str:
        """Listen until the router is lost; why it was."""
        call = channel.unary_stream(messages.WATCH, response_deserializer=messages.WatchEvent.FromString)
        stream = call(messages.WatchRequest(after=self._last_seen).SerializeToString())
        reading: asyncio.Future[Any] | None = None
        try:
            while True:
                # Not `wait_for`: it may lose a cancellation that comes together with what it waits for.
                reading = asyncio.ensure_future(stream.read())
                await asyncio.wait({reading}, timeout=_SILENCE_S_MAX)
                if not reading.done():
                    return f"the router at {self._address} says nothing"
                event = reading.result()
                if event is grpc.aio.EOF:
                    return f"the router at {self._address} stopped"
                self._heard += 1
                self._on_event(event.kind, event.json)
                self._last_seen = event.id or self._last_seen
        except grpc.aio.AioRpcError as error:
            return self._reason_of(error)
        finally:
            if reading is not None:
                reading.cancel()
            stream.cancel()

    def _reason_of(self, error: grpc.aio.AioRpcError) -> str:
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            raise RequestError(f"what answers at {self._address} is no router of this version: it has no Watch")
        if error.code() not in _AGAIN:
            raise error_of(error.code(), error.details() or "")
        # gRPC tells all that it tried; the last part is why it did not work.
        why = (error.details() or "no reason given").rpartition(": ")[2].strip(" ]")
        return f"no mark router answers at {self._address}: {error.code().name}: {why}"
