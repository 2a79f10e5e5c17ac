"""A robust scaler: centred on the median, and what lies far out is cut off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Scaler", "fit_scaler"]

_FAR_OUT = 6.0


@dataclass(frozen=True, slots=True, eq=False)
class Scaler:
    """Centre and spread of each of F features, learnt from the training part alone; both are [F]."""

    centre: npt.NDArray[np.float32]
    spread: npt.NDArray[np.float32]

    def apply(self, flat: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """[N, F] in units of the spread, at most 6 from the centre."""
        scaled: npt.NDArray[np.float32] = np.clip((flat - self.centre) / self.spread, -_FAR_OUT, _FAR_OUT)
        return scaled


def fit_scaler(flat: npt.NDArray[np.float32]) -> Scaler:
    """Learn from [N, F]: the median, and the spread of what is not far out; a constant feature has spread 1."""
    centre = np.median(flat, axis=0)
    low, high = np.quantile(flat, [0.005, 0.995], axis=0)
    spread = np.clip(flat, low, high).std(axis=0)
    return Scaler(centre.astype(np.float32), np.where(spread > 1e-6, spread, 1.0).astype(np.float32))
