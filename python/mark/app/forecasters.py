"""The forecaster that a configuration asks for."""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mark.config import ControllerConfig
from mark.domain.offering import Offering, Serverless
from mark.errors import ConfigError, ForecastError
from mark.forecast.background import Background, Fit, Refits
from mark.forecast.baselines import MovingMaximum
from mark.forecast.candidates import fit_steps_min, point_predictors, refit_steps, standard_fits
from mark.forecast.champion import Champion, ChampionOptions
from mark.forecast.fan import QuantilePredictor
from mark.forecast.loss import LEVEL_MAX, LEVEL_MIN, newsvendor_level
from mark.forecast.lstm import LstmPredictor
from mark.forecast.series import Calendar
from mark.forecast.training import TrainingOptions
from mark.ports import Clock, Forecaster

__all__ = ["ForecastWork", "StepCounter", "forecaster_of", "level_of", "planned_with"]

# Where a bound breaks, a part of the requests of a few minutes is missed, not all of them: on a load with bursts
# (docs/forecasting.md) the level may leave five times as much as the promise does, and still misses only a third of it.
_MISSES_PER_PROMISED = 5.0
# What the predictors are called where they are chosen, and in decisions.
_NAMES = {"holt-winters": "Holt-Winters", "linear": "linear quantiles"}


@dataclass(frozen=True, slots=True)
class ForecastWork:
    """What makes forecasts run.

    Attributes:
        step_now: number of the step that begins, counted from a midnight.
        predictions: where they are made.
        refits: where predictors are fitted and trained anew, which takes seconds to minutes.
    """

    step_now: Callable[[], int]
    predictions: Background
    refits: Background


class StepCounter:
    """Counts the steps of a control loop from the first one on; each is asked for once, about when it begins.

    Rounded, not cut off: a tick that is late by milliseconds must not become the tick before or after it.

    Thread safety: none.
    """

    def __init__(self, clock: Clock, step_s: float, wall_s: Callable[[], float] = time.time) -> None:
        """Make one; `wall_s` says the seconds since a midnight, UTC, in the step that is asked for first."""
        self._clock, self._step_s, self._wall_s = clock, step_s, wall_s
        self._began: tuple[int, int] | None = None  # when the first step began, and its number

    def __call__(self) -> int:
        """Number of the step that begins now."""
        now_ns = self._clock.now_ns()
        if self._began is None:
            self._began = (now_ns, int(self._wall_s() // self._step_s))
        began_ns, first = self._began
        return first + round((now_ns - began_ns) / 1e9 / self._step_s)


def planned_with(offerings: Sequence[Offering], standbys: Collection[str]) -> list[Offering]:
    """Those that a plan may rent: a standby is for gaps, and what it costs says nothing of what a plan does."""
    return [offering for offering in offerings if offering.name not in standbys]


def level_of(
    offerings: Sequence[Offering], capacities: Mapping[str, float], serverless: Serverless | None, sl_min: float
) -> float:
    """Probability with which the load is to stay within what is rented.

    With functions it is the newsvendor's ratio of their price and that of the cheapest instance at full load. Without
    them no price says what a request is worth, but the promise does: the level leaves five times what `sl_min` leaves.
    """
    prices = [each.price_usd_per_hour / 3600 / rate for each in offerings if (rate := capacities.get(each.name, 0)) > 0]
    cheapest = min((price for price in prices if price > 0), default=0.0)
    if serverless is None or not serverless.usd_per_million_requests > 0 or not cheapest > 0:
        return min(LEVEL_MAX, max(LEVEL_MIN, 1 - _MISSES_PER_PROMISED * (1 - sl_min)))
    return newsvendor_level(serverless.usd_per_million_requests / 1e6, cheapest)


def forecaster_of(settings: ControllerConfig, level: float, work: ForecastWork) -> Forecaster:
    """What turns the load that was seen into the load to provision for.

    Args:
        settings: of the controller.
        level: unless the settings have one.
        work: what makes forecasts run.

    Raises:
        ConfigError: what is asked for needs a model file, a calendar or an extra that is not there.
    """
    forecast = settings.forecast
    if forecast.champion == "moving maximum":
        return MovingMaximum(window_steps=settings.maximum_of_steps, headroom=settings.headroom)
    auto = forecast.champion == "auto"
    calendar = _calendar(settings)
    chosen = None if auto else _NAMES.get(forecast.champion, forecast.champion)
    predictors = [
        each for each in point_predictors(calendar or Calendar()) if calendar or each.name != "seasonal naive"
    ]
    if forecast.model is not None:
        predictors.append(_loaded(forecast.model, settings.step_s))
    fits = {} if calendar is None or not forecast.refit else standard_fits(calendar, _training(forecast.champion))
    options = ChampionOptions(
        level=level if forecast.level is None else forecast.level,
        prior=settings.headroom,
        maximum_of_steps=settings.maximum_of_steps,
        leader=chosen,
    )
    return Champion(
        [each for each in predictors if chosen in {None, each.name}],
        work.step_now,
        work.predictions,
        options,
        _refits({name: fit for name, fit in fits.items() if chosen in {None, name}}, calendar, work.refits),
    )


def _calendar(settings: ControllerConfig) -> Calendar | None:
    """None where an hour is no whole number of steps: then only what knows no time of day competes."""
    try:
        return Calendar.of_steps(settings.step_s)
    except ForecastError as error:
        champion = settings.forecast.champion
        if champion in {"auto", "last value"} and settings.forecast.model is None:
            return None
        raise ConfigError(
            f"controller.forecast: {champion} needs controller.step_s to divide an hour: {error}"
        ) from error


def _training(champion: str) -> TrainingOptions | None:
    """None without torch, unless it is asked for."""
    if importlib.util.find_spec("torch") is not None:
        return TrainingOptions()
    if champion == "lstm":
        raise ConfigError(
            "controller.forecast.champion: an LSTM needs torch, which is not installed: "
            "pip install 'mark-serve[forecast]', or choose auto"
        )
    return None


def _loaded(path: str, step_s: float) -> QuantilePredictor:
    try:
        predictor = LstmPredictor.load(Path(path))
    except ForecastError as error:
        raise ConfigError(f"controller.forecast.model: {error}") from error
    hour_steps = predictor.calendar.hour_steps
    if not math.isclose(hour_steps * step_s, 3600.0):
        raise ConfigError(
            f"controller.forecast.model: {path} was trained for steps of {3600 / hour_steps:g} s, but "
            f"controller.step_s is {step_s:g}: train one with --step-s {step_s:g}"
        )
    return predictor


def _refits(fits: Mapping[str, Fit], calendar: Calendar | None, background: Background) -> Refits | None:
    if not fits or calendar is None:
        return None
    return Refits(fits, refit_steps(calendar), background, fit_steps_min(calendar))
