"""The past of one model for a page that is opened later: so many points, however long it was."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mark.domain.sample import ModelSample

__all__ = ["Columns", "History", "Past"]

Columns = dict[str, list[float | None]]

_Floats = npt.NDArray[np.float64]

_TIME: Final = "unix_s"
_DIGITS = 6  # more than any screen shows; half the length of a float's own text
_EXACT: Final = (_TIME, "usd_total", "usd_peak_sized")
# What a point says that stands for several: the worst where that is news, else how it ended.
_HIGHEST: Final = ("load_per_s", "latency_ms", "queued", "in_flight", "burn_rate")
_LOWEST: Final = ("attainment",)
_MEAN: Final = ("requests_per_s",)
_LEFT_OUT: Final = ("model", "forecast", "forecast_unix_s", "rt_max_ms", "sl_min")  # no numbers, or always the same


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """The points of a history at a moment. Safe to read from any thread."""

    arrays: Mapping[str, _Floats]
    points: int

    def columns(self, begin: int, end: int) -> Columns:
        """The points from `begin` up to `end`, oldest first, without the columns that say nothing there, or only 0."""
        kept = {}
        for name, array in self.arrays.items():
            part = array[begin:end]
            if len(part) and (name == _TIME or np.any(np.nan_to_num(part))):
                values = part if name in _EXACT else _rounded(part)
                kept[name] = [None if math.isnan(value) else value for value in values.tolist()]
        return kept


class History:
    """Columns of numbers, named by their path in a sample's JSON: "load_per_s", "instances.spot.ready".

    When it is full, each two neighbours become one point, and from then on each point stands for twice as many samples:
    the points stay evenly spread over all of the time. A point that stands for several samples has the highest load,
    latency and queue of them, the lowest attainment, the mean of requests per second, and the last of all else, so that
    no peak is lost.

    Thread safety: belongs to one event loop.

    Invariants:
        - all columns are as long as there are points; NaN stands where a sample said nothing;
        - each point but the last stands for `_stride` samples.
    """

    def __init__(self, points_max: int = 10_000) -> None:
        """Make an empty one.

        Args:
            points_max: even, and at least 2.
        """
        if points_max < 2 or points_max % 2:
            raise ValueError(f"points_max must be even and at least 2, not {points_max}")
        self._points_max = points_max
        self._columns: dict[str, _Floats] = {}
        self._points = 0
        self._stride = 1
        self._in_last = 0  # samples that the last point stands for

    def __len__(self) -> int:
        """How many points there are."""
        return self._points

    def add(self, sample: ModelSample) -> None:
        """Add the newest sample."""
        numbers = dict(_numbers(sample.as_dict()))
        for name in numbers.keys() - self._columns.keys():
            self._columns[name] = np.full(self._points_max, math.nan)
        if self._points and self._in_last < self._stride:
            self._merge_into_last(numbers)
            return
        if self._points == self._points_max:
            self._thin()
        for name, column in self._columns.items():
            column[self._points] = numbers.get(name, math.nan)
        self._points += 1
        self._in_last = 1

    def past(self) -> Past:
        """What it is now, for whoever reads it bit by bit while it goes on."""
        return Past({name: column[: self._points].copy() for name, column in self._columns.items()}, self._points)

    def _merge_into_last(self, numbers: Mapping[str, float]) -> None:
        last, count = self._points - 1, self._in_last
        for name, column in self._columns.items():
            newest = np.array([numbers.get(name, math.nan)])
            column[last : last + 1] = _merge_of(name)(column[last : last + 1], newest, count)
        self._in_last += 1

    def _thin(self) -> None:
        half = self._points // 2
        for name, column in self._columns.items():
            column[:half] = _merge_of(name)(column[0 : 2 * half : 2], column[1 : 2 * half : 2], 1)
            column[half:] = math.nan
        self._points = half
        self._stride *= 2
        self._in_last = self._stride


def _numbers(data: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, float]]:
    for name, value in data.items():
        if isinstance(value, Mapping) and name not in _LEFT_OUT:
            yield from _numbers(value, f"{path}{name}.")
        elif isinstance(value, (int, float)) and name not in _LEFT_OUT:
            yield path + name, float(value)


def _merge_of(name: str) -> Callable[[_Floats, _Floats, int], _Floats]:
    """How two points become one, of which the first stands for so many times as many samples as the second."""
    kind = name.partition(".")[0]
    if kind in _HIGHEST:
        return lambda first, second, _: np.fmax(first, second)
    if kind in _LOWEST:
        return lambda first, second, _: np.fmin(first, second)
    if kind in _MEAN:
        return lambda first, second, count: (count * np.nan_to_num(first) + np.nan_to_num(second)) / (count + 1)
    return lambda first, second, _: np.where(np.isnan(second), first, second)


def _rounded(values: _Floats) -> _Floats:
    """To so many digits in all, whatever the size of the numbers."""
    exponents = np.floor(np.log10(np.abs(values), out=np.zeros_like(values), where=np.nan_to_num(values) != 0))
    factors = 10.0 ** (_DIGITS - 1 - exponents)
    rounded: _Floats = np.round(values * factors) / factors
    return rounded
