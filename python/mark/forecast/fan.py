"""Quantiles of the load to come: what every trained forecaster and every baseline predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from mark.errors import ForecastError

__all__ = ["HORIZON_STEPS", "LEVELS", "BatchPredictor", "QuantileFan", "QuantilePredictor", "flat_fan"]

FloatArray = npt.NDArray[np.float64]

HORIZON_STEPS = 60
LEVELS: tuple[float, ...] = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)


@dataclass(frozen=True, slots=True, eq=False)
class QuantileFan:
    """How high the load may go in each of the next steps, and how surely.

    Attributes:
        levels: of the quantiles, increasing, each in (0, 1); Q of them.
        per_step: [Q, H], rows per second: the quantiles of the maximum of each step; column 0 is the step after the
            history.
        running_max: [Q, H], rows per second: column h holds the quantiles of the maximum of steps 0 to h.

    Invariant: neither array decreases with the level, and `running_max` does not with h either.
    """

    levels: tuple[float, ...]
    per_step: FloatArray
    running_max: FloatArray

    def __post_init__(self) -> None:
        for name, values in (("per_step", self.per_step), ("running_max", self.running_max)):
            if values.ndim != 2 or len(values) != len(self.levels) or values.shape != self.per_step.shape:
                raise ForecastError(f"{name} must have a row for each of {len(self.levels)} levels, not {values.shape}")
            if not np.all(np.isfinite(values)) or np.any(values < 0):
                raise ForecastError(f"{name} must be finite and not negative")
            if np.any(np.diff(values, axis=0) < 0):
                raise ForecastError(f"{name} decreases from one level to the next")
        if np.any(np.diff(self.running_max, axis=1) < 0):
            raise ForecastError("running_max decreases with the horizon")

    @property
    def horizon_steps(self) -> int:
        """How many steps it covers."""
        return int(self.per_step.shape[1])

    def at(self, level: float) -> FloatArray:
        """[2, H]: the quantiles per step and of the running maximum, interpolated between levels; the ends hold on."""
        upper = int(np.clip(np.searchsorted(self.levels, level), 1, len(self.levels) - 1))
        low, high = self.levels[upper - 1], self.levels[upper]
        share = min(1.0, max(0.0, (level - low) / (high - low)))
        both = np.stack([self.per_step[upper - 1 : upper + 1], self.running_max[upper - 1 : upper + 1]])
        bounds: FloatArray = both[:, 0] + share * (both[:, 1] - both[:, 0])
        return bounds


class QuantilePredictor(Protocol):
    """Predicts a fan from the past."""

    @property
    def name(self) -> str:
        """What it is called in reports and decisions."""
        ...

    @property
    def history_steps(self) -> int:
        """How many past steps it needs at least."""
        ...

    def predict(self, history: FloatArray, first_step: int) -> QuantileFan:
        """Predict the steps after the history.

        Args:
            history: maximum rate of each past step in rows per second, oldest first, all of them finished.
            first_step: number of the first step that is predicted, counted from a midnight: it tells the time of day.

        Raises:
            ForecastError: the history is too short, or holds something that is no rate.
        """
        ...


@runtime_checkable
class BatchPredictor(Protocol):
    """A predictor that answers for many histories at once."""

    @property
    def history_steps(self) -> int:
        """How many past steps it needs."""
        ...

    def predict_many(self, histories: FloatArray, first_steps: npt.NDArray[np.int64]) -> FloatArray:
        """Predict for `histories` [N, at least history_steps]; the result is [N, 2, Q, H], per step then running."""
        ...


def flat_fan(rates_per_s: Sequence[float] | FloatArray) -> QuantileFan:
    """The fan of a forecast of one rate for each step, which knows nothing of how sure it is: all levels alike."""
    rates = np.asarray(rates_per_s, dtype=np.float64)
    running = np.maximum.accumulate(rates)
    shape = (len(LEVELS), len(rates))
    return QuantileFan(LEVELS, np.broadcast_to(rates, shape), np.broadcast_to(running, shape))
