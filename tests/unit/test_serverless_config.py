"""The section for functions: what it becomes, and what could never work."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from mark.app.serverless import burst_limits, function_price, planned_serverless, serverless_of
from mark.config import ModelConfig, ServerlessConfig, parse_config
from mark.errors import ConfigError

MODEL = """\
offerings: [{{name: small, price_usd_per_hour: 0.1}}]
models:
  - name: m
    runtime: python
    source: m:make
    inputs: [{{name: x, datatype: FP32, shape: [-1]}}]
    outputs: [{{name: y, datatype: FP32, shape: [-1]}}]
    slo: {{rt_max_ms: 100}}
    batching: {{admission: {admission}}}
    serverless: {serverless}
"""
PRICED = "price_usd_per_gb_s: 0.01"


def model_of(serverless: str, admission: str = "true") -> ModelConfig:
    return parse_config(MODEL.format(serverless=serverless, admission=admission), name="mark.yaml").models[0]


def settings_of(serverless: str) -> ServerlessConfig:
    settings = model_of(serverless).serverless
    assert settings is not None
    return settings


def refusal(serverless: str, admission: str = "true") -> str:
    with pytest.raises(ConfigError) as raised:
        model_of(serverless, admission)
    return str(raised.value)


def test_without_the_section_there_is_no_serverless() -> None:
    text = MODEL.format(serverless="null", admission="true")

    assert serverless_of(parse_config(text).models[0]) is None


def test_a_request_costs_a_fee_and_its_memory_for_whole_milliseconds() -> None:
    settings = settings_of(f"{{{PRICED}, memory_gb: 2, price_usd_per_request: 0.5}}")
    price = function_price(settings)

    assert price.usd(1_000_000) == pytest.approx(0.5 + 0.001 * 0.02)
    assert price.usd(1_000_001) == pytest.approx(0.5 + 0.002 * 0.02)


def test_a_plan_knows_the_price_of_a_million_requests_of_that_latency() -> None:
    found = serverless_of(model_of(f"{{{PRICED}, latency_ms: 50, concurrency_max: 4}}"))

    assert found is not None
    assert found.usd_per_million_requests == pytest.approx(0.05 * 0.01 * 1e6)
    assert (found.latency_ms, found.concurrency_max) == (50.0, 4)


def test_a_plan_needs_the_latency_and_a_router_measures_it() -> None:
    model = model_of(f"{{{PRICED}}}")

    assert serverless_of(model) is None
    with pytest.raises(ConfigError, match=r"mark\.yaml: model 'm' has serverless without latency_ms"):
        planned_serverless("mark.yaml", model)


def test_limits_are_those_of_the_file_and_none_where_it_is_silent() -> None:
    settings = settings_of(f"{{{PRICED}}}")
    assert settings.budget_usd_per_hour is None
    assert settings.breaker.failures_max == 5
    burst_limits(settings)  # an infinite budget is one
    with pytest.raises(ConfigError, match="budget_usd_per_hour"):
        model_of(f"{{{PRICED}, budget_usd_per_hour: {math.inf}}}")


@pytest.mark.parametrize(
    ("serverless", "words"),
    [
        ("{}", "serverless.price_usd_per_gb_s: is required"),
        (f"{{{PRICED}, latency: 3}}", "unknown key; did you mean 'latency_ms'?"),
        (f"{{{PRICED}, keep_warm: 3, concurrency_max: 2}}", "serverless.keep_warm: 3 functions cannot be kept warm"),
        (f"{{{PRICED}, keep_warm: 1, idle_s: 60}}", "serverless.ping_s: 60 s is not less than idle_s, 60 s"),
        (f"{{{PRICED}, latency_ms: 100}}", "serverless.latency_ms: 100 ms is not less than slo.rt_max_ms, 100 ms"),
        (f"{{{PRICED}, latency_ms: 0}}", "serverless.latency_ms"),
        (f"{{{PRICED}, breaker: {{failures: 3}}}}", "did you mean 'failures_max'?"),
        (f"{{{PRICED}, concurrency_max: 0}}", "serverless.concurrency_max"),
    ],
)
def test_what_cannot_work_is_refused(serverless: str, words: str) -> None:
    assert words in refusal(serverless)


def test_functions_need_a_dispatcher_that_refuses_and_a_model_to_load() -> None:
    assert "serverless: takes what is refused" in refusal(f"{{{PRICED}}}", admission="false")
    text = MODEL.format(serverless=f"{{{PRICED}}}", admission="true")
    foreign = text.replace("    runtime: python\n    source: m:make\n", "") + (
        "    workers: [{address: 'localhost:1', profile: [[1, 2.5]]}]\n"
    )
    with pytest.raises(ConfigError, match="functions load the model themselves"):
        parse_config(foreign)


def test_a_file_is_planned_with_its_functions(tmp_path: Path) -> None:
    from mark.app.simulated_scenario import simulated_scenario

    file = tmp_path / "mark.yaml"
    text = MODEL.format(serverless=f"{{{PRICED}, latency_ms: 50}}", admission="true")
    file.write_text(text + "    profiles: {small: [[1, 10.0], [8, 20.0]]}\n", encoding="utf-8")

    made = simulated_scenario(str(file)).scenario

    assert made.serverless is not None
    assert any("cold function" in note for note in made.notes)
