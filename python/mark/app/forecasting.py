"""Trains, scores and asks forecasters on a recorded trace."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mark.controlplane.arrivals import step_maxima
from mark.errors import ConfigError
from mark.forecast.evaluation import CHAMPION, EvaluationOptions, Score, evaluate
from mark.forecast.fan import QuantileFan, QuantilePredictor
from mark.forecast.holt_winters import fit_holt_winters
from mark.forecast.linear import fit_linear
from mark.forecast.lstm import LstmPredictor
from mark.forecast.points import LastValue, MovingMaximumPoint, SeasonalNaive
from mark.forecast.series import Calendar
from mark.forecast.training import Progress, TrainingOptions, train_lstm
from mark.workload.trace_file import read_trace

__all__ = ["MODELS", "Evaluation", "Moment", "Recorded", "evaluate_models", "moment_of", "recorded", "train"]

FloatArray = npt.NDArray[np.float64]

MODELS = ("last value", "moving maximum", "seasonal naive", "holt-winters", "linear", "lstm")


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """A trace as forecasters see it.

    Attributes:
        maxima_per_s: the highest rate of each step.
        calendar: how many steps an hour and a day have.
        first_step: number of the first step, counted from a midnight.
        step_s: length of a step.
    """

    maxima_per_s: FloatArray
    calendar: Calendar
    first_step: int
    step_s: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good the models were.

    Attributes:
        scores: by model, the champion last.
        fit_s: seconds that fitting took, by model.
        champion: the model with the least pinball loss.
    """

    scores: Mapping[str, Score]
    fit_s: Mapping[str, float]
    champion: str


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """One forecast with what went before it and what came.

    Attributes:
        history_per_s: the steps before it.
        fan: what was predicted.
        truth_per_s: what came, as far as the trace goes.
        model: who predicted.
    """

    history_per_s: FloatArray
    fan: QuantileFan
    truth_per_s: FloatArray
    model: str


def recorded(path: Path, step_s: float = 60.0, midnight_s: float = 0.0) -> Recorded:
    """Read a trace: the maximum of the 5-second rates of each step, or the rate of its bins where they are longer.

    Args:
        path: the trace file.
        step_s: length of a step; an hour is a whole number of them.
        midnight_s: how long after a midnight the trace begins.

    Raises:
        ConfigError: the trace cannot be read.
        ForecastError: an hour is no whole number of such steps.
    """
    trace = read_trace(path)
    if trace.bin_s > step_s:
        raise ConfigError(f"{path}: bins of {trace.bin_s:g} s say nothing of steps of {step_s:g} s")
    window_s = min(step_s, max(5.0, trace.bin_s))
    if abs(step_s / window_s - round(step_s / window_s)) > 1e-9:
        window_s = step_s
    return Recorded(step_maxima(trace, step_s, window_s), Calendar.of_steps(step_s), round(midnight_s / step_s), step_s)


def train(
    known: Recorded, options: TrainingOptions, on_progress: Callable[[Progress], None] = lambda _: None
) -> LstmPredictor:
    """Train an LSTM on all of a trace.

    Raises:
        ForecastError: the series is too short, or torch is missing.
    """
    return train_lstm(known.maxima_per_s, known.first_step, known.calendar, options, on_progress)


def evaluate_models(
    known: Recorded,
    names: Sequence[str],
    options: EvaluationOptions,
    training: TrainingOptions,
    on_fit: Callable[[str], None] = lambda _: None,
) -> Evaluation:
    """Fit each model on the first part of a trace and score it on the rest.

    Raises:
        ForecastError: the trace is too short for a model, or torch is missing for the LSTM.
    """
    kept = int(options.trained * len(known.maxima_per_s))
    past = known.maxima_per_s[:kept]
    predictors: dict[str, QuantilePredictor] = {}
    fit_s: dict[str, float] = {}
    for name in names:
        on_fit(name)
        began_s = time.perf_counter()
        predictors[name] = _fitted(name, past, known, training)
        fit_s[name] = time.perf_counter() - began_s
    on_fit("scoring")
    scores = {score.name: score for score in evaluate(predictors, known.maxima_per_s, options, time.perf_counter)}
    best = min(predictors, key=lambda name: scores[name].pinball)
    return Evaluation(scores, {**fit_s, CHAMPION: sum(fit_s.values())}, best)


def moment_of(known: Recorded, at_s: float, model: str, file: Path | None, shown_steps: int) -> Moment:
    """What a model would have said at a time of the trace, fitted on what went before unless it comes from a file.

    Raises:
        ConfigError: the trace has no such time.
        ForecastError: too little went before it, or the file cannot be used.
    """
    at = round(at_s / known.step_s)
    if not 0 < at < len(known.maxima_per_s):
        last_h = len(known.maxima_per_s) * known.step_s / 3600
        raise ConfigError(f"--at {at_s / 3600:g}: must lie within the {last_h:.4g} hours of the trace")
    past = known.maxima_per_s[:at]
    predictor = LstmPredictor.load(file) if file is not None else _fitted(model, past, known, TrainingOptions())
    fan = predictor.predict(past, known.first_step + at)
    truth = known.maxima_per_s[at : at + fan.horizon_steps]
    return Moment(past[-shown_steps:], fan, truth, predictor.name)


def _fitted(name: str, past: FloatArray, known: Recorded, training: TrainingOptions) -> QuantilePredictor:
    calendar, first = known.calendar, known.first_step
    fits: dict[str, Callable[[], QuantilePredictor]] = {
        "last value": LastValue,
        "moving maximum": MovingMaximumPoint,
        "seasonal naive": lambda: SeasonalNaive(calendar),
        "holt-winters": lambda: fit_holt_winters(past, calendar),
        "linear": lambda: fit_linear(past, first, calendar),
        "lstm": lambda: train_lstm(past, first, calendar, training),
    }
    return fits[name]()
