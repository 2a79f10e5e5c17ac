"""`mark forecast`: train, evaluate and show, on a trace that is made up."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mark.app import forecasting
from mark.cli.commands import app
from mark.errors import ConfigError, ForecastError, MarkError
from mark.forecast.evaluation import EvaluationOptions
from mark.forecast.lstm import LstmPredictor
from mark.forecast.series import Calendar
from mark.forecast.training import TrainingOptions

DAYS = 8
FAST = "last value,moving maximum,seasonal naive"


@pytest.fixture(name="trace", scope="module")
def _trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    minutes = np.arange(DAYS * 1440)
    mean = 600 + 300 * np.sin(minutes / 1440 * 2 * np.pi)
    counts = np.random.default_rng(3).poisson(mean)
    path = tmp_path_factory.mktemp("forecast") / "waves.csv"
    lines = [f"{minute},{count}" for minute, count in enumerate(counts)]
    path.write_text("\n".join(["minute,requests", *lines]), encoding="utf-8")
    return path


def run(*arguments: str | int | Path) -> str:
    done = CliRunner().invoke(app, ["forecast", *map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def test_json_has_the_promised_keys(trace: Path) -> None:
    found = json.loads(run("evaluate", trace, "--models", FAST, "--json"))

    assert found["champion"] in FAST.split(",")
    assert set(found["models"]) == {*FAST.split(","), "champion"}
    for figures in found["models"].values():
        assert set(figures) >= {"coverage", "pinball", "over", "short", "fit_s", "predict_ms"}
        assert 0.9 < figures["coverage"] < 0.99
    best = found["models"][found["champion"]]["pinball"]
    assert best == min(found["models"][name]["pinball"] for name in FAST.split(","))


def test_people_get_a_table_and_a_page(trace: Path, tmp_path: Path) -> None:
    page = tmp_path / "models.html"
    shown = run("evaluate", trace, "--models", FAST, "--html", page)

    assert "coverage" in shown
    text = page.read_text(encoding="utf-8")
    assert "<svg" in text
    assert "seasonal naive" in text


def test_masked_minutes_are_not_scored(trace: Path) -> None:
    known = forecasting.recorded(trace)
    everything = EvaluationOptions()
    nights = EvaluationOptions(masked=np.arange(len(known.maxima_per_s)) % 1440 >= 720)
    scores = [
        forecasting.evaluate_models(known, ["last value"], options, TrainingOptions()).scores["last value"]
        for options in (everything, nights)
    ]
    assert scores[0] != scores[1]
    both = [
        run("evaluate", trace, "--models", "last value", "--json", *more)
        for more in ([], ["--masked-minutes", "720-1439"])
    ]
    assert both[0] != both[1]


def test_a_fan_is_drawn_with_what_came(trace: Path, tmp_path: Path) -> None:
    page = tmp_path / "fan.html"
    run("show", trace, "--at", 100, "--model", "seasonal naive", "-o", page)

    assert "what came" in page.read_text(encoding="utf-8")


def test_a_trained_model_is_a_file_that_can_be_shown(trace: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", exc_type=ImportError)
    known = forecasting.recorded(trace)
    options = TrainingOptions(epochs=1, epoch_samples=256, members=1, hidden=8)
    passes: list[int] = []
    predictor = forecasting.train(known, options, lambda progress: passes.append(progress.epoch))
    predictor.save(tmp_path / "load.forecast")
    run("show", trace, "--at", 150, "--file", tmp_path / "load.forecast", "-o", tmp_path / "fan.html")

    assert passes
    assert "lstm" in (tmp_path / "fan.html").read_text(encoding="utf-8")


def test_a_model_is_trained_for_the_steps_of_who_is_to_use_it(
    trace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", exc_type=ImportError)
    small = TrainingOptions(epochs=1, epoch_samples=64, members=1, hidden=4)
    train = forecasting.train
    monkeypatch.setattr(forecasting, "train", lambda known, options, on_progress: train(known, small, on_progress))
    run("train", trace, "-o", tmp_path / "load.forecast", "--step-s", 300)

    assert LstmPredictor.load(tmp_path / "load.forecast").calendar == Calendar.of_steps(300.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "-o", "model", "--step-s", "0"), "--step-s"),
        (("train", "-o", "model", "--step-s", "30"), "bins of 60 s say nothing of steps of 30 s"),
        (("evaluate", "--models", "lstn"), "did you mean 'lstm'"),
        (("evaluate", "--models", ","), "names no model"),
        (("evaluate", "--level", "1.5"), "--level"),
        (("evaluate", "--minutes", "0"), "--minutes"),
        (("evaluate", "--masked-minutes", "10-5"), "--masked-minutes"),
        (("evaluate", "--masked-minutes", "0-1500"), "--masked-minutes"),
        (("evaluate", "--html", "/nowhere/page.html"), "--html"),
        (("show", "--at", "-1"), "--at"),
        (("show", "--at", "1e6"), "--at"),
        (("train", "-o", "/nowhere/model"), "--output"),
        (("train", "-o", "model", "--epochs", "0"), "--epochs"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(arguments: tuple[str, ...], words: str, trace: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        run(arguments[0], trace, *arguments[1:])


@pytest.mark.parametrize("rate", [0, 50])
def test_a_constant_series_is_forecast_as_constant(rate: int, tmp_path: Path) -> None:
    path = tmp_path / "flat.csv"
    path.write_text("\n".join(["minute,requests", *(f"{n},{rate}" for n in range(7000))]), encoding="utf-8")
    found = json.loads(run("evaluate", path, "--models", FAST, "--json"))

    assert all(figures["coverage"] == 1.0 for figures in found["models"].values())


@pytest.mark.parametrize(("lines", "models"), [(["0,5"], "last value"), ([f"{n},5" for n in range(3000)], "linear")])
def test_too_short_a_trace_is_told(lines: list[str], models: str, tmp_path: Path) -> None:
    path = tmp_path / "short.csv"
    path.write_text("\n".join(["minute,requests", *lines]), encoding="utf-8")
    with pytest.raises(ForecastError):
        run("evaluate", path, "--models", models)


def test_a_file_that_is_no_model_is_told(trace: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", exc_type=ImportError)
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"not a model")
    with pytest.raises(MarkError, match="garbage"):
        run("show", trace, "--at", 150, "--file", garbage, "-o", tmp_path / "fan.html")
