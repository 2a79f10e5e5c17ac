"""The clock of live serving."""

from __future__ import annotations

import time

__all__ = ["SteadyClock"]


class SteadyClock:
    """The machine's monotonic clock; deadlines never jump with the wall clock."""

    def now_ns(self) -> int:
        """Nanoseconds since an arbitrary but fixed instant."""
        return time.monotonic_ns()
