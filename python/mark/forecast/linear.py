"""Linear quantile regression: the strongest of the simple forecasters, and what the LSTM starts from.

Each level is fitted at a few horizons by iteratively reweighted least squares on the pinball loss (a smoothed form of
Koenker and Bassett, Regression Quantiles, 1978); in between it is interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mark.errors import ForecastError
from mark.forecast.fan import HORIZON_STEPS, LEVELS, QuantileFan
from mark.forecast.features import (
    SAMPLES_MIN,
    Inputs,
    history_steps_of,
    inputs_of,
    rates_of,
    ratios_of,
    targets_of,
    windows_of,
)
from mark.forecast.loss import pinball
from mark.forecast.scaling import Scaler, fit_scaler
from mark.forecast.series import Calendar, checked_series

__all__ = ["LinearQuantiles", "LinearWeights", "fan_of", "fit_linear", "fit_weights", "interpolation", "monotone"]

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]

_KNOTS = (1, 2, 3, 5, 7, 10, 13, 17, 21, 26, 31, 36, 42, 48, 54, 60)
_FIRST_ROUNDS, _ROUNDS = 30, 12
_RATIO_LOG_MAX = 5.0
_RIDGES = (1e-3, 1e-2, 3e-2, 1e-1, 3e-1)
_CHOSEN_BY = (5, 5)  # level and knot by which the ridge is chosen: 95 %, ten steps
_HELD_OUT_SHARE = 0.15


@dataclass(frozen=True, slots=True, eq=False)
class LinearWeights:
    """What is fitted.

    Attributes:
        scaler: of the features.
        weights: [1 + F, 2, Q, K]: the constant, then one for each feature, of K horizons.
    """

    scaler: Scaler
    weights: Float32Array


class LinearQuantiles:
    """Predicts with fitted weights. Implements `QuantilePredictor` and `BatchPredictor`."""

    def __init__(self, fitted: LinearWeights, calendar: Calendar) -> None:
        self._fitted = fitted
        self._calendar = calendar
        self._spread_out = interpolation()
        self._weights = fitted.weights.reshape(len(fitted.weights), -1)

    @property
    def name(self) -> str:
        """As it is called in decisions."""
        return "linear quantiles"

    @property
    def history_steps(self) -> int:
        """How many past steps it needs."""
        return history_steps_of(self._calendar)

    def predict(self, history: FloatArray, first_step: int) -> QuantileFan:
        """The fan after one history."""
        past = checked_series(history[-self.history_steps :], self.history_steps)
        return fan_of(self.predict_many(past[np.newaxis], np.array([first_step]))[0])

    def predict_many(self, histories: FloatArray, first_steps: npt.NDArray[np.int64]) -> FloatArray:
        """[N, 2, Q, H] in rows per second."""
        inputs = inputs_of(histories, first_steps, self._calendar)
        at_knots = self._fitted.scaler.apply(inputs.flat) @ self._weights[1:] + self._weights[0]
        ratios = at_knots.reshape(-1, 2, len(LEVELS), len(_KNOTS)) @ self._spread_out
        return rates_of(monotone(ratios.astype(np.float64)), inputs.level)


def interpolation() -> Float32Array:
    """[K, H]: what each of the horizons takes of each fitted one."""
    steps = np.arange(1, HORIZON_STEPS + 1)
    rows = [np.interp(steps, _KNOTS, np.eye(len(_KNOTS))[knot]) for knot in range(len(_KNOTS))]
    return np.array(rows, dtype=np.float32)


def monotone(ratios: FloatArray) -> FloatArray:
    """[N, 2, Q, H] without crossings: sorted by level, and the running maximum kept from falling with the horizon.

    Sorting never makes the pinball loss worse (Chernozhukov, Fernandez-Val, Galichon, Econometrica 2010).
    """
    ordered = np.sort(ratios, axis=2)
    ordered[:, 1] = np.maximum.accumulate(ordered[:, 1], axis=2)
    return ordered


def fan_of(rates_per_s: FloatArray) -> QuantileFan:
    """The fan of one prediction, [2, Q, H]."""
    return QuantileFan(LEVELS, rates_per_s[0], rates_per_s[1])


def fit_linear(series: FloatArray, first_step: int = 0, calendar: Calendar | None = None) -> LinearQuantiles:
    """Fit to a series whose first entry is the step `first_step` after a midnight. Takes seconds.

    Raises:
        ForecastError: the series cannot be used, or has too few steps.
    """
    calendar = calendar or Calendar()
    history = history_steps_of(calendar)
    known = checked_series(series, history + HORIZON_STEPS + SAMPLES_MIN)
    windows = windows_of(known, calendar, HORIZON_STEPS)
    targets = targets_of(known, calendar, HORIZON_STEPS)
    inputs = inputs_of(windows, first_step + history + np.arange(len(windows)), calendar)
    return LinearQuantiles(fit_weights(inputs, ratios_of(targets, inputs.level)), calendar)


def fit_weights(inputs: Inputs, ratios: FloatArray) -> LinearWeights:
    """Fit every level at every knot, from N samples and what followed them, [N, 2, H].

    Raises:
        ForecastError: the samples leave the weights undetermined.
    """
    scaler = fit_scaler(inputs.flat)
    samples = np.column_stack([np.ones(len(inputs.flat), np.float32), scaler.apply(inputs.flat)])
    shares = (inputs.level / inputs.level.mean()).astype(np.float32)
    ridge = _choose_ridge(samples, ratios, shares)
    weights = np.empty((samples.shape[1], 2, len(LEVELS), len(_KNOTS)), np.float32)
    for kind in range(2):
        for row, level in enumerate(LEVELS):
            fitted = np.zeros(samples.shape[1], np.float32)
            for column, knot in enumerate(_KNOTS):
                truth = ratios[:, kind, knot - 1].astype(np.float32)
                rounds = _ROUNDS if column else _FIRST_ROUNDS
                fitted = _fit_one(samples, truth, shares, level, _Start(fitted, rounds, ridge))
                weights[:, kind, row, column] = fitted
    if not np.all(np.isfinite(weights)):
        raise ForecastError("linear quantile regression found no weights: the series is too uniform")
    return LinearWeights(scaler, weights)


@dataclass(frozen=True, slots=True, eq=False)
class _Start:
    weights: Float32Array
    rounds: int
    ridge: float


def _choose_ridge(samples: Float32Array, ratios: FloatArray, shares: Float32Array) -> float:
    """The ridge under which one quantile, fitted to all but the last samples, has the least loss on those."""
    row, column = _CHOSEN_BY
    level, steps = LEVELS[row], _KNOTS[min(column, len(_KNOTS) - 1)]
    truth = ratios[:, 1, steps - 1].astype(np.float32)
    held_out = len(truth) - int(_HELD_OUT_SHARE * len(truth))
    kept = slice(max(1, held_out - HORIZON_STEPS))  # the targets of the samples between reach into the held-out part
    losses = []
    for ridge in _RIDGES:
        start = _Start(np.zeros(samples.shape[1], np.float32), _FIRST_ROUNDS, ridge)
        fitted = _fit_one(samples[kept], truth[kept], shares[kept], level, start)
        bound = np.exp(np.minimum(samples[held_out:] @ fitted, _RATIO_LOG_MAX))
        losses.append(float((shares[held_out:] * pinball(np.exp(truth[held_out:]), bound, level)).mean()))
    return _RIDGES[int(np.argmin(losses))]


def _fit_one(
    samples: Float32Array, truth: Float32Array, shares: Float32Array, level: float, start: _Start
) -> Float32Array:
    """One quantile; the residuals are smoothed near zero, ever less."""
    ridge = np.float32(start.ridge * len(samples)) * np.eye(samples.shape[1], dtype=np.float32)
    ridge[0, 0] = 1e-6 * len(samples)
    weights = start.weights
    for turn in range(start.rounds):
        residual = truth - samples @ weights
        smooth = max(1e-3, float(np.median(np.abs(residual))) * 0.05 * 0.8 ** min(turn, 10))
        pull = shares * np.where(residual > 0, np.float32(level), np.float32(1 - level))
        pull /= np.maximum(np.abs(residual), np.float32(smooth))
        pulled = samples * pull[:, np.newaxis]
        weights = np.linalg.solve(pulled.T @ samples + ridge, pulled.T @ truth)
    return weights
