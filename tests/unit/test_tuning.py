"""Batching knobs that change while a model serves: what is taken, what is refused, and why."""

from __future__ import annotations

from typing import Any

import pytest

from mark.app.tuning import BatchingTuner
from mark.config import ModelConfig
from mark.errors import InvalidRequest

TENSOR = {"name": "x", "datatype": "FP32", "shape": [-1, 4]}
MODEL = ModelConfig.model_validate(
    {
        "name": "m",
        "runtime": "python",
        "source": "a:b",
        "inputs": [TENSOR],
        "outputs": [TENSOR],
        "slo": {"rt_max_ms": 100},
        "batching": {"rows_max": 8, "margin_ms": 2},
    }
)


class Dispatch:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def retune(self, params: Any) -> None:
        self.told.append(params)


@pytest.fixture
def dispatch() -> Dispatch:
    return Dispatch()


@pytest.fixture
def tuner(dispatch: Dispatch) -> BatchingTuner:
    return BatchingTuner(MODEL, dispatch)  # type: ignore[arg-type]


def test_it_shows_every_knob_as_yaml(tuner: BatchingTuner) -> None:
    shown = tuner.settings()

    assert shown["margin_ms"] == "2.0"
    assert shown["admission"] == "true"
    assert shown["policy"] == "adaptive"
    assert shown["priority_default"] == "null"
    assert set(shown) == set(type(MODEL.batching).model_fields)


def test_what_is_set_is_told_and_shown(tuner: BatchingTuner, dispatch: Dispatch) -> None:
    tuner.change({"margin_ms": "3", "admission": "false", "policy": "fixed", "wait_ms": "7.5"})
    tuner.change({"queue_requests_max": "10"})

    assert len(dispatch.told) == 2
    shown = tuner.settings()
    assert (shown["margin_ms"], shown["admission"], shown["policy"]) == ("3.0", "false", "fixed")
    assert shown["queue_requests_max"] == "10"


def test_the_latency_of_functions_is_still_known_afterwards(
    dispatch: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr("mark.app.tuning.dispatcher_params", lambda slo, batching, burst_ns: told.append(burst_ns))
    serverless = {"price_usd_per_gb_s": 1e-5, "latency_ms": 40}
    model = ModelConfig.model_validate({**MODEL.model_dump(), "serverless": serverless})
    BatchingTuner(model, dispatch).change({"margin_ms": "3"})  # type: ignore[arg-type]

    assert told == [40_000_000]


def test_what_it_shows_can_be_set(tuner: BatchingTuner, dispatch: Dispatch) -> None:
    before = tuner.settings()

    tuner.change(before)

    assert tuner.settings() == before
    assert len(dispatch.told) == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"marginms": "3"}, ["batching.marginms", "margin_ms"]),
        ({"margin_ms": "fast"}, ["batching.margin_ms"]),
        ({"margin_ms": "-1"}, ["batching.margin_ms"]),
        ({"margin_ms": "[1"}, ["batching.margin_ms", "YAML"]),
        ({"margin_ms": "100"}, ["batching.margin_ms", "rt_max_ms"]),
        ({"queue_requests_max": "0"}, ["batching.queue_requests_max"]),
        ({"admission": "7"}, ["batching.admission"]),
        ({"policy": "eager"}, ["batching.policy", "adaptive"]),
        ({"priority_default": "3"}, ["batching.priority_default"]),
        ({"rows_max": "16"}, ["batching.rows_max", "restart"]),
        ({"priority_levels": "3"}, ["batching.priority_levels", "restart"]),
        ({"batches_in_flight_max": "2"}, ["batching.batches_in_flight_max", "restart"]),
        ({"queue_requests_max": "5", "rows_max": "16"}, ["batching.rows_max"]),
    ],
)
def test_what_is_wrong_is_named_and_changes_nothing(
    tuner: BatchingTuner, dispatch: Dispatch, settings: dict[str, str], words: list[str]
) -> None:
    before = tuner.settings()

    with pytest.raises(InvalidRequest) as refused:
        tuner.change(settings)

    assert all(word in str(refused.value) for word in words), str(refused.value)
    assert dispatch.told == []
    assert tuner.settings() == before
