"""One frame of `mark top`, for a file, a pipe or a glance."""

from __future__ import annotations

import asyncio

from mark.cli.top.router_feed import RouterFeed
from mark.cli.top.tidings import take
from mark.cli.top.view import View
from mark.errors import Unavailable

__all__ = ["look_once"]

_PATIENCE_S = 10.0


async def look_once(address: str, view: View) -> None:
    """Listen until each model that the router serves was sampled.

    Raises:
        Unavailable: nobody answers, or no sample comes.
        RequestError: see `RouterFeed.run`.
    """
    seen = asyncio.Event()
    lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def on_event(kind: str, text: str) -> None:
        take(view, kind, text)
        if kind == "sample" and all(view.models[name].now for name in view.served):
            seen.set()

    def on_lost(reason: str) -> None:
        if not lost.done():
            lost.set_result(reason)

    waiting = [
        asyncio.ensure_future(each) for each in (RouterFeed(address, on_event, on_lost).run(), seen.wait(), lost)
    ]
    try:
        done, _ = await asyncio.wait(waiting, timeout=_PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        if lost.done():
            raise Unavailable(lost.result())
        if not done:
            raise Unavailable(f"the router at {address} told no sample in {_PATIENCE_S:g} s")
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
