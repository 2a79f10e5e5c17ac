"""How good predictors are on a recorded series: rolling origin, the last part held out, calibrated online.

The rule that is scored: bound the maximum of the next `rule_steps` steps at `level`, in every step anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mark.errors import ForecastError
from mark.forecast.calibration import Calibrator
from mark.forecast.fan import BatchPredictor, QuantilePredictor
from mark.forecast.linear import fan_of
from mark.forecast.loss import pinball
from mark.forecast.ranking import Ranking
from mark.forecast.series import checked_series

__all__ = ["CHAMPION", "Bounds", "EvaluationOptions", "Score", "bounds_of", "champion_of", "evaluate", "score_of"]

FloatArray = npt.NDArray[np.float64]

CHAMPION = "champion"
_CHUNK = 1000


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationOptions:
    """What is scored.

    Attributes:
        level: at which the maximum is bounded.
        rule_steps: it is the maximum of so many next steps.
        trained: share of the series that predictors were fitted on; what follows is held out and scored.
        warm_steps: calibration and ranking begin so many steps before the held-out part; nothing is scored there.
        first_step: number of the series' first step, counted from a midnight.
        masked: [steps] of the series, True where the record is not to be trusted: a forecast for such a step is not
            scored. None for nowhere.
    """

    level: float = 0.95
    rule_steps: int = 10
    trained: float = 0.62
    warm_steps: int = 2880
    first_step: int = 0
    masked: npt.NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if not (0 < self.level < 1 and 0 < self.trained < 1) or self.rule_steps < 1 or self.warm_steps < 0:
            raise ForecastError("level and trained are shares, rule_steps is positive and warm_steps not negative")


@dataclass(frozen=True, slots=True, eq=False)
class Bounds:
    """What one predictor would have served, in rows per second.

    Attributes:
        name: of the predictor.
        served: [N], the calibrated bound at each origin, the warm-up's included.
        raw: [N], the same before calibration.
        calibrated: [N], False as long as calibration knew too little.
        predict_ms: mean time of one prediction.
    """

    name: str
    served: FloatArray
    raw: FloatArray
    calibrated: npt.NDArray[np.bool_]
    predict_ms: float


@dataclass(frozen=True, slots=True)
class Score:
    """How good one predictor was on the held-out part.

    Attributes:
        name: of the predictor.
        coverage: share of origins whose bound held.
        raw_coverage: the same without calibration.
        pinball: mean pinball loss over the mean of what came.
        over: mean excess of the bound over the mean of what came.
        short: mean shortfall over the mean of what came.
        predict_ms: mean time of one prediction.
    """

    name: str
    coverage: float
    raw_coverage: float
    pinball: float
    over: float
    short: float
    predict_ms: float


def evaluate(
    predictors: Mapping[str, QuantilePredictor],
    series: FloatArray,
    options: EvaluationOptions,
    seconds: Callable[[], float],
) -> list[Score]:
    """Score every predictor, and last the champion: at each origin the best of late by online pinball loss.

    Args:
        predictors: by name, fitted on the first `trained` of the series alone.
        series: maximum rate of each step in rows per second.
        options: what is scored.
        seconds: a clock, for the time of a prediction.

    Raises:
        ForecastError: the series cannot be used, or is too short for a predictor to begin before the held-out part.
    """
    found = [bounds_of(name, predictor, series, options, seconds) for name, predictor in predictors.items()]
    champion = champion_of(found, series, options)
    return [score_of(bounds, series, options) for bounds in (*found, champion)]


def bounds_of(
    name: str,
    predictor: QuantilePredictor,
    series: FloatArray,
    options: EvaluationOptions,
    seconds: Callable[[], float],
) -> Bounds:
    """What a predictor serves at each origin, from `warm_steps` before the held-out part on."""
    known = checked_series(series, 1)
    origins = _origins(len(known), options)
    if predictor.history_steps > origins[0]:
        raise ForecastError(f"{name} needs {predictor.history_steps} steps before the first of {len(known)} is scored")
    began = seconds()
    if isinstance(predictor, BatchPredictor):
        raw = _in_batches(predictor, known, origins, options)
    else:
        rule, first = options.rule_steps - 1, options.first_step
        fans = (predictor.predict(known[:origin], first + origin) for origin in origins.tolist())
        raw = np.array([fan.at(options.level)[1, rule] for fan in fans])
    predict_ms = 1e3 * (seconds() - began) / len(origins)
    return Bounds(name, *_calibrated(raw, known, origins, options), predict_ms)


def champion_of(found: list[Bounds], series: FloatArray, options: EvaluationOptions) -> Bounds:
    """What is served when at each origin the predictor leads that was the best by then; losses come when decided."""
    losses = np.stack([pinball(_truths(series, options), bounds.served, options.level) for bounds in found])
    ranking = Ranking([bounds.name for bounds in found])
    by_name = {bounds.name: bounds for bounds in found}
    served, raw = np.empty(losses.shape[1]), np.empty(losses.shape[1])
    for row in range(losses.shape[1]):
        decided = row - options.rule_steps
        if decided >= 0:
            counted = [(at, bounds) for at, bounds in enumerate(found) if bounds.calibrated[decided]]
            ranking.add({bounds.name: float(losses[at, decided]) for at, bounds in counted})
        leader = by_name[ranking.champion]
        served[row], raw[row] = leader.served[row], leader.raw[row]
    calibrated = np.logical_or.reduce([bounds.calibrated for bounds in found])
    return Bounds(CHAMPION, served, raw, calibrated, sum(bounds.predict_ms for bounds in found))


def score_of(bounds: Bounds, series: FloatArray, options: EvaluationOptions) -> Score:
    """Compare with what came, from the first held-out step on."""
    origins, truth = _origins(len(series), options), _truths(series, options)
    scored = origins >= int(options.trained * len(series))
    if options.masked is not None:
        windows = np.lib.stride_tricks.sliding_window_view(options.masked, options.rule_steps)
        scored &= ~windows[origins].any(axis=1)
    if not np.any(scored):
        raise ForecastError("nothing is left to score: all of the held-out part is masked")
    came, served = truth[scored], bounds.served[scored]
    mean = max(float(came.mean()), 1e-12)
    return Score(
        name=bounds.name,
        coverage=float((came <= served).mean()),
        raw_coverage=float((came <= bounds.raw[scored]).mean()),
        pinball=float(pinball(came, served, options.level).mean()) / mean,
        over=float(np.maximum(0.0, served - came).mean()) / mean,
        short=float(np.maximum(0.0, came - served).mean()) / mean,
        predict_ms=bounds.predict_ms,
    )


def _origins(steps: int, options: EvaluationOptions) -> npt.NDArray[np.int64]:
    """The first predicted step of each forecast."""
    first = max(1, int(options.trained * steps) - options.warm_steps)
    origins = np.arange(first, steps - options.rule_steps + 1)
    if not len(origins):
        raise ForecastError(f"a series of {steps} steps is too short to hold anything out")
    return origins


def _truths(series: FloatArray, options: EvaluationOptions) -> FloatArray:
    windows = np.lib.stride_tricks.sliding_window_view(series, options.rule_steps)
    truths: FloatArray = windows[_origins(len(series), options)].max(axis=1)
    return truths


def _in_batches(
    predictor: BatchPredictor, series: FloatArray, origins: npt.NDArray[np.int64], options: EvaluationOptions
) -> FloatArray:
    windows = np.lib.stride_tricks.sliding_window_view(series, predictor.history_steps)
    parts = []
    for rows in np.array_split(origins, max(1, len(origins) // _CHUNK)):
        answers = predictor.predict_many(windows[rows - predictor.history_steps], rows + options.first_step)
        parts += [fan_of(answer).at(options.level)[1, options.rule_steps - 1] for answer in answers]
    return np.array(parts)


def _calibrated(
    raw: FloatArray, series: FloatArray, origins: npt.NDArray[np.int64], options: EvaluationOptions
) -> tuple[FloatArray, FloatArray, npt.NDArray[np.bool_]]:
    """`served`, `raw` and `calibrated` of `Bounds`."""
    calibrator = Calibrator(options.level, np.array([options.rule_steps - 1]))
    served, calibrated = np.empty_like(raw), np.empty(len(raw), bool)
    for row, origin in enumerate(origins.tolist()):
        calibrator.observe(origin - 1, series[max(0, origin - options.rule_steps) : origin])
        calibrated[row] = calibrator.knows(0)
        served[row] = calibrator.correct(origin, np.full((2, 1), raw[row]))[1, 0]
    return served, raw, calibrated
