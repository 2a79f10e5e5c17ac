"""Looks at the router while the load runs."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

import grpc.aio

from mark.demo.series import Sample, Series
from mark.protocol import messages
from mark.workload.open_loop import OpenLoop

__all__ = ["watch"]

_EVERY_S = 0.5


async def watch(address: str, load: OpenLoop, series: Series, on_sample: Callable[[], None]) -> None:
    """Append a sample to `series` twice a second until cancelled.

    Load and latency are the client's own; forecast, fleet and dollars are what the router says over its control API.
    """
    began_s = time.monotonic()
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(messages.GET_STATUS)
        request = messages.StatusRequest().SerializeToString()
        sent_before, answers_before, at_before_s = 0, 0, 0.0
        while True:
            await asyncio.sleep(_EVERY_S)
            status = messages.StatusResponse.FromString(await call(request, timeout=5.0)).models[0]
            at_s = time.monotonic() - began_s
            ready = Counter(instance.offering for instance in status.instances if instance.state == "ready")
            latencies_ms = load.latencies_ms(answers_before)
            answers_before += len(latencies_ms)
            series.append(
                Sample(
                    at_s=at_s,
                    load_per_s=(load.sent - sent_before) / (at_s - at_before_s),
                    forecast_per_s=status.forecast_per_s,
                    capacity_per_s=status.capacity_ready_per_s,
                    ready=dict(ready),
                    pending=sum(instance.state == "pending" for instance in status.instances),
                    p98_ms=sorted(latencies_ms)[int(0.98 * len(latencies_ms))] if latencies_ms else 0.0,
                    attainment=status.attainment,
                    cost_usd=status.cost_usd,
                    sent=load.sent,
                    violations=status.violations,
                )
            )
            sent_before, at_before_s = load.sent, at_s
            on_sample()
