"""The forecaster that a configuration asks for, the level that prices ask for, and the number of a step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.forecast_series import daily

from mark.app.forecasters import ForecastWork, StepCounter, forecaster_of, level_of, planned_with
from mark.config import ControllerConfig
from mark.domain.offering import Market, Offering, Serverless
from mark.errors import ConfigError
from mark.forecast.background import InlineBackground
from mark.forecast.baselines import MovingMaximum
from mark.forecast.champion import Champion
from mark.forecast.lstm import LstmPredictor
from mark.forecast.series import Calendar
from mark.forecast.training import TrainingOptions, train_lstm
from mark.testing import ManualClock

STEP_S = 1200.0  # three steps an hour, so that days are short
DAY_STEPS = 72


def settings(step_s: float = STEP_S, headroom: float = 1.2, **forecast: Any) -> ControllerConfig:
    return ControllerConfig.model_validate(
        {"step_s": step_s, "window_s": step_s, "headroom": headroom, "forecast": forecast}
    )


def work(step_now: Callable[[], int] = lambda: 0) -> ForecastWork:
    return ForecastWork(step_now, InlineBackground(), InlineBackground())


def champion(config: ControllerConfig, level: float = 0.9, step_now: Callable[[], int] = lambda: 0) -> Champion:
    made = forecaster_of(config, level, work(step_now))
    assert isinstance(made, Champion)
    return made


def names(made: Champion) -> list[str]:
    return [standing.name for standing in made.standings()]


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "load.forecast"
    options = TrainingOptions(epochs=1, epoch_samples=64, batch=32, hidden=4, members=1)
    train_lstm(daily(24), 0, Calendar(3, DAY_STEPS), options).save(path)
    return path


class TestForecasterOf:
    def test_auto_begins_with_the_moving_maximum_and_the_headroom(self) -> None:
        made = champion(settings(headroom=1.5))

        assert names(made) == ["moving maximum", "last value", "seasonal naive"]
        assert made.forecast(np.array([10.0, 20.0]), STEP_S, 3).rates_per_s == pytest.approx((30.0,) * 3)

    def test_auto_fits_the_others_when_there_is_history_enough(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # As without torch: training takes a minute.
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        steps, load = [0], daily(20)
        made = champion(settings(), step_now=lambda: steps[0])
        for count in range(len(load) - 80, len(load)):
            steps[0] = count
            made.forecast(load[:count], STEP_S, 60)

        assert names(made)[3:] == ["Holt-Winters", "linear quantiles"]

    def test_an_lstm_that_is_asked_for_needs_torch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

        with pytest.raises(ConfigError, match="pip install"):
            champion(settings(champion="lstm"))

    def test_a_moving_maximum_is_that_and_no_more(self) -> None:
        made = forecaster_of(settings(headroom=1.5, champion="moving maximum"), 0.9, work())

        assert made == MovingMaximum(window_steps=10, headroom=1.5)

    def test_one_that_is_named_serves_as_soon_as_it_can(self) -> None:
        made, load = champion(settings(champion="seasonal naive")), daily(2)

        assert names(made) == ["moving maximum", "seasonal naive"]
        early = made.forecast(load[: DAY_STEPS - 1], STEP_S, 1)
        assert early.forecaster == "moving maximum at 90 % until seasonal naive has enough history"
        assert made.forecast(load[:DAY_STEPS], STEP_S, 1).forecaster == "seasonal naive at 90 %"

    def test_a_model_file_competes_from_the_beginning(self, model_file: Path) -> None:
        assert "lstm" in names(champion(settings(model=str(model_file))))

    def test_without_refits_nothing_is_fitted(self) -> None:
        made = champion(settings(refit=False))
        made.forecast(daily(10), STEP_S, 1)

        assert made.last_refit is None

    def test_the_level_of_the_settings_goes_before_that_of_the_prices(self) -> None:
        made = champion(settings(level=0.75), level=0.9)

        assert made.forecast(np.array([1.0]), STEP_S, 1).forecaster == "moving maximum at 75 %"

    def test_without_a_calendar_only_what_knows_no_time_of_day_competes(self) -> None:
        assert names(champion(settings(step_s=7.0))) == ["moving maximum", "last value"]

    @pytest.mark.parametrize("name", ["seasonal naive", "lstm", "linear", "holt-winters"])
    def test_with_a_step_that_does_not_divide_an_hour_a_season_is_refused(self, name: str) -> None:
        with pytest.raises(ConfigError, match=f"{name} needs controller.step_s to divide an hour"):
            champion(settings(step_s=7.0, champion=name))

    def test_a_model_of_another_step_is_refused(self, model_file: Path) -> None:
        with pytest.raises(ConfigError, match=r"was trained for steps of 1200 s, but controller\.step_s is 60"):
            champion(settings(step_s=60.0, model=str(model_file)))

    def test_a_model_file_that_is_none_is_refused_and_named(self, tmp_path: Path) -> None:
        (tmp_path / "x").write_bytes(b"no model")
        with pytest.raises(ConfigError, match=r"controller\.forecast\.model: .*x"):
            champion(settings(model=str(tmp_path / "x")))


class TestConfig:
    @pytest.mark.parametrize(
        ("forecast", "words"),
        [
            ({"champion": "linear", "model": "x"}, "which champion 'linear' never asks"),
            ({"champion": "moving maximum", "level": 0.5}, "knows no level"),
            ({"champion": "lstm", "refit": False}, "needs a model file, or refit: true"),
            ({"champion": "best"}, "champion"),
            ({"level": 1.0}, "level"),
        ],
    )
    def test_what_contradicts_itself_is_refused(self, forecast: dict[str, Any], words: str) -> None:
        with pytest.raises(ValueError, match=words):
            settings(**forecast)


class TestLevel:
    SMALL = Offering("small", Market.ON_DEMAND, 0.36, 0.0, 1)

    def test_with_functions_it_is_the_newsvendors_ratio(self) -> None:
        # An instance at full load: 0.0001 dollars a second for 10 rows.
        functions = Serverless("functions", 40.0, 100.0, 10)

        assert level_of([self.SMALL], {"small": 10.0}, functions, 0.98) == pytest.approx(0.75)

    def test_the_cheapest_instance_counts_and_one_that_cannot_serve_does_not(self) -> None:
        fast = Offering("fast", Market.ON_DEMAND, 0.72, 0.0, 1)
        useless = Offering("useless", Market.ON_DEMAND, 0.01, 0.0, 1)
        functions = Serverless("functions", 40.0, 100.0, 10)
        rates = {"small": 10.0, "fast": 40.0, "useless": 0.0}

        assert level_of([self.SMALL, fast, useless], rates, functions, 0.98) == pytest.approx(0.875)

    @pytest.mark.parametrize(("sl_min", "level"), [(0.98, 0.9), (0.99, 0.95), (0.9999, 0.99), (0.5, 0.5)])
    def test_without_functions_it_is_what_the_promise_leaves(self, sl_min: float, level: float) -> None:
        assert level_of([self.SMALL], {"small": 10.0}, None, sl_min) == pytest.approx(level)

    def test_a_standby_is_not_planned_with(self) -> None:
        standby = Offering("standby", Market.BURSTABLE, 0.01, 0.0, 1)

        assert planned_with([self.SMALL, standby], {"standby"}) == [self.SMALL]

    def test_free_instances_say_nothing(self) -> None:
        free = Offering("free", Market.ON_DEMAND, 0.0, 0.0, 1)

        assert level_of([free], {"free": 10.0}, Serverless("f", 40.0, 100.0, 10), 0.98) == pytest.approx(0.9)


class TestStepCounter:
    def test_it_counts_from_the_wall_clocks_step_on(self) -> None:
        clock = ManualClock()
        clock.advance_s(1000.0)
        counter = StepCounter(clock, 60.0, wall_s=lambda: 600.0 + 59.0)

        assert counter() == 10
        clock.advance_s(60.0)
        assert counter() == 11

    @pytest.mark.parametrize("late_s", [-0.2, 0.0, 25.0])
    def test_a_tick_that_is_early_or_late_is_itself(self, late_s: float) -> None:
        clock = ManualClock()
        counter = StepCounter(clock, 60.0, wall_s=lambda: 0.0)
        counter()
        clock.advance_s(120.0 + late_s)

        assert counter() == 2


def test_an_lstm_travels_between_processes(model_file: Path) -> None:
    import pickle

    made = LstmPredictor.load(model_file)
    copied = pickle.loads(pickle.dumps(made))
    history = daily(5)

    assert np.array_equal(copied.predict(history, 0).per_step, made.predict(history, 0).per_step)
