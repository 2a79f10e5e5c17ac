"""The demo's interruption: most of what runs on spot is taken away in the middle of the day."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc.aio

from mark.demo.series import Interruption, Series
from mark.protocol import messages

__all__ = ["SHARE", "interrupt_at", "interrupt_call"]

SHARE = 0.8  # as in the MArk paper's hardest case (ATC'19, figure 8d)
_TIMEOUT_S = 5.0


def interrupt_call(channel: grpc.aio.Channel) -> Callable[[], Awaitable[Any]]:
    """How to have spot workers taken away by the router at the end of a channel: an InterruptResponse."""
    call = channel.unary_unary(messages.INTERRUPT, response_deserializer=messages.InterruptResponse.FromString)
    request = messages.InterruptRequest(share=SHARE).SerializeToString()
    return lambda: call(request, timeout=_TIMEOUT_S)


async def interrupt_at(
    at_s: float, interrupt: Callable[[], Awaitable[Any]], series: Series, tell: Callable[[str], None]
) -> None:
    """Wait, have spot workers taken away, note it, and tell of it in a line.

    Args:
        at_s: seconds from now.
        interrupt: takes them away.
        series: the interruption is noted here.
        tell: prints a line.
    """
    await asyncio.sleep(at_s)
    hit = (await interrupt()).instances
    if not hit:
        tell(f"At {at_s:.0f} s nothing runs on spot that could be taken away")
        return
    notice_s = hit[0].notice_s
    series.interruption = Interruption(at_s, notice_s, len(hit))
    names = ", ".join(each.id for each in hit)
    tell(f"At {at_s:.0f} s the cloud takes {len(hit)} spot workers away, with {notice_s:.0f} s of notice: {names}")
