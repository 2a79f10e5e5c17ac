"""Calibration keeps the asked coverage, whatever the bounds that it is given."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from mark.forecast.calibration import Calibrator


def served(truth: npt.NDArray[np.float64], raw: npt.NDArray[np.float64], level: float) -> npt.NDArray[np.float64]:
    """The corrected running-maximum bounds of a horizon of ten steps, one for each first step."""
    calibrator = Calibrator(level, np.array([9]), window=1000)
    bounds = np.empty_like(raw)
    for step in range(len(raw)):
        calibrator.observe(step - 1, truth[max(0, step - 10) : step])
        bounds[step] = calibrator.correct(step, np.full((2, 1), raw[step]))[1, 0]
    return bounds


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_coverage_returns_after_the_load_has_shifted(level: float) -> None:
    random = np.random.default_rng(1)
    truth = 100 * random.lognormal(0.0, 0.2, 6000)
    truth[3000:] *= 3  # the predictor goes on as if nothing had changed
    raw = np.full(5990, 100.0)
    highest = np.lib.stride_tricks.sliding_window_view(truth, 10).max(axis=1)[:5990]

    held = highest <= served(truth, raw, level)

    assert np.mean(held[1000:2900]) == pytest.approx(level, abs=0.03)
    assert np.mean(held[4200:]) == pytest.approx(level, abs=0.05)  # a tenth of them are independent


def test_nothing_is_learnt_of_a_horizon_before_it_has_passed() -> None:
    calibrator = Calibrator(0.5, np.array([0, 9]), scores_min=1)
    truth = np.full(30, 200.0)
    for step in range(5):
        calibrator.observe(step - 1, truth[:step])
        calibrator.correct(step, np.full((2, 2), 100.0))

    assert calibrator.factors[:, 0] == pytest.approx([2.0, 2.0])
    assert calibrator.factors[:, 1].tolist() == [1.0, 1.0]


def test_each_horizon_is_compared_with_what_it_bounds() -> None:
    calibrator = Calibrator(0.5, np.arange(3), scores_min=1)
    truth = np.array([5.0, 9.0, 1.0])
    calibrator.correct(0, np.array([[5.0, 6.0, 7.0], [5.0, 6.0, 7.0]]))

    decided = [calibrator.observe(step, truth[: step + 1]) for step in range(3)]

    assert decided[0][:, 0].tolist() == [[5.0, 5.0], [5.0, 5.0]]
    assert decided[1][:, 1].tolist() == [[9.0, 6.0], [9.0, 6.0]]
    assert decided[2][:, 2].tolist() == [[1.0, 7.0], [9.0, 7.0]]  # the step alone, and the highest of all three
    assert np.isnan(decided[2][:, :2, 1]).all()


def test_silence_that_was_forecast_asks_for_no_correction() -> None:
    calibrator = Calibrator(0.95, np.array([0]), scores_min=10)
    for step in range(100):
        calibrator.observe(step - 1, np.zeros(step))
        bounds = calibrator.correct(step, np.zeros((2, 1)))

    assert bounds.tolist() == [[0.0], [0.0]]
    assert calibrator.factors == pytest.approx(np.ones((2, 1)))


def test_skipped_steps_score_nothing() -> None:
    calibrator = Calibrator(0.5, np.array([0]), scores_min=1)
    calibrator.correct(0, np.full((2, 1), 100.0))

    assert np.isnan(calibrator.observe(5, np.full(6, 300.0))).all()
    assert calibrator.factors.tolist() == [[1.0], [1.0]]
