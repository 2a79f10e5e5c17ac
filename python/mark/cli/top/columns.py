"""Samples put into the columns of a plot."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from statistics import median

from mark.domain.sample import ModelSample

__all__ = ["TimeColumns", "Value", "coming_steps", "expected_now"]

_GAP_S_MAX = 30.0
_GAPS_MAX = 3.0

Value = Callable[[ModelSample], float]


class TimeColumns:
    """Equal stretches of time until the newest sample, and which samples lie in each.

    They begin at multiples of their length: what is drawn moves by whole columns, and does not shimmer. A sample holds
    until the next one, where that is no gap: one much longer than the others.
    """

    def __init__(self, samples: Sequence[ModelSample], end_unix_s: float, span_s: float, count: int) -> None:
        """Put samples into columns.

        Args:
            samples: in the order of time.
            end_unix_s: what the last column has.
            span_s: length of all columns.
            count: how many there are.
        """
        self._count = count
        self._length_s = span_s / max(1, count)
        # Where the first one begins.
        self._begin_unix_s = (math.floor(end_unix_s / self._length_s) + 1 - count) * self._length_s
        self._placed = list(self._place(samples))

    def values(self, value: Value, *, lowest: bool = False) -> list[float]:
        """The greatest value in each column, or the least one; NaN where nothing was seen."""
        filled = [math.nan] * self._count
        for sample, columns in self._placed:
            reading = value(sample)
            if not math.isfinite(reading):
                continue
            for column in columns:
                known = filled[column]
                # What is NaN is neither more nor less than anything.
                if not (known <= reading if lowest else known >= reading):
                    filled[column] = reading
        return filled

    def _place(self, samples: Sequence[ModelSample]) -> Iterator[tuple[ModelSample, range]]:
        """Each sample with the columns that it holds for, if there are any."""
        holds_s = _holds_s(samples)
        for at, sample in enumerate(samples):
            until_s = samples[at + 1].unix_s if at + 1 < len(samples) else sample.unix_s
            first = self._column(sample.unix_s)
            # The column in which the next one lies belongs to that one.
            last = first if until_s - sample.unix_s > holds_s else max(first, self._column(until_s) - 1)
            columns = range(max(0, first), min(self._count - 1, last) + 1)
            if columns:
                yield sample, columns

    def _column(self, unix_s: float) -> int:
        return math.floor((unix_s - self._begin_unix_s) / self._length_s)


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
