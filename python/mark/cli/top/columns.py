"""Samples put into the columns of a plot."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from mark.domain.sample import ModelSample

__all__ = ["TimeColumns", "coming_steps", "expected_now"]

_GAP_S_MAX = 30.0
_GAPS_MAX = 3.0

Value = Callable[[ModelSample], float]


@dataclass(frozen=True, slots=True)
class TimeColumns:
    """Equal stretches of time until the newest sample.

    They begin at multiples of their length: what is drawn moves by whole columns, and does not shimmer.

    Attributes:
        count: how many.
        length_s: of one.
        end_unix_s: where the last one ends.
    """

    count: int
    length_s: float
    end_unix_s: float

    @staticmethod
    def until(newest_unix_s: float, span_s: float, count: int) -> TimeColumns:
        """Columns that end with a sample."""
        length_s = span_s / max(1, count)
        return TimeColumns(count, length_s, (math.floor(newest_unix_s / length_s) + 1) * length_s)

    def values(self, samples: Sequence[ModelSample], value: Value, *, lowest: bool = False) -> list[float]:
        """The greatest value in each column, or the least one; NaN where nothing was seen.

        A sample holds until the next one, where that is no gap: one much longer than the others.
        """
        filled = [math.nan] * self.count
        begin = self.end_unix_s - self.count * self.length_s
        holds_s = self._holds_s(samples)
        better = min if lowest else max
        for at, sample in enumerate(samples):
            reading = value(sample)
            if not math.isfinite(reading):
                continue
            until_s = samples[at + 1].unix_s if at + 1 < len(samples) else sample.unix_s
            if until_s - sample.unix_s > holds_s:
                until_s = sample.unix_s
            first = math.floor((sample.unix_s - begin) / self.length_s)
            # The column in which the next one lies belongs to that one.
            last = max(first, math.floor((until_s - begin) / self.length_s) - 1)
            for column in range(max(0, first), min(self.count - 1, last) + 1):
                known = filled[column]
                filled[column] = reading if math.isnan(known) else better(known, reading)
        return filled

    @staticmethod
    def _holds_s(samples: Sequence[ModelSample]) -> float:
        gaps = [after.unix_s - before.unix_s for before, after in itertools.pairwise(samples)]
        return max(_GAP_S_MAX, _GAPS_MAX * median(gaps)) if gaps else _GAP_S_MAX


def expected_now(sample: ModelSample) -> float:
    """Rows per second that were expected of the time of a sample before it came; NaN where nothing was."""
    return sample.foreseen_per_s.get("bound", math.nan)


def coming_steps(sample: ModelSample, steps_max: int) -> list[tuple[float, ...]]:
    """Quantiles of the load in each step to come, the one that runs now first, ascending.

    The bound that the fleet is sized for is among them: it may be above all of them, for it was calibrated.
    """
    forecast = sample.forecast
    if forecast is None:
        return []
    now = sample.step_now
    return [
        tuple(sorted((*(rates[step] for rates in forecast.quantiles_per_s if step < len(rates)), bound)))
        for step, bound in enumerate(forecast.rates_per_s)
        if now <= step < now + steps_max
    ]
