"""How long to leave alone what failed. Passive."""

from __future__ import annotations

__all__ = ["Pace"]


class Pace:
    """A pause that doubles with each failure in a row, up to a bound.

    Thread safety: none.
    """

    def __init__(self, pause_s: float, pause_max_s: float) -> None:
        """Nothing failed yet.

        Args:
            pause_s: after the first failure.
            pause_max_s: after any.
        """
        self._pause_s = pause_s
        self._pause_max_s = pause_max_s
        self._failures = 0

    def failed(self) -> float:
        """Once more: seconds to wait before the next try."""
        self._failures += 1
        return min(self._pause_max_s, self._pause_s * 2.0 ** min(self._failures - 1, 16))

    def succeeded(self) -> None:
        """The next failure is the first again."""
        self._failures = 0
