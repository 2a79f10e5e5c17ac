"""Hands a load to the engine as time passes, behind a stretch that only sets the scene."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from mark import _core
from mark.domain.load import Load, LoadChunk, RecordedLoad
from mark.sim.roles import Feed

__all__ = ["LoadFeed", "RecordedFeed", "feed_of", "offered_counts"]

Floats = npt.NDArray[np.float64]

_SCENE_RATE_OF_S = 600.0


class LoadFeed:
    """Reads a load chunk by chunk, never further ahead than it has to.

    Before the load comes `warmup_s` at the mean rate of its first ten minutes: fleets and forecasts start from
    something, and what they start from is the same for all.

    Thread safety: none.
    """

    def __init__(self, load: Load, warmup_s: float) -> None:
        self._chunks: Iterator[LoadChunk] = load.chunks()
        self._warmup_s = warmup_s
        self._held = next(self._chunks, None)
        self._fed_until_s = 0.0
        self.ended_s: float | None = None if self._held is not None else warmup_s

    def feed(self, engine: _core.Simulation, until_s: float) -> None:
        """Offer everything up to `until_s`, and whatever comes in the same chunk; `ended_s` is set once all is told."""
        if self._fed_until_s == 0 and self._warmup_s > 0 and self._held is not None:
            self._offer(engine, np.array([self._warmup_s]), np.array([_first_rate(self._held)]))
        while self._fed_until_s < until_s and self._held is not None:
            self._offer(engine, self._held.ends_s + self._warmup_s, self._held.rates_per_s)
            self._held = next(self._chunks, None)
            if self._held is None:
                self.ended_s = self._fed_until_s

    def _offer(self, engine: _core.Simulation, ends_s: Floats, rates_per_s: Floats) -> None:
        engine.offer_rates(np.rint(ends_s * 1e9).astype(np.int64), rates_per_s)
        self._fed_until_s = float(ends_s[-1])


class RecordedFeed:
    """Requests at instants that were recorded, behind a silence of `warmup_s`. Implements `mark.sim.roles.Feed`.

    Thread safety: none.
    """

    def __init__(self, instants_s: Floats, duration_s: float, warmup_s: float) -> None:
        """Make a feed.

        Args:
            instants_s: seconds from the beginning of the load, in order.
            duration_s: of the load, its silence at the end included.
            warmup_s: what goes before it.
        """
        self._instants_ns = np.rint((instants_s + warmup_s) * 1e9).astype(np.int64)
        self._fed = False
        self.ended_s: float | None = warmup_s + duration_s

    def feed(self, engine: _core.Simulation, until_s: float) -> None:  # noqa: ARG002 - all is known beforehand
        """Offer everything, once."""
        if not self._fed:
            engine.offer_instants(self._instants_ns)
            self._fed = True


def feed_of(load: Load | RecordedLoad, warmup_s: float) -> Feed:
    """Hands over a load of either kind."""
    if isinstance(load, RecordedLoad):
        return RecordedFeed(load.instants_s, load.duration_s, warmup_s)
    return LoadFeed(load, warmup_s)


def _first_rate(chunk: LoadChunk) -> float:
    """Mean rate of the first ten minutes, or of as much of them as the chunk holds."""
    lengths_s = np.diff(np.minimum(chunk.ends_s, _SCENE_RATE_OF_S), prepend=0.0)
    return float(np.dot(chunk.rates_per_s, lengths_s) / lengths_s.sum())


def offered_counts(load: Load | RecordedLoad, warmup_s: float, seed: int, window_s: float) -> npt.NDArray[np.uint64]:
    """Requests in each window, as a simulation of that seed will see them: what nobody but an oracle can know."""
    if isinstance(load, RecordedLoad):
        return np.bincount(((load.instants_s + warmup_s) // window_s).astype(np.int64)).astype(np.uint64)
    chunks = list(load.chunks())
    if not chunks:
        return np.zeros(0, dtype=np.uint64)
    scene = [(warmup_s, _first_rate(chunks[0]))] if warmup_s > 0 else []
    ends_s = np.concatenate([[end_s for end_s, _ in scene], *(chunk.ends_s + warmup_s for chunk in chunks)])
    rates_per_s = np.concatenate([[rate for _, rate in scene], *(chunk.rates_per_s for chunk in chunks)])
    return _core.count_arrivals(seed, np.rint(ends_s * 1e9).astype(np.int64), rates_per_s, round(window_s * 1e9))
