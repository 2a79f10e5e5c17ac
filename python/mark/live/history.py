"""The past of one model for a page that is opened later: so many points, however long it was."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mark.domain.sample import ModelSample

__all__ = ["Columns", "History"]

Columns = dict[str, list[float | None]]

_Floats = npt.NDArray[np.float64]

_TIME: Final = "unix_s"
_DIGITS = 6  # more than any screen shows; half the length of a float's own text
_EXACT: Final = (_TIME, "usd_total", "usd_peak_sized")
# What a point says that stands for several: the worst where that is news, else how it ended.
_HIGHEST: Final = ("load_per_s", "latency_ms", "queued", "in_flight", "burn_rate")
_LOWEST: Final = ("attainment",)
_MEAN: Final = ("requests_per_s",)
_NOT_NUMBERS: Final = ("model", "forecast", "forecast_unix_s")


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

    def columns(self, begin: int, end: int) -> Columns:
        """The points from `begin` up to `end`, oldest first, without the columns that say nothing there, or only 0."""
        kept = {}
        for name, column in self._columns.items():
            part = column[begin : min(end, self._points)]
            if len(part) and (name == _TIME or np.any(np.nan_to_num(part))):
                digits = None if name in _EXACT else _DIGITS
                kept[name] = [None if math.isnan(value) else _rounded(value, digits) for value in part.tolist()]
        return kept

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
        if isinstance(value, Mapping) and name not in _NOT_NUMBERS:
            yield from _numbers(value, f"{path}{name}.")
        elif isinstance(value, (int, float)) and name not in _NOT_NUMBERS:
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


def _rounded(value: float, digits: int | None) -> float:
    return value if digits is None else float(f"{value:.{digits}g}")
