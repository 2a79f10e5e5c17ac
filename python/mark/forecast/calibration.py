"""Online conformal calibration: bounds are stretched until they hold as often as they should.

The score of a past bound is the ratio of what came to it; the correction is the asked quantile of the scores of the
last two days (split conformal prediction over a rolling window; compare Gibbs and Candes, Adaptive Conformal
Inference, NeurIPS 2021). Each horizon has its own, and learns a forecast's score when that horizon has passed.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["Calibrator"]

FloatArray = npt.NDArray[np.float64]

_RATIO_MAX = 20.0
_RATE_MIN_PER_S = 1e-6  # so that silence forecast and silence come is a ratio of 1


class Calibrator:
    """Corrects the bounds of one predictor at one level, for each of its horizons.

    Per step: `observe` what came, `correct` the new bounds. Steps may be skipped: what was not forecast scores nothing.

    Thread safety: none.

    Invariant: `_issued[s % H]` are the bounds whose first step is `_issued_at[s % H]`, `_served` the corrected ones.
    """

    def __init__(
        self,
        level: float,
        horizons: npt.NDArray[np.int64],
        window: int = 2880,
        scores_min: int = 120,
        prior: float = 1.0,
    ) -> None:
        """Make one that knows nothing yet.

        Args:
            level: share of steps that a bound is to hold, in (0, 1).
            horizons: which columns of a forecast it corrects, each counted from 0; increasing.
            window: how many scores of each horizon it looks back on.
            scores_min: until a horizon has so many, `prior` is its correction.
            prior: what bounds are multiplied by before anything is known.
        """
        self._level = level
        self._horizons = horizons
        self._reach = int(horizons[-1]) + 1
        self._scores_min, self._prior, self._window = scores_min, prior, window
        self._issued = np.zeros((self._reach, 2, len(horizons)))
        self._served = np.zeros_like(self._issued)
        self._issued_at = np.full(self._reach, np.iinfo(np.int64).min)
        self._scores = np.full((2, len(horizons), window), np.inf, dtype=np.float32)
        self._counts = np.zeros(len(horizons), dtype=np.int64)
        self._factors = np.full((2, len(horizons)), prior)
        self._refresh_in = 0

    @property
    def factors(self) -> FloatArray:
        """[2, horizons]: what bounds are multiplied by now, per step and running maximum."""
        return self._factors

    def knows(self, column: int) -> bool:
        """Whether the correction of this horizon has been learnt and no longer is `prior`."""
        return bool(self._counts[column] >= self._scores_min)

    def observe(self, step: int, recent_per_s: FloatArray) -> FloatArray:
        """Learn what came in step number `step`; `recent_per_s` ends with it, and reaches back over the horizon.

        Returns:
            [2, horizons, 2]: of each bound that this decides, the truth and the corrected bound; NaN where none was
            issued.
        """
        decided = np.full((2, len(self._horizons), 2), np.nan)
        backwards = recent_per_s[: -self._reach - 1 : -1]
        if not len(backwards):
            return decided
        highest = np.maximum.accumulate(backwards)
        first = step - self._horizons
        known = (self._issued_at[first % self._reach] == first) & (self._horizons < len(backwards))
        at = np.flatnonzero(known)
        places = first[at] % self._reach
        decided[:, at, 1] = self._served[places, :, at].T
        decided[0, at, 0] = backwards[0]
        decided[1, at, 0] = highest[self._horizons[at]]
        ratios = (decided[:, at, 0] + _RATE_MIN_PER_S) / (self._issued[places, :, at].T + _RATE_MIN_PER_S)
        places = self._counts[at] % self._window
        self._scores[:, at, places] = np.clip(ratios, 1 / _RATIO_MAX, _RATIO_MAX)
        self._counts[at] += 1
        return decided

    def correct(self, first_step: int, bounds: FloatArray) -> FloatArray:
        """[2, horizons]: these bounds, [2, horizons], as they should be. Call once for each first step."""
        self._issued[first_step % self._reach] = bounds
        self._issued_at[first_step % self._reach] = first_step
        if self._refresh_in <= 0:
            self._refresh()
        self._refresh_in -= 1
        served: FloatArray = np.maximum(0.0, (bounds + _RATE_MIN_PER_S) * self._factors - _RATE_MIN_PER_S)
        self._served[first_step % self._reach] = served
        return served

    def _refresh(self) -> None:
        """The factors anew; less often the more scores there are, since then each of them matters less."""
        known = np.minimum(self._counts, self._window)
        self._refresh_in = max(1, int(known.max()) // 250)
        ordered = np.sort(self._scores, axis=2)  # what is not known yet is infinite: behind the rest
        for column, count in enumerate(known.tolist()):
            if count < self._scores_min:
                self._factors[:, column] = self._prior
            else:
                rank = min(count - 1, max(0, math.ceil(self._level * (count + 1)) - 1))
                self._factors[:, column] = ordered[:, column, rank]
