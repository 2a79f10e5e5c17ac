"""Quantiles of what was answered in the last seconds, from a histogram that only grows."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np
import numpy.typing as npt

from mark._core import latency_bucket_edges_ns

__all__ = ["QUANTILES", "RecentLatency"]

QUANTILES: Final = {"p50": 0.50, "p98": 0.98, "p99": 0.99}

_Counts = npt.NDArray[np.uint64]


class RecentLatency:
    """Looks at the buckets of a histogram now and then, and reads quantiles of what came in between.

    Thread safety: none.

    Invariant: the first look that is kept is the newest that is at least `window_s` old, or the oldest of all.
    """

    def __init__(self, window_s: float = 5.0) -> None:
        self._window_ns = round(window_s * 1e9)
        self._edges_ms = latency_bucket_edges_ns() / 1e6
        self._looks: deque[tuple[int, _Counts]] = deque()

    def look(self, now_ns: int, buckets: _Counts) -> dict[str, float]:
        """Quantiles in milliseconds of what was counted since `window_s` ago; empty when nothing was.

        Args:
            now_ns: the time.
            buckets: counts of all latencies so far, by bucket.
        """
        self._looks.append((now_ns, buckets))
        while len(self._looks) > 1 and self._looks[1][0] <= now_ns - self._window_ns:
            self._looks.popleft()
        counts = np.cumsum(buckets - self._looks[0][1])
        total = int(counts[-1])
        if total == 0:
            return {}
        # As the histogram reads them: the upper edge of the bucket that holds the quantile.
        return {
            name: float(self._edges_ms[int(np.searchsorted(counts, max(1, int(np.ceil(quantile * total)))))])
            for name, quantile in QUANTILES.items()
        }
