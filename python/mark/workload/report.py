"""What became of the requests that were sent."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["CANCELLED", "NOT_SENT", "OK", "LoadReport"]

# How a request ended; any other status is the name of a RequestError.
OK = "OK"
CANCELLED = "Cancelled"
NOT_SENT = "NotSent"

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class LoadReport:
    """One entry a request, in the order of their instants.

    Attributes:
        instants_s: when each was to be sent, from the beginning.
        latencies_ms: from that instant to its end, so that a late start counts as latency.
        lags_ms: from that instant to the actual send: a generator that cannot keep up shows here.
        statuses: "OK", the name of the error that ended it, "Cancelled" or "NotSent"; see `OpenLoop`.
        answers_wrong: answers that the check refused.
        duration_s: from the beginning to the last end.
    """

    instants_s: Floats
    latencies_ms: Floats
    lags_ms: Floats
    statuses: tuple[str, ...]
    answers_wrong: int
    duration_s: float

    def attainment(self, rt_max_ms: float) -> float:
        """Share of all requests that were answered within `rt_max_ms`; 1 when none was sent."""
        if not self.statuses:
            return 1.0
        return float(np.mean(self._answered() & (self.latencies_ms <= rt_max_ms)))

    def peak_rate_per_s(self, window_s: float) -> float:
        """The highest rate of arrivals in consecutive windows of `window_s`."""
        if not len(self.instants_s):
            return 0.0
        return float(np.bincount((self.instants_s / window_s).astype(np.int64)).max() / window_s)

    def as_dict(self, rt_max_ms: float) -> dict[str, Any]:
        """The report as JSON-ready values.

        Latencies are of answered requests; quantiles are interpolated linearly (NumPy's default, type 7 of Hyndman and
        Fan, 1996). `per_second` counts a request in the second in which it was to be sent.
        """
        answered = self._answered()
        duration_s = max(self.duration_s, 1e-9)
        return {
            "requests": len(self.statuses),
            "answered": int(answered.sum()),
            "answers_wrong": self.answers_wrong,
            "by_status": dict(Counter(self.statuses)),
            "duration_s": self.duration_s,
            "offered_per_s": self._offered_per_s(),
            "answered_per_s": int(answered.sum()) / duration_s,
            "rt_max_ms": rt_max_ms,
            "attainment": self.attainment(rt_max_ms),
            "latency_ms": _quantiles(self.latencies_ms[answered]),
            "send_lag_ms": _quantiles(self.lags_ms),
            "per_second": self._per_second(answered, answered & (self.latencies_ms <= rt_max_ms)),
        }

    def _answered(self) -> Flags:
        return np.array([status == OK for status in self.statuses], dtype=np.bool_)

    def _offered_per_s(self) -> float:
        # Not over duration_s: waiting for the last answers offers nothing.
        if len(self.instants_s) < 2 or self.instants_s[-1] == self.instants_s[0]:
            return len(self.instants_s) / max(self.duration_s, 1e-9)
        return float((len(self.instants_s) - 1) / (self.instants_s[-1] - self.instants_s[0]))

    def _per_second(self, answered: Flags, kept: Flags) -> list[dict[str, float]]:
        seconds = int(self.instants_s[-1]) + 1 if len(self.instants_s) else 0
        edges = np.searchsorted(self.instants_s, np.arange(seconds + 1)).tolist()
        rows = []
        for here in map(slice, edges, edges[1:]):
            latencies = self.latencies_ms[here][answered[here]]
            rows.append(
                {
                    "sent": here.stop - here.start,
                    "answered": len(latencies),
                    "violations": int((~kept[here]).sum()),
                    "p98_ms": float(np.quantile(latencies, 0.98)) if len(latencies) else 0.0,
                }
            )
        return rows


def _quantiles(values: Floats) -> dict[str, float]:
    names = {"p50": 0.5, "p90": 0.9, "p98": 0.98, "p99": 0.99, "max": 1.0}
    if not len(values):
        return dict.fromkeys(("mean", *names), 0.0)
    return {"mean": float(values.mean()), **{name: float(np.quantile(values, q)) for name, q in names.items()}}
