"""The fake's own bill: what its record of what ran costs by AWS's rules, for a driver's reckoning to be checked by."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from mark.testing.aws.machine import Machine, Span
from mark.testing.aws.params import FakeAwsParams
from mark.testing.aws.pools import SpotPrices

__all__ = ["Bill", "BillLine", "Ledger"]

_LEAST_S = 60
_HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class BillLine:
    """One run of an instance, or all calls of a function.

    Attributes:
        resource: id of the instance, or name of the function.
        what: type and market of an instance; "function".
        seconds: what is billed: of an instance's clock, or of a function's work.
        usd: what it costs.
        tags: of the instance.
    """

    resource: str
    what: str
    seconds: float
    usd: float
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Bill:
    """Everything so far; what still runs is billed as if it ended now."""

    lines: tuple[BillLine, ...]

    @property
    def usd(self) -> float:
        """All of it."""
        return math.fsum(line.usd for line in self.lines)


class Ledger:
    """Reckons the bill.

    Rules: an instance is billed by the whole second from its launch or start to the order to end, each of its runs at
    least 60 s; times are in whole seconds, as the API shows them. Spot is billed at the price of the hour of the run
    that has begun, and nothing if EC2 takes the instance within its first hour. A function is billed by the
    millisecond and its memory, and by the call.

    Thread safety: every method may be called from any thread.
    """

    def __init__(self, params: FakeAwsParams, prices: SpotPrices) -> None:
        self._params = params
        self._prices = prices
        self._lock = threading.Lock()
        self._functions: dict[str, tuple[float, float, int]] = {}

    def called(self, function: str, billed_ms: int, memory_mb: int) -> None:
        """A function has worked."""
        with self._lock:
            seconds, usd, calls = self._functions.get(function, (0.0, 0.0, 0))
            worked_s = billed_ms / 1000
            cost = worked_s * memory_mb / 1024 * self._params.lambda_usd_per_gb_s
            self._functions[function] = (seconds + worked_s, usd + cost, calls + 1)

    def bill(self, machines: Iterable[Machine]) -> Bill:
        """What it costs so far. The caller holds the machines' lock."""
        lines = [
            BillLine(machine.id, f"{machine.spec.instance_type} {machine.spec.market}", *cost, tags)
            for machine in machines
            for tags in [tuple(sorted(machine.tags.items()))]
            for span in machine.spans
            for cost in [self._run(machine, span)]
        ]
        with self._lock:
            lines += [
                BillLine(name, "function", seconds, usd + calls * self._params.lambda_usd_per_request)
                for name, (seconds, usd, calls) in self._functions.items()
            ]
        return Bill(tuple(lines))

    def _run(self, machine: Machine, span: Span) -> tuple[float, float]:
        begun_s = int(span.begun_s)
        ended_s = int(time.time() if span.ended_s is None else span.ended_s)
        seconds = max(ended_s - begun_s, _LEAST_S)
        if machine.spec.market != "spot":
            price = self._params.prices_usd_per_hour.get(machine.spec.instance_type, 0.0)
            return seconds, seconds * price / _HOUR_S
        if span.taken and ended_s - begun_s < _HOUR_S:
            return 0.0, 0.0
        usd = 0.0
        for hour in range(0, seconds, _HOUR_S):
            price = self._prices.at(machine.spec.instance_type, machine.spec.zone, begun_s + hour)
            usd += min(seconds - hour, _HOUR_S) * price / _HOUR_S
        return seconds, usd
