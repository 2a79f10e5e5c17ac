"""Looks at the router while the load runs."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import grpc.aio

from mark.demo.series import Sample, Series
from mark.protocol import messages
from mark.workload.open_loop import OpenLoop

__all__ = ["Watcher", "run_watched", "status_call"]

_Result = TypeVar("_Result")

_EVERY_S = 0.5
_TIMEOUT_S = 5.0
_LEAST_S = 1e-3


def status_call(channel: grpc.aio.Channel) -> Callable[[], Awaitable[Any]]:
    """How to ask the router at the end of a channel for its status: what it returns gives a StatusResponse."""
    call = channel.unary_unary(messages.GET_STATUS, response_deserializer=messages.StatusResponse.FromString)
    request = messages.StatusRequest().SerializeToString()
    return lambda: call(request, timeout=_TIMEOUT_S)


class Watcher:
    """Appends samples to a series.

    Load and latency are the client's own; forecast, fleet and dollars are what the router says over its control API.

    Thread safety: belongs to one event loop.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[Any]],
        load: OpenLoop,
        series: Series,
        on_sample: Callable[[], None],
    ) -> None:
        self._ask = ask
        self._load = load
        self._series = series
        self._on_sample = on_sample
        self._began_s = time.monotonic()
        self._answers = 0

    async def run(self, every_s: float = _EVERY_S) -> None:
        """Look twice a second until cancelled."""
        while True:
            await asyncio.sleep(every_s)
            await self.look()

    async def look(self) -> None:
        """Append one sample; none when the router does not answer, so that one failed call ends no series."""
        try:
            status = (await self._ask()).models[0]
        except grpc.aio.AioRpcError:
            return
        at_s = time.monotonic() - self._began_s
        before = self._series.last
        sent, since_s = (self._load.sent - before.sent, at_s - before.at_s) if before else (self._load.sent, at_s)
        latencies_ms = self._load.latencies_ms(self._answers)
        self._answers += len(latencies_ms)
        ready = Counter(instance.offering for instance in status.instances if instance.state == "ready")
        self._series.append(
            Sample(
                at_s=at_s,
                load_per_s=sent / max(since_s, _LEAST_S),
                forecast_per_s=status.forecast_per_s,
                capacity_per_s=status.capacity_ready_per_s,
                ready=dict(ready),
                pending=sum(instance.state == "pending" for instance in status.instances),
                p98_ms=sorted(latencies_ms)[int(0.98 * len(latencies_ms))] if latencies_ms else 0.0,
                attainment=status.attainment,
                cost_usd=status.cost_usd,
                sent=self._load.sent,
                violations=status.violations,
            )
        )
        self._on_sample()


async def run_watched(work: Awaitable[_Result], watching: Awaitable[None]) -> _Result:
    """The result of `work`, with `watching` beside it until it ends; an error of either ends both and is raised."""
    tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(work), asyncio.ensure_future(watching)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[1] in done:
            tasks[1].result()
        return cast(_Result, await tasks[0])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
