"""Offered load, sampled as MArk does: each step's value is the maximum of its windows (USENIX ATC'19, section 4.2)."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from mark.domain.trace import Trace

__all__ = ["Arrivals", "step_maxima"]


class Arrivals:
    """Maximum rate of each step, from a counter of rows that is read now and then.

    Windows and steps lie on a grid that begins with the first sample. A sample that spans several windows is spread
    evenly over them: the counter does not say when in between the rows came.

    Thread safety: none.

    Invariant: `_step_maximum` covers the finished windows of the step that runs now, `_window_rows` its open window.
    """

    def __init__(self, step_s: float, window_s: float, steps_max: int) -> None:
        windows = step_s / window_s if window_s > 0 else 0.0
        if windows < 1 or abs(windows - round(windows)) > 1e-9:
            raise ValueError(f"step_s ({step_s}) must be a whole number of windows of window_s ({window_s})")
        self._window_ns = round(window_s * 1e9)
        self._windows_per_step = round(windows)
        self._maxima: deque[float] = deque(maxlen=steps_max)
        self._step_maximum = 0.0
        self._windows_done = 0
        self._window_rows = 0.0
        self._window_end_ns: int | None = None
        self._sampled_ns = 0
        self._sampled_rows: float = 0

    def remember(self, maxima_per_s: npt.NDArray[np.float64]) -> None:
        """Take the maxima of the steps before the first sample, oldest first, as if they had been seen.

        Raises:
            ValueError: the first sample was taken already.
        """
        if self._window_end_ns is not None:
            raise ValueError("the past is remembered before the first sample, not after it")
        self._maxima.extend(maxima_per_s.tolist())

    def observe(self, now_ns: int, rows: float) -> None:
        """Take note that `rows` rows were offered in all until `now_ns`; neither may decrease.

        Raises:
            ValueError: time or counter went back.
        """
        if self._window_end_ns is None:
            self._window_end_ns = now_ns + self._window_ns
        elif now_ns < self._sampled_ns or rows < self._sampled_rows:
            raise ValueError("neither the time nor the counter of rows may go back")
        else:
            self._spread(now_ns, float(rows - self._sampled_rows), self._window_end_ns)
        self._sampled_ns, self._sampled_rows = now_ns, rows

    def maxima_per_s(self) -> npt.NDArray[np.float64]:
        """Maximum rate of each step in rows per second, oldest first.

        The step that runs now is the last entry, once its first window is done: before that, nothing is known of it.
        """
        running = [self._step_maximum] if self._windows_done else []
        return np.array([*self._maxima, *running], dtype=np.float64)

    def last_per_s(self) -> float:
        """Maximum rate of the step that runs now or, before its first window is done, of the one before."""
        if self._windows_done == 0 and self._maxima:
            return self._maxima[-1]
        return self._step_maximum

    @property
    def rows(self) -> float:
        """Rows that were offered in all until the last sample."""
        return self._sampled_rows

    def _spread(self, now_ns: int, rows: float, window_end_ns: int) -> None:
        began_ns, span_ns = self._sampled_ns, now_ns - self._sampled_ns
        while now_ns >= window_end_ns:
            part = rows * (window_end_ns - began_ns) / span_ns if span_ns else 0.0
            self._close_window(self._window_rows + part)
            began_ns = window_end_ns
            window_end_ns += self._window_ns
        self._window_end_ns = window_end_ns
        self._window_rows += rows * (now_ns - began_ns) / span_ns if span_ns else rows

    def _close_window(self, rows: float) -> None:
        self._step_maximum = max(self._step_maximum, rows / (self._window_ns / 1e9))
        self._window_rows = 0.0
        self._windows_done += 1
        if self._windows_done == self._windows_per_step:
            self._maxima.append(self._step_maximum)
            self._step_maximum = 0.0
            self._windows_done = 0


def step_maxima(trace: Trace, step_s: float = 60.0, window_s: float = 5.0) -> npt.NDArray[np.float64]:
    """Maximum rate of each whole step of a trace in rows per second, oldest first: what a live counter would have seen.

    The trace is read as the counter is: at the end of each of its bins, so that a bin longer than a window is spread
    evenly over its windows.
    """
    steps = int(trace.duration_s / step_s + 1e-9)
    arrivals = Arrivals(step_s, window_s, max(1, steps))
    ends_ns = np.round(np.arange(1, len(trace.counts) + 1) * trace.bin_s * 1e9).astype(np.int64)
    arrivals.observe(0, 0)
    for end_ns, rows in zip(ends_ns.tolist(), np.cumsum(trace.counts).tolist(), strict=True):
        arrivals.observe(end_ns, rows)
    return arrivals.maxima_per_s()[:steps]
