"""How much of the promise's error budget is left, and how fast it burns, in sliding windows.

Burn rates over several windows are those of multi-window alerts: Beyer et al., The Site Reliability Workbook (2018),
chapter 5.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final

__all__ = ["WINDOWS_S", "ErrorBudget"]

WINDOWS_S: Final = (60, 300, 1800, 3600, 21600)
"""The windows, in seconds, shortest first."""

_PARTS = 60  # of a window: it slides in steps of one

_Observation = tuple[int, int, int]  # the time in ns, ended, in time


@dataclass(slots=True)
class _Window:
    """Marks of both counters: the first observation, and the last one in each part of the window.

    Invariant: the first mark is the newest that is at least a window old, or the oldest of all; so there are at most
    two more than a window has parts.
    """

    span_ns: int
    marks: deque[_Observation] = field(default_factory=deque)

    def observe(self, before: _Observation, now_ns: int) -> None:
        part_ns = self.span_ns // _PARTS
        if not self.marks or before[0] // part_ns != now_ns // part_ns:
            self.marks.append(before)
        while len(self.marks) > 1 and self.marks[1][0] <= now_ns - self.span_ns:
            self.marks.popleft()


class ErrorBudget:
    """Attainment of one model's promise in sliding windows, from counters that are read now and then.

    The error budget is the share of requests that the promise allows to miss it, `1 - sl_min`. A burn rate of 1 uses
    exactly that; 10 uses a tenth of the budget's window up in a hundredth of it. The budget that is left is that of the
    longest window.

    A window covers up to a 60th more than its name says, and less while less was observed. What ended before the first
    observation is in none.

    Thread safety: none.

    Invariant: `_now` is the latest observation.
    """

    def __init__(self, sl_min: float) -> None:
        """Make one that has observed nothing.

        Args:
            sl_min: share of requests that is promised to be answered in time, in (0, 1].

        Raises:
            ValueError: `sl_min` is no such share.
        """
        if not 0 < sl_min <= 1:
            raise ValueError(f"sl_min must lie in (0, 1], not {sl_min}")
        self._allowed_share = 1.0 - sl_min
        self._windows = {window_s: _Window(window_s * 1_000_000_000) for window_s in WINDOWS_S}
        self._now: _Observation | None = None

    def observe(self, now_ns: int, ended: int, in_time: int) -> None:
        """Take note of both counters; once a second is often enough for the shortest window.

        Args:
            now_ns: the time.
            ended: requests that ended in all until now and that count: see `mark.live.request_path.promised`.
            in_time: how many of them were answered in time.

        `ended` may go back by a few: a request that was refused, and that a function then takes, has not ended yet.

        Raises:
            ValueError: the time went back, or more were in time than ended.
        """
        before = self._now or (now_ns, ended, in_time)
        if now_ns < before[0] or in_time > ended:
            raise ValueError("the time may not go back, and what was in time must have ended")
        self._now = (now_ns, ended, in_time)
        for window in self._windows.values():
            window.observe(before, now_ns)

    def attainment(self, window_s: int) -> float:
        """Share of the requests that ended in a window of `WINDOWS_S` and were in time; 1 when none ended."""
        ended, missed = self._counts(window_s)
        return 1.0 - missed / ended if ended else 1.0

    def burn_rate(self, window_s: int) -> float:
        """Share of misses in a window of `WINDOWS_S` over the share that the promise allows; 0 when none ended.

        Infinite when there was a miss and the promise allows none.
        """
        ended, missed = self._counts(window_s)
        if missed == 0:
            return 0.0
        allowed = self._allowed_share * ended
        return missed / allowed if allowed > 0 else math.inf

    def left(self) -> float:
        """Share of the longest window's budget that is left: 1 is all of it, 0 none, less is overdrawn."""
        return 1.0 - self.burn_rate(WINDOWS_S[-1])

    def _counts(self, window_s: int) -> tuple[int, int]:
        """How many ended in a window, and how many of them missed the promise."""
        window = self._windows.get(window_s)
        if window is None:
            raise ValueError(f"there is no window of {window_s} s, but of {', '.join(map(str, WINDOWS_S))}")
        if self._now is None:
            return 0, 0
        _, began_ended, began_in_time = window.marks[0]
        in_time = max(0, self._now[2] - began_in_time)
        ended = max(in_time, self._now[1] - began_ended)
        return ended, ended - in_time
