"""What predictors are worth on a recorded series."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from unit.forecast_series import SHORT_DAY, Constant, daily

from mark.errors import ForecastError
from mark.forecast.evaluation import CHAMPION, EvaluationOptions, bounds_of, evaluate, score_of
from mark.forecast.fan import HORIZON_STEPS, LEVELS, QuantilePredictor
from mark.forecast.points import MovingMaximumPoint

SERIES = daily(40, seed=2)


def seconds() -> float:
    return next(TICKS)


TICKS = itertools.count(0.0)


def test_scores_are_those_of_the_calibrated_bound_and_the_champion_is_near_the_best() -> None:
    options = EvaluationOptions(level=0.9, warm_steps=600)
    predictors: dict[str, QuantilePredictor] = {"moving maximum": MovingMaximumPoint(), "constant": Constant(50.0)}

    moving, constant, champion = evaluate(predictors, SERIES, options, seconds)

    assert champion.name == CHAMPION
    for score in (moving, constant, champion):
        assert score.coverage == pytest.approx(0.9, abs=0.05)
        assert score.pinball == pytest.approx(0.9 * score.short + 0.1 * score.over)
    assert constant.raw_coverage == 0.0
    assert champion.pinball <= 1.1 * min(moving.pinball, constant.pinball)


def test_masked_steps_are_not_scored() -> None:
    spoilt = SERIES.copy()
    masked = np.zeros(len(SERIES), bool)
    masked[2500:2520] = True
    spoilt[2500:2520] = 1e6
    predictors = {"constant": Constant(50.0)}

    with_mask = EvaluationOptions(level=0.9, warm_steps=600, masked=masked)
    scores = [evaluate(predictors, spoilt, options, seconds)[0] for options in (with_mask, EvaluationOptions(0.9))]

    assert scores[0].short < 0.2 < scores[1].short


def test_the_time_of_day_is_that_of_the_step_that_is_predicted() -> None:
    constant = Constant(50.0)
    bounds_of("constant", constant, SERIES, EvaluationOptions(warm_steps=0, first_step=7), seconds)

    assert constant.asked_at[0] == 7 + int(0.62 * len(SERIES))
    assert constant.asked_at[-1] == 7 + len(SERIES) - 10


@dataclass
class Many:
    """Answers in batches with the last rate of each history."""

    name: str = "many"
    history_steps: int = 5

    def predict_many(self, histories: np.ndarray, first_steps: np.ndarray) -> np.ndarray:
        assert histories.shape[1] == self.history_steps
        rates: np.ndarray = np.broadcast_to(
            histories[:, -1, np.newaxis, np.newaxis, np.newaxis], (len(histories), 2, len(LEVELS), HORIZON_STEPS)
        )
        return rates

    def predict(self, history: np.ndarray, first_step: int) -> None:
        raise AssertionError("it is asked in batches")


def test_a_predictor_that_can_is_asked_in_batches() -> None:
    options = EvaluationOptions(warm_steps=0)
    bounds = bounds_of("many", Many(), SERIES, options, seconds)  # type: ignore[arg-type]

    first = int(0.62 * len(SERIES))
    assert bounds.raw.tolist() == SERIES[first - 1 : -10].tolist()
    assert score_of(bounds, SERIES, options).coverage > 0.8


@pytest.mark.parametrize("series", [SERIES[:5], np.full(100, np.nan)])
def test_a_series_with_nothing_to_score_is_refused(series: np.ndarray) -> None:
    with pytest.raises(ForecastError):
        evaluate({"constant": Constant(1.0)}, series, EvaluationOptions(), seconds)


def test_a_predictor_that_needs_more_than_there_is_is_refused() -> None:
    late = Constant(1.0, history_steps=SHORT_DAY.day_steps * 30)
    with pytest.raises(ForecastError, match="late needs 2160 steps before the first of 2880"):
        evaluate({"late": late}, SERIES, EvaluationOptions(), seconds)
