"""Shortens long series to as many columns as a plot can show, without hiding their extremes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["COLUMNS_MAX", "Columns"]

COLUMNS_MAX = 240

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Columns:
    """How bins are put together for a plot.

    Attributes:
        bins: how many there are.
        bin_s: length of one.
        per_column: how many make one column; the last column may have fewer.
    """

    bins: int
    bin_s: float
    per_column: int

    @staticmethod
    def of(bins: int, bin_s: float) -> Columns:
        """Columns of equal length, no more than `COLUMNS_MAX`."""
        return Columns(bins, bin_s, max(1, -(-bins // COLUMNS_MAX)))

    @property
    def column_s(self) -> float:
        """Length of a column."""
        return self.bin_s * self.per_column

    @property
    def edges_s(self) -> Floats:
        """Where the columns begin, and where the last one ends."""
        return np.append(self._starts, self.bins) * self.bin_s

    def total(self, values: Floats) -> Floats:
        """Sum of each column."""
        return np.asarray(np.add.reduceat(values, self._starts), dtype=np.float64)

    def mean(self, values: Floats) -> Floats:
        """Mean of each column."""
        return self.total(values) / np.diff(np.append(self._starts, self.bins))

    def highest(self, values: Floats) -> Floats:
        """Greatest value of each column."""
        return np.asarray(np.maximum.reduceat(values, self._starts), dtype=np.float64)

    def lowest(self, values: Floats) -> Floats:
        """Least value of each column; NaN counts only where there is nothing else."""
        return np.asarray(np.fmin.reduceat(values, self._starts), dtype=np.float64)

    @property
    def _starts(self) -> npt.NDArray[np.intp]:
        return np.arange(0, self.bins, self.per_column)
