"""Predictors that are fitted: smoothing, linear quantiles, the LSTM and its file."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from unit.forecast_series import SHORT_DAY, daily

import mark.forecast.linear
from mark.errors import ForecastError
from mark.forecast.candidates import point_predictors, refit_steps, standard_fits
from mark.forecast.fan import LEVELS, QuantilePredictor
from mark.forecast.holt_winters import HoltWinters, Smoothing, fit_holt_winters
from mark.forecast.linear import LinearQuantiles, fit_linear
from mark.forecast.lstm import LstmPredictor, metadata_of
from mark.forecast.points import LastValue, MovingMaximumPoint, SeasonalNaive
from mark.forecast.torchscript import to_bytes
from mark.forecast.training import Progress, TrainingOptions, train_lstm

torch = pytest.importorskip("torch")

TINY = TrainingOptions(seed=3, epochs=2, patience=1, epoch_samples=256, hidden=4, members=2)
SERIES = daily(20)


@pytest.fixture(scope="module", autouse=True)
def few_horizons_are_fitted() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mark.forecast.linear, "_KNOTS", (1, 10, 60))
        yield


@pytest.fixture(scope="module")
def lstm() -> LstmPredictor:
    torch.set_num_threads(1)
    return train_lstm(SERIES, calendar=SHORT_DAY, options=TINY)


@pytest.fixture(scope="module")
def linear() -> LinearQuantiles:
    return fit_linear(SERIES, calendar=SHORT_DAY)


def test_points_look_back_as_they_say() -> None:
    history = np.arange(200.0)
    assert LastValue().predict(history, 0).per_step[0, :2].tolist() == [199.0, 199.0]
    assert MovingMaximumPoint(3).predict(history[::-1], 0).per_step[0, 0] == 2.0
    assert SeasonalNaive(SHORT_DAY).predict(history, 0).per_step[0, :2].tolist() == [128.0, 129.0]
    with pytest.raises(ForecastError, match="72 are needed"):
        SeasonalNaive(SHORT_DAY).predict(history[:71], 0)


def test_holt_winters_follows_a_season_exactly_when_there_is_no_noise() -> None:
    wave = 10 + np.sin(2 * np.pi * np.arange(400) / 72)
    smoothing = HoltWinters(Smoothing(0.3, 0.0, 0.3), SHORT_DAY)

    fan = smoothing.predict(wave[:300], 300)

    assert fan.per_step[0] == pytest.approx(wave[300:360], abs=0.05)


def test_holt_winters_moves_on_as_if_it_had_seen_everything_at_once() -> None:
    series = daily(6)
    one = HoltWinters(Smoothing(0.3, 0.01, 0.3), SHORT_DAY)
    steps = [one.predict(series[:until], until).per_step[0] for until in range(300, 310)]
    begun = HoltWinters(Smoothing(0.3, 0.01, 0.3), SHORT_DAY)
    begun.predict(series[:300], 300)

    assert begun.predict(series[:309], 309).per_step[0].tolist() == steps[-1].tolist()


def test_holt_winters_is_fitted_to_how_fast_the_load_moves() -> None:
    steady = daily(10, seed=1)
    wandering = 1000 + np.cumsum(np.random.default_rng(1).normal(size=720))

    assert _level_of(fit_holt_winters(steady, SHORT_DAY)) < _level_of(fit_holt_winters(wandering, SHORT_DAY))


def _level_of(fitted: HoltWinters) -> float:
    return fitted.smoothing.level


def coverage(predictor: LinearQuantiles | LstmPredictor, series: npt.NDArray[np.float64], level: float) -> float:
    origins = np.arange(SHORT_DAY.day_steps * 10, len(series) - 10)
    row = LEVELS.index(level)
    histories = np.stack([series[origin - predictor.history_steps : origin] for origin in origins])
    bounds = predictor.predict_many(histories, origins)[:, 1, row, 9]
    highest = np.array([series[origin : origin + 10].max() for origin in origins])
    return float(np.mean(highest <= bounds))


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
def test_linear_quantiles_hold_as_often_as_asked_on_a_series_not_seen(linear: LinearQuantiles, level: float) -> None:
    assert coverage(linear, daily(25, seed=9), level) == pytest.approx(level, abs=0.07)


def test_the_lstm_holds_as_often_as_asked_on_a_series_not_seen(lstm: LstmPredictor) -> None:
    assert coverage(lstm, daily(25, seed=9), 0.9) == pytest.approx(0.9, abs=0.07)


def test_forecasts_scale_with_the_load(lstm: LstmPredictor, linear: LinearQuantiles) -> None:
    for predictor in (lstm, linear):
        small = predictor.predict(SERIES, len(SERIES))
        large = predictor.predict(1000 * SERIES, len(SERIES))
        assert large.running_max == pytest.approx(1000 * small.running_max, rel=1e-3)


def test_many_histories_at_once_give_what_each_gives_alone(lstm: LstmPredictor) -> None:
    histories = np.stack([SERIES[at : at + lstm.history_steps] for at in range(5)])
    together = lstm.predict_many(histories, lstm.history_steps + np.arange(5))
    alone = lstm.predict(histories[3], lstm.history_steps + 3)

    assert together[3, 0] == pytest.approx(alone.per_step, rel=1e-4)
    assert together[3, 1] == pytest.approx(alone.running_max, rel=1e-4)


def test_the_same_seed_gives_the_same_network(lstm: LstmPredictor) -> None:
    again = train_lstm(SERIES, calendar=SHORT_DAY, options=TINY)
    assert again.predict(SERIES, 0).per_step.tolist() == lstm.predict(SERIES, 0).per_step.tolist()


def test_training_tells_how_far_it_is_and_can_be_ended() -> None:
    class Enough(Exception):
        pass

    seen: list[Progress] = []

    def stop(progress: Progress) -> None:
        seen.append(progress)
        raise Enough

    with pytest.raises(Enough):
        train_lstm(SERIES, calendar=SHORT_DAY, options=TINY, progress=stop)
    assert (seen[0].epoch, seen[0].epochs) == (1, 2)
    assert seen[0].loss is not None


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_a_series_that_never_changes_is_forecast_to_stay(lstm: LstmPredictor, value: float) -> None:
    flat = np.full(len(SERIES), value)
    trained = fit_linear(flat, calendar=SHORT_DAY)
    for bound in (trained.predict(flat, 0).running_max, lstm.predict(flat, 0).running_max):
        assert np.all(np.isfinite(bound))
        assert bound.max() <= 3 * value + 1e-3
    assert trained.predict(flat, 0).running_max == pytest.approx(np.full((7, 60), value), rel=0.02, abs=1e-3)


@pytest.mark.parametrize("fit", [fit_linear, train_lstm])
def test_too_short_a_series_is_refused(fit: Callable[..., QuantilePredictor]) -> None:
    with pytest.raises(ForecastError, match="the series has 720 steps, and 1384 are needed"):
        fit(daily(10), calendar=SHORT_DAY)


def test_a_history_that_is_too_short_or_spoilt_is_refused(lstm: LstmPredictor) -> None:
    spoilt = SERIES.copy()
    spoilt[-5] = np.nan
    for history, words in [(SERIES[:100], "needed"), (spoilt, "nan")]:
        with pytest.raises(ForecastError, match=words):
            lstm.predict(history, 0)


def test_a_file_gives_back_the_same_network(lstm: LstmPredictor, tmp_path: Path) -> None:
    path = tmp_path / "load.pt"
    lstm.save(path)

    loaded = LstmPredictor.load(path)

    assert loaded.predict(SERIES, 5).per_step.tolist() == lstm.predict(SERIES, 5).per_step.tolist()
    assert (loaded.calendar, loaded.trained["seed"]) == (SHORT_DAY, 3)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_used_is_refused_by_name(lstm: LstmPredictor, tmp_path: Path) -> None:
    path = tmp_path / "load.pt"
    lstm.save(path)
    whole = path.read_bytes()
    pickled = io.BytesIO()
    torch.save({"weights": [1.0]}, pickled)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("hello.txt", "hello")
    for bad in (whole[: len(whole) // 2], b"", b"not a model", pickled.getvalue(), archive.getvalue()):
        path.write_bytes(bad)
        with pytest.raises(ForecastError, match=r"load\.pt is truncated, or no TorchScript file"):
            LstmPredictor.load(path)
    with pytest.raises(ForecastError, match="cannot read"):
        LstmPredictor.load(tmp_path / "missing.pt")
    with pytest.raises(ForecastError, match="cannot write"):
        lstm.save(tmp_path / "missing" / "load.pt")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 99}, "is of version 99, and this mark reads version 1"),
        ({"format": "another"}, "not one of a forecaster"),
        ({"levels": [0.5]}, "other levels"),
        ({"horizon_steps": 3}, "another horizon"),
        ({"hour_steps": None}, "does not say how many steps"),
    ],
)
def test_a_file_of_another_kind_is_refused(change: dict[str, object], words: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        packed = to_bytes(torch.nn.Linear(1, 1), metadata_of(SHORT_DAY, {}) | change)
        with pytest.raises(ForecastError, match=words):
            LstmPredictor(packed)


def test_what_competes_is_fitted_under_the_name_that_it_has() -> None:
    fits = standard_fits(SHORT_DAY, TINY)

    assert [fit(SERIES, 0).name for fit in fits.values()] == list(fits) == list(refit_steps(SHORT_DAY))
    assert "lstm" not in standard_fits(SHORT_DAY)
    names = [predictor.name for predictor in point_predictors(SHORT_DAY)]
    assert names == ["moving maximum", "last value", "seasonal naive"]


@pytest.mark.parametrize("options", [{"held_out": 1.0}, {"epochs": 0}, {"pace": 0.0}])
def test_nonsense_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ForecastError):
        TrainingOptions(**options)  # type: ignore[arg-type]
