"""Load that changes between a few rates by chance: a Markov-modulated Poisson process."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mark.domain.load import LoadChunk

__all__ = ["Mmpp", "MmppLoad", "TwoState"]

_SOJOURNS_IN_CHUNK = 4096
_CHANGES_PER_S_MAX = 1e6

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mmpp:
    """A Poisson process whose rate is that of the state of a continuous-time Markov chain.

    The words of Fischer and Meier-Hellstern, The Markov-modulated Poisson process (MMPP) cookbook, Performance
    Evaluation 18 (1993).

    Attributes:
        rates_per_s: requests per second in each state.
        transitions_per_s: one row a state: at which rate it is left for each other one, and minus the sum of those in
            the diagonal. Every state leads to every other, by way of others if need be.
    """

    rates_per_s: tuple[float, ...]
    transitions_per_s: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        states = len(self.rates_per_s)
        if not states or [len(row) for row in self.transitions_per_s] != [states] * states:
            raise ValueError(f"transitions_per_s must have {states} rows of {states} numbers, one for each rate")
        if not all(0 <= rate < math.inf for rate in self.rates_per_s):
            raise ValueError(f"rates_per_s must be finite and not negative, not {self.rates_per_s}")
        matrix = np.array(self.transitions_per_s, dtype=np.float64)
        leaving = matrix - np.diag(np.diag(matrix))
        if not np.all(np.isfinite(matrix)) or np.any(leaving < 0) or leaving.sum(axis=1).max() > _CHANGES_PER_S_MAX:
            raise ValueError("transitions_per_s beside the diagonal must be from 0 to a million per second")
        if not np.allclose(matrix.sum(axis=1), 0.0, atol=1e-9 * max(1.0, float(leaving.max()))):
            raise ValueError(
                "each row of transitions_per_s must add up to 0: minus the sum of the others in the diagonal"
            )
        if np.any(np.linalg.matrix_power((leaving > 0) + np.eye(states), states - 1) == 0):
            raise ValueError("transitions_per_s must lead from every state to every other")

    @property
    def shares(self) -> Floats:
        """Share of time that is spent in each state in the long run."""
        matrix = np.array(self.transitions_per_s, dtype=np.float64)
        scaled = matrix / max(1.0, float(np.abs(matrix).max())) if np.any(matrix) else matrix
        equations = np.vstack([scaled.T, np.ones(len(matrix))])
        solved, *_ = np.linalg.lstsq(equations, np.append(np.zeros(len(matrix)), 1.0), rcond=None)
        shares = np.clip(solved, 0.0, None)
        return np.asarray(shares / shares.sum(), dtype=np.float64)

    @property
    def mean_per_s(self) -> float:
        """Requests per second in the long run."""
        return float(self.shares @ np.array(self.rates_per_s))


@dataclass(frozen=True, slots=True)
class TwoState:
    """The process with two states: a quiet and a busy one, and how long each lasts on average."""

    quiet_per_s: float
    busy_per_s: float
    quiet_s: float
    busy_s: float

    def __post_init__(self) -> None:
        if not (0 < self.quiet_s < math.inf and 0 < self.busy_s < math.inf):
            raise ValueError(f"quiet_s ({self.quiet_s}) and busy_s ({self.busy_s}) must be positive and finite")
        if not 0 <= self.quiet_per_s <= self.busy_per_s < math.inf:
            raise ValueError(f"quiet_per_s ({self.quiet_per_s}) must lie between 0 and busy_per_s ({self.busy_per_s})")

    def process(self) -> Mmpp:
        """The same, as a process of any number of states."""
        ends, begins = 1 / self.quiet_s, 1 / self.busy_s
        return Mmpp((self.quiet_per_s, self.busy_per_s), ((-ends, ends), (begins, -begins)))


@dataclass(frozen=True, slots=True)
class MmppLoad:
    """A path of the process, drawn by seed: the state at the beginning by its share, exponential sojourns after it."""

    process: Mmpp
    duration_s: float
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.duration_s < math.inf:
            raise ValueError(f"duration_s must be positive and finite, not {self.duration_s}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, not {self.seed}")

    def chunks(self) -> Iterator[LoadChunk]:
        """The sojourns, some thousands in a chunk; the last is cut at the duration."""
        random = np.random.default_rng(self.seed)
        rates_per_s = np.array(self.process.rates_per_s)
        state = int(random.choice(len(rates_per_s), p=self.process.shares))
        end_s = 0.0
        while end_s < self.duration_s:
            states, sojourns_s = self._sojourns(state, random)
            ends_s = np.minimum(end_s + np.cumsum(sojourns_s), self.duration_s)
            kept = np.diff(ends_s, prepend=end_s) > 0  # none behind the end, none shorter than a float can tell
            yield LoadChunk(ends_s[kept], rates_per_s[states[:-1]][kept])
            state, end_s = states[-1], float(ends_s[-1])

    def _sojourns(self, state: int, random: np.random.Generator) -> tuple[list[int], Floats]:
        """The next states, one more than there are sojourns, and how long each of the others lasts."""
        matrix = np.array(self.process.transitions_per_s)
        leaving = matrix - np.diag(np.diag(matrix))
        leaving_per_s = leaving.sum(axis=1)
        if len(matrix) == 1:
            return [0, 0], np.array([self.duration_s])
        # bisect finds which of the intervals that make up 0 to 1 a uniform number falls into, and so the next state.
        bounds: list[Sequence[float]] = (np.cumsum(leaving, axis=1) / leaving_per_s[:, None])[:, :-1].tolist()
        draws = random.random(_SOJOURNS_IN_CHUNK).tolist()
        states = list(itertools.accumulate(draws, lambda now, draw: bisect.bisect(bounds[now], draw), initial=state))
        return states, random.exponential(size=len(draws)) / leaving_per_s[states[:-1]]
