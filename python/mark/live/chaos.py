"""Answers `mark.v1.Control.Interrupt`: takes spot instances away on command."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Collection
from typing import Any

from mark.errors import InvalidRequest, ModelNotFound
from mark.ports import Clock, Cloud, Interruptible
from mark.protocol import messages

__all__ = ["interrupt"]

_log = logging.getLogger(__name__)

_NOTICE_S_MAX = 86_400.0


async def interrupt(request: Any, cloud: Cloud, models: Collection[str], clock: Clock) -> Any:
    """The InterruptResponse to an InterruptRequest.

    Raises:
        InvalidRequest: the share or the notice makes no sense, or the cloud takes nothing away on command.
        ModelNotFound: no such model is served.
    """
    if not isinstance(cloud, Interruptible):
        raise InvalidRequest("this cloud takes no instances away on command; only the local one does")
    if not 0 < request.share <= 1:
        raise InvalidRequest(f"share: must lie in (0, 1], not {request.share:g}")
    notice_s = request.notice_s if request.HasField("notice_s") else None
    if notice_s is not None and not (0 <= notice_s <= _NOTICE_S_MAX and math.isfinite(notice_s)):
        raise InvalidRequest(f"notice_s: must lie between 0 and {_NOTICE_S_MAX:g}, not {notice_s:g}")
    if request.model and request.model not in models:
        raise ModelNotFound(f"model: unknown model {request.model!r}; served are {', '.join(sorted(models))}")
    hit = await asyncio.to_thread(cloud.interrupt_spot, request.share, request.model, notice_s)
    now_ns = clock.now_ns()
    _log.warning("%d spot instances are interrupted on command", len(hit))
    return messages.InterruptResponse(
        instances=[
            messages.InterruptedInstance(
                id=each.id,
                offering=each.offering,
                model=each.model,
                notice_s=max(0.0, ((each.taken_at_ns or now_ns) - now_ns) / 1e9),
            )
            for each in hit
        ]
    )
