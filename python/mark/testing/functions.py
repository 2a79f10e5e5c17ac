"""Serverless functions in memory, with faults on request."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping

from mark._core import FunctionPrice
from mark.domain.functions import FunctionAnswer, FunctionUse
from mark.errors import CloudError, Throttled
from mark.ports import Clock

__all__ = ["FakeFunctions"]

Sleep = Callable[[float], Awaitable[None]]
"""Lets so many seconds of the clock pass."""


class FakeFunctions:
    """Implements `mark.ports.Functions` in any kind of time: a request takes as long as it is told to.

    Thread safety: belongs to one event loop.
    """

    def __init__(
        self,
        price: FunctionPrice,
        clock: Clock,
        *,
        latency_s: float,
        cold_start_s: float = 0.0,
        concurrency_max: int = 1000,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._price = price
        self._clock = clock
        self._sleep = sleep
        self._latency_s = latency_s
        self._cold_start_s = cold_start_s
        self._concurrency_max = concurrency_max
        self._idle_since_ns: list[int] = []
        self._busy = 0
        self._cold_starts = 0
        self._usd = 0.0
        self._closed = False
        self._faults: list[Exception] = []
        self.answer: Callable[[bytes], bytes] = lambda message: message
        self.invoked: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.idle_s = math.inf

    def fail_next(self, error: Exception, times: int = 1) -> None:
        """Make the next requests raise, after as long as an answer would take; Throttled at once."""
        self._faults += [error] * times

    async def start(self) -> None:
        """Nothing is kept warm."""

    async def invoke(
        self, message: bytes, timeout_s: float, headers: Mapping[str, str] | None = None
    ) -> FunctionAnswer:
        """Answer with what `answer` makes of the message; see `mark.ports.Functions.invoke`."""
        if self._closed:
            raise CloudError("the functions are closed")
        self.invoked.append(message)
        self.headers.append(dict(headers or {}))
        fault = self._faults.pop(0) if self._faults else None
        if isinstance(fault, Throttled):
            raise fault
        self._expire()
        if not self._idle_since_ns and self._busy >= self._concurrency_max:
            raise Throttled(f"{self._concurrency_max} functions are at work (concurrency_max)")
        was_cold = not self._idle_since_ns
        if was_cold:
            self._cold_starts += 1
        else:
            self._idle_since_ns.pop()
        self._busy += 1
        try:
            return await self._run(message, timeout_s, fault, was_cold=was_cold)
        finally:
            self._busy -= 1

    async def _run(
        self, message: bytes, timeout_s: float, fault: Exception | None, *, was_cold: bool
    ) -> FunctionAnswer:
        takes_s = self._latency_s + (self._cold_start_s if was_cold else 0.0)
        await self._sleep(min(takes_s, timeout_s))
        if takes_s > timeout_s:
            raise CloudError(f"a function did not answer within {timeout_s:.3g} s")
        if isinstance(fault, CloudError):
            raise fault
        usd = self._price.usd(round(takes_s * 1e9))
        self._usd += usd
        self._idle_since_ns.append(self._clock.now_ns())
        if fault is not None:
            raise fault
        return FunctionAnswer(self.answer(message), usd, was_cold)

    def use(self) -> FunctionUse:
        """What they have done so far."""
        self._expire()
        alive = self._busy + len(self._idle_since_ns)
        return FunctionUse(alive, alive, self._cold_starts, self._usd)

    async def close(self, grace_s: float | None = None) -> None:  # noqa: ARG002 - nothing takes time to end
        """End every function."""
        self._closed = True
        self._idle_since_ns.clear()

    def _expire(self) -> None:
        now_ns = self._clock.now_ns()
        self._idle_since_ns = [since for since in self._idle_since_ns if (now_ns - since) / 1e9 <= self.idle_s]
