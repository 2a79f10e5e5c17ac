"""When requests arrive: instants in seconds from the beginning, drawn beforehand and reproducible by seed."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from mark.domain.trace import Trace

__all__ = ["constant", "daily", "daily_rate_per_s", "from_trace", "poisson"]

# A run keeps some numbers for each request; more would fill the memory, and are a slip of some digits.
_REQUESTS_MAX = 100_000_000

Instants = npt.NDArray[np.float64]


def constant(rate_per_s: float, duration_s: float) -> Instants:
    """Equal gaps, the first request at once."""
    _check(rate_per_s, duration_s)
    # The tolerance keeps a product such as 10 * 0.3 from gaining a request by rounding.
    return np.arange(math.ceil(rate_per_s * duration_s - 1e-9)) / rate_per_s


def poisson(rate_per_s: float, duration_s: float, seed: int) -> Instants:
    """A Poisson process: exponential gaps."""
    _check(rate_per_s, duration_s)
    random = np.random.default_rng(seed)
    return np.sort(random.uniform(0.0, duration_s, random.poisson(rate_per_s * duration_s)))


def from_trace(trace: Trace, *, scale: float = 1.0, speed: float = 1.0, seed: int = 0, exact: bool = True) -> Instants:
    """Replay a trace: the scaled count of each bin, at uniform instants inside it, the whole `speed` times faster.

    Uniform instants are a Poisson process given its count. A scaled count that is no whole number is rounded up with
    the probability of its fraction, so that the mean is kept. Without `exact` the counts are drawn as well, with the
    recorded ones as their means: another day of the same kind.
    """
    if not 0 < scale < math.inf or not 0 < speed < math.inf:
        raise ValueError(f"scale ({scale}) and speed ({speed}) must be positive and finite")
    random = np.random.default_rng(seed)
    wanted = trace.counts * scale
    _check_count(float(wanted.sum()))
    counts = np.floor(wanted + random.uniform(size=len(wanted))) if exact else random.poisson(wanted)
    bins = np.repeat(np.arange(len(counts)), counts.astype(np.int64))
    return np.sort((bins + random.uniform(size=len(bins))) * (trace.bin_s / speed))


def daily(*, peak_per_s: float, valley_per_s: float, duration_s: float, seed: int) -> Instants:
    """One day in `duration_s`: a smooth rise from the valley to the peak and back, and three surprise bursts.

    A burst adds half of the rate of its moment for a twentieth of the day. A Poisson process whose rate follows that
    curve, drawn by thinning (Lewis and Shedler, 1979).
    """
    _check(peak_per_s, duration_s)
    if not 0 <= valley_per_s <= peak_per_s:
        raise ValueError(f"valley_per_s ({valley_per_s}) must lie between 0 and peak_per_s ({peak_per_s})")
    random = np.random.default_rng(seed)
    starts = np.sort(random.uniform([0.15, 0.45, 0.70], [0.30, 0.60, 0.85])) * duration_s
    length_s = duration_s / 20

    def rate_per_s(at_s: Instants) -> Instants:
        smooth = daily_rate_per_s(at_s, peak_per_s=peak_per_s, valley_per_s=valley_per_s, day_s=duration_s)
        bursting = np.any((at_s[:, None] >= starts) & (at_s[:, None] < starts + length_s), axis=1)
        return smooth * np.where(bursting, 1.5, 1.0)

    return _thinned(rate_per_s, 1.5 * peak_per_s, duration_s, random)


def daily_rate_per_s(at_s: Instants, *, peak_per_s: float, valley_per_s: float, day_s: float) -> Instants:
    """The smooth part of `daily`: from the valley at the beginning of each day to the peak at its middle and back."""
    return valley_per_s + (peak_per_s - valley_per_s) * (1 - np.cos(2 * np.pi * at_s / day_s)) / 2


def _thinned(
    rate_per_s: Callable[[Instants], Instants], highest_per_s: float, duration_s: float, random: np.random.Generator
) -> Instants:
    candidates = np.sort(random.uniform(0.0, duration_s, random.poisson(highest_per_s * duration_s)))
    return candidates[random.uniform(0.0, highest_per_s, len(candidates)) < rate_per_s(candidates)]


def _check(rate_per_s: float, duration_s: float) -> None:
    if not 0 < rate_per_s < math.inf or not 0 < duration_s < math.inf:
        raise ValueError(f"rate ({rate_per_s}) and duration ({duration_s}) must be positive and finite")
    _check_count(rate_per_s * duration_s)


def _check_count(expected: float) -> None:
    if not expected <= _REQUESTS_MAX:
        raise ValueError(f"about {expected:.3g} requests: at most {_REQUESTS_MAX:,} must be sent in one run")
