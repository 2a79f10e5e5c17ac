"""Work beside the controller's steps: guarded predictions, and refits that must prove themselves.

The package knows no thread. What runs the work is handed in: a thread in live serving, the caller itself in a
simulation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mark.errors import ForecastError
from mark.forecast.fan import LEVELS, QuantilePredictor

__all__ = ["Background", "Fit", "InlineBackground", "Job", "RefitOutcome", "Refits", "held_out_loss"]

FloatArray = npt.NDArray[np.float64]
Fit = Callable[[FloatArray, int], QuantilePredictor]

_HELD_OUT_SHARE = 0.15
_HELD_OUT_ORIGINS = 200


class Job(Protocol):
    """Work that was started."""

    def wait(self, timeout_s: float) -> bool:
        """Whether it has ended, after waiting so long at the most."""
        ...

    def outcome(self) -> object:
        """What the work returned, once it has ended; raises what the work raised."""
        ...


class Background(Protocol):
    """Runs work beside the caller."""

    def start_work(self, work: Callable[[], object]) -> Job:
        """Begin; never waits for the work."""
        ...


class InlineBackground:
    """Does the work before it returns, so that a simulation is the same each time. Implements `Background`."""

    def start_work(self, work: Callable[[], object]) -> Job:
        """Do it now."""
        try:
            return _Ended(work(), None)
        except Exception as error:  # noqa: BLE001 - whatever it is, `outcome` raises it
            return _Ended(None, error)


@dataclass(frozen=True, slots=True)
class _Ended:
    returned: object
    error: Exception | None

    def wait(self, timeout_s: float) -> bool:  # noqa: ARG002 - it has ended already
        return True

    def outcome(self) -> object:
        if self.error is not None:
            raise self.error
        return self.returned


@dataclass(frozen=True, slots=True)
class RefitOutcome:
    """How one refit ended.

    Attributes:
        name: of the predictor.
        promoted: the new one, fitted on all of the series; None when it was not better, or failed.
        reason: why, in words.
    """

    name: str
    promoted: QuantilePredictor | None
    reason: str


class Refits:
    """Fits predictors anew now and then; a new one serves only if it is better on steps that it was not fitted on.

    Thread safety: none; the work itself runs wherever the background runs it.
    """

    def __init__(
        self,
        fits: Mapping[str, Fit],
        every_steps: Mapping[str, int],
        background: Background,
        steps_min: Mapping[str, int] | None = None,
    ) -> None:
        """Make one.

        Args:
            fits: how each predictor is fitted: to a series and the number of its first step.
            every_steps: how often, by the same names.
            background: does the work; one at a time.
            steps_min: how many steps of history each fit needs; by the same names, 0 where one is missing.
        """
        self._fits, self._every, self._background = dict(fits), dict(every_steps), background
        self._steps_min = dict(steps_min or {})
        self._due = dict.fromkeys(fits, 0)
        self._running: tuple[str, Job] | None = None

    def poll(
        self, history: FloatArray, first_step: int, serving: Mapping[str, QuantilePredictor]
    ) -> RefitOutcome | None:
        """Begin what is due, and return what has ended; never waits.

        Args:
            history: rates of all past steps that are known.
            first_step: number of the step after it.
            serving: the present predictors; one that is missing is replaced by whatever can be fitted.
        """
        ended = self._collect()
        if self._running is None:
            name = next((name for name in self._fits if self._is_due(name, len(history), first_step)), None)
            if name is not None:
                self._due[name] = first_step + self._every[name]
                self._begin(name, history.copy(), first_step - len(history), serving.get(name))
        return ended

    def _is_due(self, name: str, steps: int, first_step: int) -> bool:
        return steps >= self._steps_min.get(name, 0) and first_step >= self._due[name]

    def _begin(self, name: str, series: FloatArray, first_step: int, serving: QuantilePredictor | None) -> None:
        fit = self._fits[name]
        work = _Refit(name, fit, series, first_step, serving)
        self._running = (name, self._background.start_work(work.run))

    def _collect(self) -> RefitOutcome | None:
        if self._running is None or not self._running[1].wait(0.0):
            return None
        name, job = self._running
        self._running = None
        try:
            outcome = job.outcome()
        except ForecastError as error:
            return RefitOutcome(name, None, str(error))
        except Exception as error:  # noqa: BLE001 - a refit that fails in any way must not end the controller
            return RefitOutcome(name, None, f"{type(error).__name__}: {error}")
        assert isinstance(outcome, RefitOutcome)  # noqa: S101 - `_Refit.run` returns nothing else
        return outcome


@dataclass(frozen=True, slots=True, eq=False)
class _Refit:
    name: str
    fit: Fit
    series: FloatArray
    first_step: int
    serving: QuantilePredictor | None

    def run(self) -> RefitOutcome:
        if self.serving is None:
            return RefitOutcome(self.name, self.fit(self.series, self.first_step), "the first one")
        kept = len(self.series) - int(_HELD_OUT_SHARE * len(self.series))
        fitted = self.fit(self.series[:kept], self.first_step)
        new, old = (
            held_out_loss(predictor, self.series, kept, self.first_step) for predictor in (fitted, self.serving)
        )
        reason = f"held-out pinball loss {new:.4g}, that of the present one {old:.4g}"
        if not new < old:
            return RefitOutcome(self.name, None, reason)
        return RefitOutcome(self.name, self.fit(self.series, self.first_step), reason)


def held_out_loss(predictor: QuantilePredictor, series: FloatArray, kept: int, first_step: int) -> float:
    """Mean pinball loss of all levels and steps over origins that are spread evenly over the entries after `kept`.

    Raises:
        ForecastError: no origin has a whole horizon after it.
    """
    probe = predictor.predict(series[:kept], first_step + kept)
    origins = np.arange(kept, len(series) - probe.horizon_steps + 1)
    if not len(origins):
        raise ForecastError(f"{len(series) - kept} held-out steps are fewer than the horizon")
    spread = origins[:: max(1, len(origins) // _HELD_OUT_ORIGINS)].tolist()
    levels, losses = np.array(LEVELS)[:, np.newaxis], []
    for origin in spread:
        fan = predictor.predict(series[:origin], first_step + origin)
        coming = series[origin : origin + fan.horizon_steps]
        short = np.maximum.accumulate(coming) - fan.running_max
        losses.append(float(np.maximum(levels * short, (levels - 1) * short).mean()))
    return float(np.mean(losses))
