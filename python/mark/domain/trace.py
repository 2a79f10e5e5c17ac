"""Recorded load: requests per bin of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Trace"]


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Requests in consecutive bins of `bin_s` seconds; `counts` is a float64 array, one entry a bin."""

    bin_s: float
    counts: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        if not self.bin_s > 0:
            raise ValueError(f"bin_s must be positive, not {self.bin_s}")
        if self.counts.ndim != 1 or not np.all(np.isfinite(self.counts)) or np.any(self.counts < 0):
            raise ValueError("counts must be a flat array of finite numbers, none negative")

    @property
    def duration_s(self) -> float:
        """Length of the trace."""
        return self.bin_s * len(self.counts)
