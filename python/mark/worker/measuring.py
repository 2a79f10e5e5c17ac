"""How many batches have to be timed for a p99 that means something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mark.domain.measured_profile import BatchMeasurement

__all__ = ["Effort", "measurement_of", "quantile_interval"]

_QUANTILE = 0.99
_ERROR_PROBABILITY = 0.025  # on each side


@dataclass(frozen=True, slots=True)
class Effort:
    """When a batch size was measured enough.

    That is when the interval that holds the true p99 at 95 % confidence reaches no further than `p99_tolerance` from
    the middle. It takes no shape of the latencies for granted, and 368 runs at least: fewer cannot bound a p99 from
    above. What takes too long for that is measured until `runs_max` or `time_max_s`.

    Attributes:
        runs_min: timed at least, unless `time_max_s` is over before.
        runs_max: timed at most.
        time_max_s: spent on one size, more or less; it has `RUNS_LEAST` runs in any case.
        p99_tolerance: half the width of the interval over the p99, such as 0.05.
    """

    runs_min: int = 50
    runs_max: int = 3000
    time_max_s: float = 10.0
    p99_tolerance: float = 0.05

    RUNS_LEAST: ClassVar[int] = 3

    def __post_init__(self) -> None:
        if not 1 <= self.runs_min <= self.runs_max or not self.time_max_s > 0 or not self.p99_tolerance > 0:
            raise ValueError(f"needs 1 <= runs_min <= runs_max, time_max_s > 0 and p99_tolerance > 0: {self}")

    def is_enough(self, latencies_ms: Sequence[float], spent_s: float) -> bool:
        """Whether to stop after these runs and so many seconds."""
        runs = len(latencies_ms)
        if runs >= self.runs_max or (spent_s >= self.time_max_s and runs >= min(self.RUNS_LEAST, self.runs_max)):
            return True
        return runs >= self.runs_min and self.is_settled(measurement_of(1, latencies_ms))

    def is_settled(self, measured: BatchMeasurement) -> bool:
        """Whether the p99 is known as well as asked for."""
        if measured.p99_high_ms is None:
            return False
        return (measured.p99_high_ms - measured.p99_low_ms) / 2 <= self.p99_tolerance * measured.p99_ms

    def share_done(self, runs: int, spent_s: float) -> float:
        """How far a size is that is not measured enough yet, at least, in [0, 1]."""
        return min(1.0, max(runs / self.runs_max, spent_s / self.time_max_s))


def measurement_of(rows: int, latencies_ms: Sequence[float]) -> BatchMeasurement:
    """What runs of one size say; quantiles are interpolated linearly (type 7 of Hyndman and Fan, 1996)."""
    ordered = np.sort(np.asarray(latencies_ms, dtype=np.float64))
    p50_ms, p95_ms, p99_ms = (float(value) for value in np.quantile(ordered, (0.5, 0.95, _QUANTILE)))
    low, high = quantile_interval(len(ordered))
    return BatchMeasurement(
        rows=rows,
        runs=len(ordered),
        p50_ms=p50_ms,
        p95_ms=p95_ms,
        p99_ms=p99_ms,
        p99_low_ms=float(ordered[low]),
        p99_high_ms=None if high is None else float(ordered[high]),
    )


def quantile_interval(runs: int) -> tuple[int, int | None]:
    """Which of so many runs, in increasing order from 0, bound the true p99 at 97.5 % each.

    How many of n runs lie above the 0.99 quantile is binomial with p = 0.01, whatever the distribution of the runs; so
    order statistics bound a quantile (David and Nagaraja, Order Statistics, 2003, section 7.1). None: even the slowest
    run may lie below it.
    """
    above = 1 - _QUANTILE
    # P(k runs lie above) and P(at most k do), from k = 0 on.
    exactly = _QUANTILE**runs
    at_most = exactly
    too_many = 0
    while at_most <= _ERROR_PROBABILITY:
        too_many += 1
        exactly *= (runs - too_many + 1) / too_many * above / _QUANTILE
        at_most += exactly
    high = None if too_many == 0 else runs - too_many
    enough = too_many
    while at_most < 1 - _ERROR_PROBABILITY and enough < runs - 1:
        enough += 1
        exactly *= (runs - enough + 1) / enough * above / _QUANTILE
        at_most += exactly
    return max(0, runs - 1 - enough), high
