"""A look at a model, as it crosses wires: JSON and back."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from mark.domain.forecast import Forecast
from mark.domain.sample import ModelSample

SAMPLE = ModelSample(
    unix_s=1_700_000_000.5,
    model="digits",
    load_per_s=120.0,
    requests_per_s={"answered": 117.0, "late": 3.0},
    forecast=Forecast(1.0, (150.0, 160.0), "linear", (0.5, 0.9), ((120.0, 125.0), (140.0, 150.0))),
    forecast_unix_s=1_700_000_000.0,
    foreseen_per_s={"bound": 140.0, "0.5": 115.0, "0.9": 130.0},
    capacity_planned_per_s=200.0,
    capacity_ready_per_s=180.0,
    instances={"spot": {"ready": 3, "pending": 1}, "on_demand": {"ready": 1}},
    latency_ms={"p50": 40.0, "p98": 120.0, "p99": 180.0},
    rt_max_ms=300.0,
    sl_min=0.98,
    attainment={60: 0.99, 3600: 1.0},
    burn_rate={60: 0.5, 3600: 0.0},
    error_budget_left=0.75,
    queued=2,
    in_flight=5,
    usd_per_hour={"spot": 0.136, "on_demand": 0.085},
    usd_total=0.0123,
    usd_peak_sized=0.04,
)


def test_it_comes_back_from_json_as_it_was() -> None:
    assert ModelSample.from_dict(json.loads(json.dumps(SAMPLE.as_dict(), allow_nan=False))) == SAMPLE


def test_before_the_first_plan_and_without_peak_it_does_too() -> None:
    early = replace(SAMPLE, forecast=None, forecast_unix_s=0.0, latency_ms={}, usd_peak_sized=None)

    assert ModelSample.from_dict(json.loads(json.dumps(early.as_dict(), allow_nan=False))) == early


def test_what_is_not_finite_is_null_in_json() -> None:
    broken = replace(SAMPLE, burn_rate={60: math.inf}, error_budget_left=-math.inf)
    data = json.loads(json.dumps(broken.as_dict(), allow_nan=False))

    assert data["burn_rate"] == {"60": None}
    assert data["error_budget_left"] is None
    assert ModelSample.from_dict(data) == broken


def test_what_a_later_version_adds_is_passed_over() -> None:
    assert ModelSample.from_dict({**SAMPLE.as_dict(), "moon": "full"}) == SAMPLE


@pytest.mark.parametrize("name", list(SAMPLE.as_dict()))
def test_a_missing_field_is_named(name: str) -> None:
    data = SAMPLE.as_dict()
    del data[name]

    with pytest.raises(ValueError, match=f"{name} is missing"):
        ModelSample.from_dict(data)


@pytest.mark.parametrize("wrong", [{"forecast": 3}, {"forecast": {}}, {"attainment": [1]}, {"burn_rate": {"x": 1.0}}])
def test_nonsense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no sample of a model"):
        ModelSample.from_dict({**SAMPLE.as_dict(), **wrong})


def test_the_step_that_runs_now_is_reckoned_from_when_the_plan_was_made() -> None:
    assert SAMPLE.step_now == 0
    assert replace(SAMPLE, unix_s=SAMPLE.forecast_unix_s + 3.9).step_now == 3
    assert replace(SAMPLE, unix_s=SAMPLE.forecast_unix_s - 1.0).step_now == 0
    assert replace(SAMPLE, forecast=None).step_now == 0
