"""Two rates found in a trace: the parameters of a Markov-modulated Poisson process that may have made it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mark.domain.trace import Trace
from mark.workload.mmpp import TwoState

__all__ = ["fit_two_state"]

_BINS_MIN = 20
_ROUNDS_MAX = 200
_TOLERANCE = 1e-6
_PROBABILITY_MIN = 1e-12
_NOTHING = 1e-300  # keeps a sum that underflows from dividing by 0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Guess:
    """Requests in a bin of either state, and the chance that the next bin is of the other one."""

    quiet: float
    busy: float
    to_busy: float
    to_quiet: float


def fit_two_state(trace: Trace) -> TwoState:
    """The two-state process under which the counts of a trace are most likely, as far as hill climbing finds it.

    The chain is looked at once a bin: a hidden Markov model with Poisson counts (MacDonald and Zucchini, Hidden Markov
    and Other Models for Discrete-valued Time Series, 1997), fitted by Baum-Welch with scaling (Rabiner, A tutorial on
    hidden Markov models, Proc. IEEE 77, 1989). It begins with the means of the bins above and below the mean, draws
    nothing, and so always gives the same answer. The rates of changing are those of the continuous chain that changes
    over one bin as often as the fitted one: the logarithm of a matrix of two rows. Bins in which the state changes
    count as either state, so that sojourns should last several bins.

    Raises:
        ValueError: the trace has too few bins, or equal counts only, or its counts tell no sojourns of a bin or more.
    """
    counts = trace.counts
    if len(counts) < _BINS_MIN or counts.min() == counts.max():
        raise ValueError(f"a fit needs at least {_BINS_MIN} bins, and counts that differ, not {len(counts)} bins")
    mean = counts.mean()
    guess = _Guess(float(counts[counts <= mean].mean()), float(counts[counts > mean].mean()), 0.1, 0.1)
    for _ in range(_ROUNDS_MAX):
        better = _improved(counts, guess)
        moved = max(abs(better.quiet - guess.quiet), abs(better.busy - guess.busy)) / mean
        moved = max(moved, abs(better.to_busy - guess.to_busy), abs(better.to_quiet - guess.to_quiet))
        guess = better
        if moved < _TOLERANCE:
            break
    return _continuous(guess, trace.bin_s)


def _improved(counts: Floats, guess: _Guess) -> _Guess:
    """One round: how likely each bin is of either state, and the parameters that make that most likely."""
    busy, stays_quiet, to_busy, to_quiet = _posterior(counts, guess)
    quiet = 1.0 - busy
    return _Guess(
        quiet=float(quiet @ counts / max(quiet.sum(), _PROBABILITY_MIN)),
        busy=float(busy @ counts / max(busy.sum(), _PROBABILITY_MIN)),
        to_busy=to_busy / max(stays_quiet + to_busy, _PROBABILITY_MIN),
        to_quiet=to_quiet / max(float(busy[:-1].sum()), _PROBABILITY_MIN),
    )


def _posterior(counts: Floats, guess: _Guess) -> tuple[Floats, float, float, float]:
    """Chance that each bin is busy; expected number of changes: quiet to quiet, quiet to busy, busy to quiet."""
    # A count's likelihood when busy in that when quiet; any factor common to both cancels.
    ratios = np.log(max(guess.busy, 1e-9) / max(guess.quiet, 1e-9)) * counts - (guess.busy - guess.quiet)
    ratios = np.clip(ratios, -600, 600)
    likely = list(zip((1 / (1 + np.exp(ratios))).tolist(), (1 / (1 + np.exp(-ratios))).tolist(), strict=True))
    return _smoothed(likely, _filtered(likely, guess), guess)


def _filtered(likely: list[tuple[float, float]], guess: _Guess) -> list[float]:
    """Chance that each bin is busy, by the counts up to it."""
    stays_busy, to_busy = 1.0 - guess.to_quiet, guess.to_busy
    chances = []
    busy = to_busy / max(to_busy + guess.to_quiet, _PROBABILITY_MIN)  # the chain's own share of busy bins
    for likely_quiet, likely_busy in likely:
        weight = busy * likely_busy + _PROBABILITY_MIN
        chance = weight / (weight + (1.0 - busy) * likely_quiet + _PROBABILITY_MIN)
        chances.append(chance)
        busy = chance * stays_busy + (1.0 - chance) * to_busy
    return chances


def _smoothed(
    likely: list[tuple[float, float]], chances: list[float], guess: _Guess
) -> tuple[Floats, float, float, float]:
    """The same by all counts, from the last bin backwards, and the changes between bins."""
    to_busy, to_quiet = guess.to_busy, guess.to_quiet
    busy = chances[:]
    stayed = rose = fell = 0.0
    after_quiet = after_busy = 0.5
    for index in range(len(likely) - 1, 0, -1):
        quiet_here, busy_here = after_quiet * likely[index][0], after_busy * likely[index][1]
        from_busy, from_quiet = chances[index - 1], 1.0 - chances[index - 1]
        stays, rises = from_quiet * (1.0 - to_busy) * quiet_here, from_quiet * to_busy * busy_here
        falls, lasts = from_busy * to_quiet * quiet_here, from_busy * (1.0 - to_quiet) * busy_here
        total = stays + rises + falls + lasts + _NOTHING
        stayed, rose, fell = stayed + stays / total, rose + rises / total, fell + falls / total
        busy[index - 1] = (falls + lasts) / total
        after_quiet = (1.0 - to_busy) * quiet_here + to_busy * busy_here + _NOTHING
        after_busy = to_quiet * quiet_here + (1.0 - to_quiet) * busy_here + _NOTHING
        after_quiet, after_busy = after_quiet / (after_quiet + after_busy), after_busy / (after_quiet + after_busy)
    return np.array(busy), stayed, rose, fell


def _continuous(guess: _Guess, bin_s: float) -> TwoState:
    if guess.busy < guess.quiet:
        guess = _Guess(guess.busy, guess.quiet, guess.to_quiet, guess.to_busy)
    leaving = guess.to_busy + guess.to_quiet
    if not (guess.to_busy > 0 and guess.to_quiet > 0 and leaving < 1):
        raise ValueError(
            "the counts tell no two states that last a bin or more; take shorter bins, or a trace with several bursts"
        )
    changes_per_s = -math.log1p(-leaving) / bin_s
    return TwoState(
        quiet_per_s=guess.quiet / bin_s,
        busy_per_s=guess.busy / bin_s,
        quiet_s=leaving / (changes_per_s * guess.to_busy),
        busy_s=leaving / (changes_per_s * guess.to_quiet),
    )
