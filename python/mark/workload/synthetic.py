"""Loads that are made up: days with surprise bursts, and a surge that stays."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mark.domain.load import LoadChunk
from mark.workload.arrivals import daily_rate_per_s

__all__ = ["Bursts", "DailyLoad", "SteppedLoad", "surge"]

_RAMP_STEPS = 120  # a rise of two minutes changes its rate each second

Seconds = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bursts:
    """Surprise bursts, at instants of a Poisson process; two that overlap are one longer burst.

    Attributes:
        height: share of the moment's rate that a burst adds: 0.5 for half as much again.
        length_s: how long one lasts.
        per_day: how many begin in a day, on average.
    """

    height: float = 0.5
    length_s: float = 600.0
    per_day: float = 3.0

    def __post_init__(self) -> None:
        if not 0 <= self.height < math.inf or not 0 <= self.per_day <= 10_000:
            raise ValueError(f"height ({self.height}) and per_day ({self.per_day}) must not be negative or without end")
        if not 0 < self.length_s < math.inf:
            raise ValueError(f"length_s must be positive and finite, not {self.length_s}")


@dataclass(frozen=True, slots=True)
class DailyLoad:
    """Days that rise smoothly from valley to peak and back (`arrivals.daily_rate_per_s`), and surprise bursts on top.

    A load is drawn by its seed: another seed moves the bursts, and the rate between them stays the same.

    Attributes:
        peak_per_s, valley_per_s: requests per second at the middle and at the ends of each day, without bursts.
        days: how many; a part of a day is allowed.
        bursts: how high, long and frequent.
        seed: of the instants at which they begin.
        day_s: length of a day; shorter for a quick look.
        step_s: how long a rate lasts, the curve being taken in the middle of each step.
    """

    peak_per_s: float
    valley_per_s: float
    days: float = 1.0
    bursts: Bursts = field(default_factory=Bursts)
    seed: int = 0
    day_s: float = 86_400.0
    step_s: float = 60.0

    def __post_init__(self) -> None:
        if not 0 <= self.valley_per_s <= self.peak_per_s < math.inf:
            raise ValueError(
                f"valley_per_s ({self.valley_per_s}) must lie between 0 and peak_per_s ({self.peak_per_s})"
            )
        if not (0 < self.days <= 10_000 and 0 < self.step_s <= self.day_s < math.inf):
            raise ValueError(f"days ({self.days}), step_s ({self.step_s}) and day_s ({self.day_s}) must be positive")
        if self.day_s / self.step_s > 1_000_000:
            raise ValueError(f"step_s ({self.step_s}) must be at least a millionth of a day")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, not {self.seed}")

    @property
    def duration_s(self) -> float:
        """Length of all days."""
        return self.days * self.day_s

    def chunks(self) -> Iterator[LoadChunk]:
        """A chunk for each day."""
        begins_s = self.burst_begins_s()
        for day in range(math.ceil(self.days)):
            yield self._day(day * self.day_s, min((day + 1) * self.day_s, self.duration_s), begins_s)

    def burst_begins_s(self) -> Seconds:
        """When bursts begin, in order: the truth that a forecast is measured against."""
        random = np.random.default_rng(self.seed)
        return np.sort(random.uniform(0.0, self.duration_s, random.poisson(self.bursts.per_day * self.days)))

    def _day(self, from_s: float, until_s: float, begins_s: Seconds) -> LoadChunk:
        grid_s = from_s + self.step_s * np.arange(1, math.ceil((until_s - from_s) / self.step_s))
        edges_s = np.concatenate([grid_s, begins_s, begins_s + self.bursts.length_s])
        ends_s = np.unique(np.append(edges_s[(edges_s > from_s) & (edges_s < until_s)], until_s))
        middles_s = (np.append(from_s, ends_s[:-1]) + ends_s) / 2
        smooth = daily_rate_per_s(
            middles_s, peak_per_s=self.peak_per_s, valley_per_s=self.valley_per_s, day_s=self.day_s
        )
        # All bursts are equally long: more have begun than have ended while one lasts.
        begun = np.searchsorted(begins_s, middles_s)
        ended = np.searchsorted(begins_s + self.bursts.length_s, middles_s)
        return LoadChunk(ends_s, smooth * np.where(begun > ended, 1 + self.bursts.height, 1.0))


@dataclass(frozen=True, slots=True)
class SteppedLoad:
    """Stretches that are known beforehand, in one chunk."""

    stretches: LoadChunk

    def chunks(self) -> Iterator[LoadChunk]:
        """The one chunk."""
        yield self.stretches


def surge(
    base_per_s: float, rise_share: float, at_s: float, rise_s: float = 120.0, duration_s: float = 3600.0
) -> SteppedLoad:
    """A constant load that rises by `rise_share` of itself within `rise_s` from `at_s` on, and stays there.

    The rise is a straight line, in 120 steps whose rates are those of their middles.

    Raises:
        ValueError: a number is negative or not finite, or the rise does not end within the duration.
    """
    if not 0 < base_per_s < math.inf or not 0 <= rise_share < math.inf:
        raise ValueError(f"base_per_s ({base_per_s}) must be positive, rise_share ({rise_share}) not negative")
    if not (at_s >= 0 and rise_s > 0 and at_s + rise_s <= duration_s < math.inf):
        raise ValueError(f"a rise of {rise_s} s from {at_s} s on must lie within the duration of {duration_s} s")
    risen = np.arange(_RAMP_STEPS) + 0.5
    ends_s = np.concatenate([[at_s], at_s + rise_s * np.arange(1, _RAMP_STEPS + 1) / _RAMP_STEPS, [duration_s]])
    rates_per_s = base_per_s * np.concatenate([[1.0], 1 + rise_share * risen / _RAMP_STEPS, [1 + rise_share]])
    kept = np.diff(ends_s, prepend=0.0) > 0  # no time before the rise, or none after it
    return SteppedLoad(LoadChunk(ends_s[kept], rates_per_s[kept]))
