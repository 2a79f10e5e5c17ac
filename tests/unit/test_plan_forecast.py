"""The load that `mark plan` is asked about: what of a file counts in which step, and what is refused."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from mark.cli.plan_forecast import flat_forecast, read_forecast
from mark.cloud.catalog import scenario
from mark.domain.forecast import Forecast
from mark.domain.scenario import Scenario
from mark.errors import ConfigError


def horizon(steps: int = 60, step_s: float = 60.0) -> Scenario:
    return replace(scenario("paper/nasnet"), step_s=step_s, horizon_steps=steps)


def csv_file(folder: Path, *lines: str) -> Path:
    path = folder / "load.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        read_forecast(path, horizon())
    return str(raised.value)


def test_a_rate_is_flat_over_the_horizon() -> None:
    assert flat_forecast(5.0, horizon(3, step_s=10.0)) == Forecast(10.0, (5.0, 5.0, 5.0), "--rate")


@pytest.mark.parametrize("rate", [-1.0, float("nan"), float("inf"), 1e12])
def test_a_rate_that_makes_no_sense_is_refused(rate: float) -> None:
    with pytest.raises(ConfigError, match=f"^--rate must be from 0 to 1000000000, not {rate}$".replace("+", r"\+")):
        flat_forecast(rate, horizon())


def test_rates_by_step_are_taken_as_they_are(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "step,rate", "0,1.5", "", "1,0", "2,7")

    assert read_forecast(path, horizon(3)) == (Forecast(60.0, (1.5, 0.0, 7.0), str(path)), ())


@pytest.mark.parametrize(
    ("step_s", "rates"),
    [
        (10, (30.0, 0.5, 1.0)),  # the highest of the bins of a step; the last step has but one bin
        (5, (1.0, 30.0, 0.5, 0.5, 1.0)),
        (2.5, (1.0, 1.0, 30.0, 30.0, 0.5, 0.5, 0.5, 0.5, 1.0, 1.0)),
        (7.5, (30.0, 30.0, 1.0, 1.0)),  # a bin that lies in two steps counts in both
        (60, (30.0,)),
    ],
)
def test_a_step_has_the_highest_rate_of_its_bins(tmp_path: Path, step_s: float, rates: tuple[float, ...]) -> None:
    path = csv_file(tmp_path, "second,requests", "0,5", "5,150", "10,2.5", "15,2.5", "20,5")

    assert read_forecast(path, horizon(step_s=step_s))[0].rates_per_s == rates


def test_steps_that_no_binary_number_is_meet_their_bins_all_the_same(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "second,requests", *(f"{second},{second}" for second in range(30)))

    forecast, _ = read_forecast(path, horizon(300, step_s=0.1))

    assert forecast.rates_per_s == tuple(float(step // 10) for step in range(300))


def test_minutes_and_packed_files_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "load.csv.gz"
    path.write_bytes(gzip.compress(b"minute,requests\n0,60\n1,120\n"))

    assert read_forecast(path, horizon())[0].rates_per_s == (1.0, 2.0)


@pytest.mark.parametrize("header", ["step,rate", "minute,requests"])
def test_of_a_longer_file_the_horizon_is_planned_with_a_note(tmp_path: Path, header: str) -> None:
    path = csv_file(tmp_path, header, *(f"{step},60" for step in range(5)))

    forecast, notes = read_forecast(path, horizon(3))

    assert len(forecast.rates_per_s) == 3
    assert notes == (f"the first 3 of 5 steps of {path} are planned; --horizon-steps takes more",)


def test_a_shorter_file_ends_the_plan_with_a_note(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "step,rate", "0,1", "1,1")

    forecast, notes = read_forecast(path, horizon())

    assert len(forecast.rates_per_s) == 2
    assert notes == (f"{path} ends after 2 of 60 steps, and so does the plan",)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("time,rate", "0,1"), ":1: the header must be one of step,rate, second,requests, minute,requests, not 'time,"),
        (("",), ":1: the header must be one of"),
        (("step,rate",), ": has no steps"),
        (("step,rate", "0,1", "2,1"), ":3: steps must count up from 0: step 1 is due, not 2"),
        (("step,rate", "1,1"), ":2: steps must count up from 0: step 0 is due, not 1"),
        (("step,rate", "0,-1"), ":2: a rate may not be negative or without end: '0,-1'"),
        (("step,rate", "0,nan"), ":2: a rate may not be negative or without end: '0,nan'"),
        (("step,rate", "0,inf"), ":2: a rate may not be negative or without end: '0,inf'"),
        (("step,rate", "0,many"), ":2: must be a step and a rate, not '0,many'"),
        (("step,rate", "0,1,2"), ":2: must be a step and a rate, not '0,1,2'"),
        (("step,rate", "0,1e12"), ": 1e+12 requests per second are beyond 1,000,000,000"),
        (("second,requests", "0,-1"), ":2: neither may be negative"),
    ],
)
def test_a_forecast_that_makes_no_sense_is_refused(tmp_path: Path, lines: tuple[str, ...], words: str) -> None:
    path = csv_file(tmp_path, *lines)

    assert refusal(path).startswith(f"{path}{words}")


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b"step,rate\n\xff"])
def test_a_forecast_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "load.csv"
    if content is not None:
        path.write_bytes(content)

    assert refusal(path).startswith(f"{path}: cannot be read: ")
