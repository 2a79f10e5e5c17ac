"""grpc.health.v1 for an inference server: serving exactly while every model can be called."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2

__all__ = ["Health"]

# How soon a watcher hears of a change. A check never waits for it.
_WATCH_EVERY_S = 0.5

_Status = health_pb2.HealthCheckResponse.ServingStatus


class Health:
    """Answers Check and Watch from a readiness question, so that health and readiness cannot disagree.

    Thread safety: belongs to one event loop.
    """

    def __init__(self, is_ready: Callable[[], Awaitable[bool]], services: Sequence[str]) -> None:
        self._is_ready = is_ready
        self._services = frozenset({"", *services})

    async def check(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        """The status now; NOT_FOUND for a service that is not here."""
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"unknown service {request.service!r}")
        return health_pb2.HealthCheckResponse(status=await self._status(request.service))

    async def watch(self, request: Any, _: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        """The status now, and again whenever it changes."""
        told = None
        while True:
            status = await self._status(request.service)
            if status != told:
                told = status
                yield health_pb2.HealthCheckResponse(status=status)
            await asyncio.sleep(_WATCH_EVERY_S)

    async def _status(self, service: str) -> int:
        if service not in self._services:
            return int(_Status.Value("SERVICE_UNKNOWN"))
        return int(_Status.Value("SERVING" if await self._is_ready() else "NOT_SERVING"))
