"""The clock of live serving."""

from __future__ import annotations

import time

__all__ = ["SteadyClock"]


class SteadyClock:
    """The machine's monotonic clock; deadlines never jump with the wall clock."""

    def now_ns(self) -> int:
        """Nanoseconds since an arbitrary but fixed instant."""
        return time.monotonic_ns()

    def unix_s(self, at_ns: int) -> float:
        """Seconds since 1970 of an instant of this clock, by the wall clock of now: for logs, never for decisions."""
        return time.time() - (time.monotonic_ns() - at_ns) / 1e9
