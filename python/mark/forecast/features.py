"""What trained forecasters see of the past: everything relative to the level of the last hour.

Each sample is scaled by its own past alone, so nothing of the future leaks into it, and one model serves loads of any
size. Rates are turned into logarithms of their ratio to that level.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mark.forecast.series import Calendar

__all__ = [
    "SAMPLES_MIN",
    "Inputs",
    "history_steps_of",
    "inputs_of",
    "rates_of",
    "ratios_of",
    "targets_of",
    "windows_of",
]

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]

SAMPLES_MIN = 1000  # fewer leave the weights of so many features to chance
_RECENT_STEPS = 180
_LEVEL_STEPS = 60
_BUCKET_STEPS = 5
_DAYS_BACK = (1, 2)
_MEANS = (1, 2, 3, 5, 10, 15, 30, 120, 180)
_MAXIMA = (3, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180)
_DAY_WINDOWS = ((0, 5), (0, 10), (0, 20), (0, 60), (10, 30), (30, 60), (-5, 15))
_RATE_MIN_PER_S = 1e-6  # the level of a silent load: any smaller rate is none
_RATIO_LOG_MAX = 12.0


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """What a model is given for N samples.

    Attributes:
        flat: [N, F], one number a feature.
        sequence: [N, T, 2]: maximum and mean of every five steps of the last three hours.
        level: [N], rows per second: what all rates are relative to.
    """

    flat: Float32Array
    sequence: Float32Array
    level: FloatArray

    def take(self, rows: npt.NDArray[np.int64]) -> Inputs:
        """Those samples only."""
        return Inputs(self.flat[rows], self.sequence[rows], self.level[rows])


def history_steps_of(calendar: Calendar) -> int:
    """How many past steps a sample is made of: two days and three hours."""
    return max(_DAYS_BACK) * calendar.day_steps + _RECENT_STEPS


def windows_of(series: FloatArray, calendar: Calendar, horizon_steps: int) -> FloatArray:
    """[N, history]: the past of every step of the series that `horizon_steps` steps follow. A view, not a copy.

    The past of sample n ends before step `n + history_steps_of(calendar)`.
    """
    history = history_steps_of(calendar)
    known = series[: max(0, len(series) - horizon_steps)]
    if len(known) < history:
        return np.empty((0, history))
    return np.lib.stride_tricks.sliding_window_view(known, history)


def targets_of(series: FloatArray, calendar: Calendar, horizon_steps: int) -> FloatArray:
    """[N, 2, H]: what followed each of `windows_of`: the maximum of each step, and of all steps until it."""
    coming = series[history_steps_of(calendar) :]
    if len(coming) < horizon_steps:
        return np.empty((0, 2, horizon_steps))
    per_step = np.lib.stride_tricks.sliding_window_view(coming, horizon_steps)
    return np.stack([per_step, np.maximum.accumulate(per_step, axis=1)], axis=1)


def inputs_of(histories: FloatArray, first_steps: npt.NDArray[np.int64], calendar: Calendar) -> Inputs:
    """Make the inputs of N samples.

    Args:
        histories: [N, at least `history_steps_of(calendar)`], rows per second; the end of each is what counts.
        first_steps: number of the step after each history, counted from a midnight.
        calendar: what a day is.
    """
    past = histories[:, -history_steps_of(calendar) :]
    day_mean = past[:, -calendar.day_steps :].mean(axis=1)
    level = np.maximum(np.maximum(past[:, -_LEVEL_STEPS:].mean(axis=1), 0.1 * day_mean), _RATE_MIN_PER_S)
    columns = _recent(past, level)
    columns.append(_log(day_mean, level))
    for days in _DAYS_BACK:
        columns += _same_time(past, level, day_mean, past.shape[1] - days * calendar.day_steps)
    columns += _phases(first_steps, calendar)
    flat = np.stack(columns, axis=1).astype(np.float32)
    buckets = past[:, -_RECENT_STEPS:].reshape(len(past), -1, _BUCKET_STEPS)
    scale = level[:, np.newaxis]
    sequence = np.stack([_log(buckets.max(axis=2), scale), _log(buckets.mean(axis=2), scale)], axis=2)
    return Inputs(flat, sequence.astype(np.float32), level)


def ratios_of(rates_per_s: FloatArray, level: FloatArray) -> FloatArray:
    """Logarithms of the ratios to the level: [N, ...] relative to [N]."""
    return _log(rates_per_s, level.reshape(-1, *(1,) * (rates_per_s.ndim - 1)))


def rates_of(ratios: FloatArray, level: FloatArray) -> FloatArray:
    """Rows per second again: the reverse of `ratios_of`, 0 at the least."""
    scale = level.reshape(-1, *(1,) * (ratios.ndim - 1))
    rates: FloatArray = np.maximum(0.0, scale * (1.1 * np.exp(np.minimum(ratios, _RATIO_LOG_MAX)) - 0.1))
    return rates


def _log(rates_per_s: FloatArray, level: FloatArray) -> FloatArray:
    """A tenth of the level is added to both, so that silence is -2.4 and not minus infinity."""
    logarithms: FloatArray = np.log((rates_per_s / level + 0.1) / 1.1)
    return logarithms


def _recent(past: FloatArray, level: FloatArray) -> list[FloatArray]:
    end, hour = past.shape[1], past[:, -60:]
    columns = [_log(past[:, -steps:].mean(axis=1), level) for steps in _MEANS]
    columns += [_log(past[:, -steps:].max(axis=1), level) for steps in _MAXIMA]
    columns += [_log(past[:, -10:].min(axis=1), level), _log(hour.min(axis=1), level)]
    columns += [_log(np.median(hour, axis=1), level), hour.std(axis=1) / level, past[:, -10:].std(axis=1) / level]
    # The next ten steps' counterparts half an hour ago, an hour ago, and so on: bursts come at regular times.
    for halves in (1, 2, 3, 4, 6, 12):
        begin = end - 30 * halves
        columns.append(_log(past[:, begin : begin + 10].max(axis=1), level))
    return columns


def _same_time(past: FloatArray, level: FloatArray, day_mean: FloatArray, now: int) -> list[FloatArray]:
    """How an earlier day went on from the same time, relative to its own level then; `now` is where that was."""
    then = np.maximum(past[:, now - _LEVEL_STEPS : now].mean(axis=1), 0.1 * day_mean)
    then = np.maximum(then, _RATE_MIN_PER_S)
    columns = [np.log(then / level)]
    columns += [_log(past[:, now + begin : now + end].max(axis=1), then) for begin, end in _DAY_WINDOWS]
    columns += [_log(past[:, now : now + steps].mean(axis=1), then) for steps in (10, 60)]
    buckets = past[:, now : now + 60].reshape(len(past), -1, _BUCKET_STEPS).max(axis=2)
    columns += list(_log(buckets, then[:, np.newaxis]).T)
    return columns


def _phases(first_steps: npt.NDArray[np.int64], calendar: Calendar) -> list[FloatArray]:
    """Harmonics of the day, of two hours and of the hour."""
    angles = [2 * np.pi * harmonic * first_steps / calendar.day_steps for harmonic in (1, 2, 3, 4, 12)]
    angles += [2 * np.pi * harmonic * first_steps / calendar.hour_steps for harmonic in range(1, 7)]
    return [wave(angle) for angle in angles for wave in (np.sin, np.cos)]
