"""The forecaster of live serving: several predictors, scored online, and the best of late serves.

Nothing that goes wrong in a predictor reaches the controller: one that raises, answers with something that is no rate,
or takes too long is passed over in that step for the moving maximum, counted, and named in the decision.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from mark.domain.forecast import Forecast
from mark.errors import ForecastError
from mark.forecast.background import Background, Job, RefitOutcome, Refits
from mark.forecast.calibration import Calibrator
from mark.forecast.fan import HORIZON_STEPS, QuantileFan, QuantilePredictor
from mark.forecast.loss import pinball
from mark.forecast.points import MovingMaximumPoint
from mark.forecast.ranking import Ranking
from mark.forecast.series import Calendar, fill_gaps

__all__ = ["Champion", "ChampionOptions", "Standing"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ChampionOptions:
    """How the champion forecasts.

    Attributes:
        level: probability with which the load is to stay within the bound; `newsvendor_level` has one for prices.
        rule_steps: the first so many steps are served the bound of their common maximum, which is also what predictors
            are scored by: what is rented now serves that long at least.
        budget_s: a prediction that takes longer is passed over.
        prior: what the moving maximum is multiplied by until its calibration knows better.
        window_steps: how many scores each calibration looks back on.
        leader: the predictor that serves whenever it can; None for whichever was the best of late.
        maximum_of_steps: how many steps the moving maximum looks back on.
    """

    level: float = 0.95
    rule_steps: int = 10
    budget_s: float = 0.5
    prior: float = 1.2
    window_steps: int = 2880
    leader: str | None = None
    maximum_of_steps: int = 10

    def __post_init__(self) -> None:
        if not 0 < self.level < 1 or not 1 <= self.rule_steps <= HORIZON_STEPS:
            raise ForecastError(f"level must lie in (0, 1) and rule_steps from 1 to {HORIZON_STEPS}")
        if not (self.budget_s > 0 and self.prior > 0 and self.window_steps > 0 and self.maximum_of_steps > 0):
            raise ForecastError("budget_s, prior, window_steps and maximum_of_steps must be positive")


@dataclass(frozen=True, slots=True)
class Standing:
    """How one predictor does.

    Attributes:
        name: of the predictor.
        champion: whether it serves.
        pinball: mean loss of late in rows per second; None before the first is decided.
        scored: how many of its bounds were decided.
        held: share of those that held; None before the first.
        failures: how often it failed, by kind: "raised", "no rate", "too slow".
        last_failure: what was wrong the last time; empty when nothing was yet.
    """

    name: str
    champion: bool
    pinball: float | None
    scored: int
    held: float | None
    failures: dict[str, int]
    last_failure: str


@dataclass(slots=True, eq=False)
class _Candidate:
    predictor: QuantilePredictor
    calibrator: Calibrator
    failures: Counter[str] = field(default_factory=Counter)
    last_failure: str = ""
    unfinished: Job | None = None
    failed_in_a_row: int = 0
    decided: int = 0
    held: int = 0


class Champion:
    """Serves the best of several predictors, calibrated. Implements `mark.ports.Forecaster`.

    A newcomer begins with the moving maximum. As the history grows, predictors join; one that proves better leads.

    Thread safety: none.
    """

    def __init__(
        self,
        predictors: Sequence[QuantilePredictor],
        step_now: Callable[[], int],
        background: Background,
        options: ChampionOptions | None = None,
        refits: Refits | None = None,
    ) -> None:
        """Make one.

        Args:
            predictors: beside the moving maximum, which always takes part.
            step_now: number of the step after the history's last, counted from a midnight.
            background: makes predictions, so that one that hangs does not hold up the controller.
            options: level, rule and budget.
            refits: fits predictors anew; None for never.
        """
        self._options = options or ChampionOptions()
        self._step_now, self._background, self._refits = step_now, background, refits
        self._fallback = MovingMaximumPoint(self._options.maximum_of_steps)
        self._candidates = {name: self._candidate(made) for name, made in self._by_name(predictors).items()}
        self._ranking = Ranking(list(self._candidates))
        self._learnt_until: int | None = None
        self._fan: QuantileFan | None = None
        self._last_refit: RefitOutcome | None = None

    @property
    def fan(self) -> QuantileFan | None:
        """The last served fan, before calibration; None before the first forecast."""
        return self._fan

    @property
    def last_refit(self) -> RefitOutcome | None:
        """How the last refit ended; None before the first has."""
        return self._last_refit

    def standings(self) -> tuple[Standing, ...]:
        """How each predictor does, the moving maximum first."""
        return tuple(self._standing(name, candidate) for name, candidate in self._candidates.items())

    def forecast(self, maxima_per_s: FloatArray, step_s: float, horizon_steps: int) -> Forecast:
        """The calibrated bounds of the champion; 0 before anything was seen.

        All entries of the history are taken as finished, and the first rate is that of the step after them. An entry
        that is no rate is replaced as `fill_gaps` says. Beyond the predictors' horizon its last bound holds on.
        """
        return self._forecast(self._step_now(), maxima_per_s, step_s, horizon_steps)

    def replay(self, maxima_per_s: FloatArray, first_step: int, step_s: float) -> None:
        """Learn from a history as if its last `window_steps` had been forecast one by one, refits included.

        Args:
            maxima_per_s: maximum rate of each past step in rows per second, oldest first.
            first_step: number of the step after it, counted from a midnight.
            step_s: length of a step.
        """
        count = len(maxima_per_s)
        for known in range(max(1, count - self._options.window_steps), count):
            self._forecast(first_step - count + known, maxima_per_s[:known], step_s, HORIZON_STEPS)

    def _forecast(self, first: int, maxima_per_s: FloatArray, step_s: float, horizon_steps: int) -> Forecast:
        history = _cleaned(maxima_per_s)
        if not len(history):
            return Forecast(step_s, (0.0,) * horizon_steps, self._fallback.name)
        self._learn(history, first)
        self._refit(history, first)
        fans = self._predict_all(history, first)
        bounds = {
            name: self._candidates[name].calibrator.correct(first, fan.at(self._options.level))
            for name, fan in fans.items()
        }
        leader = self._options.leader or self._ranking.champion
        serving = leader if leader in bounds else self._fallback.name
        self._fan = fans[serving]
        rates, fan = self._rates(bounds[serving], horizon_steps), fans[serving]
        words, fallback = f"{serving} at {100 * self._options.level:g} %", self._fallback_words(serving, leader)
        return Forecast(
            step_s,
            rates,
            f"{words} {fallback}" if fallback else words + self._waiting_words(serving, leader),
            fan.levels,
            tuple(tuple(quantiles) for quantiles in fan.per_step[:, :horizon_steps].tolist()),
            fallback,
        )

    def _candidate(self, predictor: QuantilePredictor) -> _Candidate:
        prior = self._options.prior if predictor is self._fallback else 1.0
        horizons = np.arange(HORIZON_STEPS)
        return _Candidate(predictor, Calibrator(self._options.level, horizons, self._options.window_steps, prior=prior))

    def _by_name(self, predictors: Sequence[QuantilePredictor]) -> dict[str, QuantilePredictor]:
        named: dict[str, QuantilePredictor] = {self._fallback.name: self._fallback}
        named.update({predictor.name: predictor for predictor in predictors if predictor.name not in named})
        return named

    def _learn(self, maxima_per_s: FloatArray, first: int) -> None:
        """Score what was decided since the last step, in the order in which it came."""
        rule = self._options.rule_steps - 1
        since = self._learnt_until if self._learnt_until is not None else first
        for step in range(max(since, first - len(maxima_per_s), first - HORIZON_STEPS), first):
            recent = maxima_per_s[: len(maxima_per_s) - (first - 1 - step)][-HORIZON_STEPS:]
            losses = {}
            for name, candidate in self._candidates.items():
                # What it said before its calibration had begun says nothing of how it does now.
                counts = candidate.calibrator.knows(rule)
                truth, bound = candidate.calibrator.observe(step, recent)[1, rule]
                if counts and np.isfinite(bound):
                    losses[name] = float(pinball(truth, bound, self._options.level))
                    candidate.decided += 1
                    candidate.held += int(truth <= bound)
            self._ranking.add(losses)
        self._learnt_until = first

    def _refit(self, maxima_per_s: FloatArray, first: int) -> None:
        if self._refits is None:
            return
        serving = {name: candidate.predictor for name, candidate in self._candidates.items()}
        ended = self._refits.poll(maxima_per_s, first, serving)
        if ended is None:
            return
        self._last_refit = ended
        if ended.promoted is None:
            return
        if ended.name in self._candidates:
            # It is of the same kind: what its predecessor's calibration and losses say is the best guess for it.
            self._candidates[ended.name].predictor = ended.promoted
        else:
            self._candidates[ended.name] = self._candidate(ended.promoted)
            self._ranking.join(ended.name)

    def _predict_all(self, maxima_per_s: FloatArray, first: int) -> dict[str, QuantileFan]:
        """The fans of those who answer; the moving maximum's in any case."""
        started: dict[str, Job] = {}
        for name, candidate in self._candidates.items():
            if candidate.predictor is self._fallback or candidate.predictor.history_steps > len(maxima_per_s):
                continue
            if candidate.unfinished is not None and not candidate.unfinished.wait(0.0):
                _fail(candidate, "too slow", "its last prediction has not ended yet")
                continue
            candidate.unfinished = None
            started[name] = self._background.start_work(partial(candidate.predictor.predict, maxima_per_s, first))
        fans = {self._fallback.name: self._fallback.predict(maxima_per_s, first)}
        for name, job in started.items():
            fan = self._answer(self._candidates[name], job)
            if fan is not None:
                fans[name] = fan
                self._candidates[name].failed_in_a_row = 0
        for name, candidate in self._candidates.items():
            # Not for a single slip: what has failed this long does not lead again before it has proved itself anew.
            if candidate.failed_in_a_row == self._options.rule_steps:
                self._ranking.forget(name)
        return fans

    def _answer(self, candidate: _Candidate, job: Job) -> QuantileFan | None:
        if not job.wait(self._options.budget_s):
            candidate.unfinished = job
            _fail(candidate, "too slow", f"no answer after {self._options.budget_s} s")
            return None
        try:
            fan = job.outcome()
        except Exception as error:  # noqa: BLE001 - no predictor may end the controller, whatever it does
            kind = "no rate" if isinstance(error, ForecastError) else "raised"
            _fail(candidate, kind, f"{type(error).__name__}: {error}")
            return None
        if not isinstance(fan, QuantileFan) or fan.horizon_steps != HORIZON_STEPS:
            _fail(candidate, "no rate", f"its answer is no fan of {HORIZON_STEPS} steps")
            return None
        return fan

    def _rates(self, bounds: FloatArray, horizon_steps: int) -> tuple[float, ...]:
        rates = bounds[0].copy()
        rule = self._options.rule_steps
        rates[:rule] = bounds[1, rule - 1]
        held_on = np.minimum(np.arange(horizon_steps), HORIZON_STEPS - 1)
        return tuple(rates[held_on].tolist())

    def _waiting_words(self, serving: str, leader: str) -> str:
        return "" if serving == leader else f" until {leader} has enough history"

    def _fallback_words(self, serving: str, leader: str) -> str:
        """Why another serves than the one that leads; empty when it does, or has nothing to go by yet."""
        candidate = self._candidates.get(leader)
        if serving == leader or candidate is None or not candidate.failures:
            return ""
        return f"in place of {leader}, which failed {candidate.failures.total()} times: {candidate.last_failure}"

    def _standing(self, name: str, candidate: _Candidate) -> Standing:
        return Standing(
            name=name,
            champion=name == (self._options.leader or self._ranking.champion),
            pinball=self._ranking.loss(name),
            scored=candidate.decided,
            held=candidate.held / candidate.decided if candidate.decided else None,
            failures=dict(candidate.failures),
            last_failure=candidate.last_failure,
        )


def _cleaned(maxima_per_s: FloatArray) -> FloatArray:
    """A history of rates, whatever it was: empty when it holds none."""
    wrong = ~(np.isfinite(maxima_per_s) & (maxima_per_s >= 0))
    if not np.any(wrong):
        return maxima_per_s
    if np.all(wrong):
        return np.empty(0)
    return fill_gaps(np.where(wrong, np.nan, maxima_per_s), Calendar())


def _fail(candidate: _Candidate, kind: str, words: str) -> None:
    candidate.failures[kind] += 1
    candidate.failed_in_a_row += 1
    candidate.last_failure = f"{kind} ({words})"
