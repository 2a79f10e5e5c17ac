"""Makes bills of counters of dollars: what functions have cost is only known in all."""

from __future__ import annotations

from mark.domain.bill import Bill, BillLine, spread

__all__ = ["Meter"]

_Key = tuple[str, str, str]
"""(model, market, offering)"""


class Meter:
    """Says in which hours a counter of dollars has grown. Knows no clock.

    What came between two readings is spread evenly over the time between them, so hours are as exact as it is read
    often, and totals are exact always.

    Thread safety: none.

    Invariant: the lines of a counter add up to what was read of it last.
    """

    def __init__(self, began_unix_ns: int) -> None:
        """Begin with all counters at 0, at that time."""
        self._began_unix_ns = began_unix_ns
        self._readings: dict[_Key, tuple[int, float]] = {}
        self._usd: dict[tuple[int, _Key], float] = {}

    def read(self, model: str, market: str, offering: str, at: tuple[int, float]) -> None:
        """Take note of a counter, which is told apart by the first three: when it was read, and the dollars in all."""
        key = (model, market, offering)
        unix_ns, usd = at
        before_ns, before_usd = self._readings.get(key, (self._began_unix_ns, 0.0))
        self._readings[key] = (max(unix_ns, before_ns), usd)
        if usd == before_usd:
            return
        for hour_unix_s, part_usd in spread(before_ns, unix_ns, usd - before_usd):
            self._usd[hour_unix_s, key] = self._usd.get((hour_unix_s, key), 0.0) + part_usd

    def add(self, model: str, market: str, offering: str, at: tuple[int, float]) -> None:
        """Count dollars that were spent at once: when, and how many."""
        _, before_usd = self._readings.get((model, market, offering), (0, 0.0))
        self.read(model, market, offering, (at[0], before_usd + at[1]))

    def bill(self) -> Bill:
        """What was read so far."""
        return Bill.of(BillLine(hour_unix_s, *key, usd) for (hour_unix_s, key), usd in self._usd.items())
