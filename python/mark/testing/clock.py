"""A clock that moves only when told to."""

from __future__ import annotations

__all__ = ["ManualClock"]


class ManualClock:
    """Implements `mark.ports.Clock` for tests and simulations.

    Thread safety: none.
    """

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        """Nanoseconds, as far as the clock was advanced."""
        return self._now_ns

    def advance_s(self, seconds: float) -> None:
        """Move forward.

        Raises:
            ValueError: `seconds` is negative; a steady clock never goes back.
        """
        if seconds < 0:
            raise ValueError(f"a steady clock does not go back by {-seconds} s")
        self._now_ns += round(seconds * 1e9)
