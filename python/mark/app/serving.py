"""Serve a configuration from the first profile to the last worker's end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from mark.app.http import check_http
from mark.app.profiles import log_profiling, measure_missing_profiles
from mark.app.router import Router
from mark.config import Config
from mark.protocol.addresses import check_listenable

__all__ = ["serve"]

_log = logging.getLogger(__name__)

Result = TypeVar("Result")


async def serve(config: Config, stop: asyncio.Event, on_ready: Callable[[str], None]) -> float:
    """Serve until `stop` is set, then drain; when cancelled, stop at once. Leaves no process, port or file behind.

    Args:
        config: what to serve.
        stop: ends the serving, or what is still done before it.
        on_ready: told the address once every model answers.

    Returns:
        Dollars that instances and functions have cost.

    Raises:
        MarkError: something that a person can mend; the message says what.
    """
    check_listenable(config.server.address)  # measuring takes a while, and should not be for nothing
    check_http(config.http)
    profiled = await _unless(stop, measure_missing_profiles(config, log_profiling))
    if profiled is None:
        return 0.0
    router = Router(profiled)
    try:
        address = await _unless(stop, router.start())
        if address is not None:
            on_ready(address)
            await _unless(stop, router.failed())
    except asyncio.CancelledError:
        # The second signal may come before the first was acted on.
        await router.abandon()
        raise
    except BaseException:
        await router.stop()
        raise
    if not await router.stop():
        _log.warning("stopped with requests unanswered after %g s", config.server.drain_s)
    return router.spent_usd()


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, Result]) -> Result | None:
    """What `work` returns; or None when `stop` is set first: the work is then cancelled, and has ended."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.wait({working, stopping})
    return None if working.cancelled() else working.result()
