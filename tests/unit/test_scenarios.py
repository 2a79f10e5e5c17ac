"""The built-in scenarios: the paper's figures, with what is assumed said in words, at the prices of a catalogue."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mark.cloud.catalog import SCENARIO_NAMES, Catalog, CatalogEntry, catalog, scenario, with_prices, with_spot
from mark.domain.offering import Market
from mark.domain.scenario import Scenario
from mark.errors import ConfigError

PAPER = Path(__file__).resolve().parents[3] / "shared" / "paper" / "mark_atc19.json"
needs_paper = pytest.mark.skipif(not PAPER.is_file(), reason="the shared figures of the paper are not here")


def paper() -> Any:
    return json.loads(PAPER.read_text(encoding="utf-8"))


def prices_of(asked: Scenario) -> dict[str, float]:
    return {offering.name: offering.price_usd_per_hour for offering in asked.offerings}


@needs_paper
def test_every_model_of_the_paper_is_a_scenario() -> None:
    assert set(SCENARIO_NAMES) == {f"paper/{model}" for model in paper()["models"]}


@needs_paper
@pytest.mark.parametrize("name", SCENARIO_NAMES)
def test_promise_capacities_and_prices_are_those_of_the_paper(name: str) -> None:
    source, prices = paper()["models"][name.removeprefix("paper/")], paper()["prices_usd_per_hour_2018"]

    asked = scenario(name)

    assert (asked.slo.rt_max_ms, asked.slo.sl_min) == (source["rt_max_ms"], source["sl_min"])
    per_minute = {kind: capacity * 60 for kind, capacity in asked.capacities.items()}
    assert per_minute == pytest.approx(source["capacity_per_minute"])
    assert prices_of(asked) == {kind: prices[kind] for kind in source["capacity_per_minute"]}


@needs_paper
@pytest.mark.parametrize("name", SCENARIO_NAMES)
def test_steps_and_boot_are_those_of_the_paper_and_its_prototype(name: str) -> None:
    planner, assumed = paper()["planner"], paper()["assumed"]

    asked = scenario(name)

    assert (asked.step_s, asked.horizon_steps) == (planner["step_minutes"] * 60, planner["horizon_steps"])
    for offering in asked.offerings:
        assert offering.boot_s == assumed["instance_ready_minutes"] * 60
        assert offering.billed_boot_s == assumed["launch_overhead_minutes_billed"] * 60


@needs_paper
@pytest.mark.parametrize("name", SCENARIO_NAMES)
def test_lambda_is_offered_where_the_paper_has_it_within_the_slo(name: str) -> None:
    source = paper()["models"][name.removeprefix("paper/")]
    figures = source.get("lambda")

    serverless = scenario(name).serverless

    if figures is None or figures["mean_ms"] > source["rt_max_ms"]:
        assert serverless is None
    else:
        assert serverless is not None
        assert (serverless.latency_ms, serverless.usd_per_million_requests) == (
            figures["mean_ms"], figures["usd_per_million"],
        )  # fmt: skip


def test_lambda_that_breaks_the_slo_is_left_out_in_words() -> None:
    assert (
        "serverless is not offered: 3100 ms on Lambda break the SLO of 1400 ms" in scenario("paper/opennmt-ende").notes
    )


@pytest.mark.parametrize("name", SCENARIO_NAMES)
def test_a_scenario_says_what_is_assumed_and_of_when_the_prices_are(name: str) -> None:
    notes = scenario(name).notes

    assert any(note.startswith("assumed: an instance serves 5 minutes after its launch") for note in notes)
    assert "prices are AWS us-east-1, 2018, as in the MArk paper" in notes


def test_types_are_offered_on_demand_unless_spot_is_asked_for() -> None:
    assert {offering.market for offering in scenario("paper/nasnet").offerings} == {Market.ON_DEMAND}


def test_an_unknown_scenario_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"^there is no scenario 'paper/inception'; did you mean 'paper/inception-v3"):
        scenario("paper/inception")


def test_spot_offerings_have_the_capacity_of_their_type_at_the_spot_price() -> None:
    asked = with_spot(scenario("paper/inception-v3"), catalog("aws-2018"))

    spot = next(offering for offering in asked.offerings if offering.name == "p2.xlarge/spot")
    assert spot.market is Market.SPOT
    assert spot.price_usd_per_hour == pytest.approx(0.27)
    assert (spot.interruptions_per_hour, spot.boot_s, spot.billed_boot_s) == (0, 300, 180)
    assert asked.capacities["p2.xlarge/spot"] == asked.capacities["p2.xlarge"]
    assert "assumed: spot instances are not taken away" in asked.notes


def test_a_type_without_a_spot_price_stays_on_demand_with_a_note() -> None:
    prices = catalog("aws-us-east-1")

    asked = with_spot(scenario("paper/nasnet", prices), prices)

    assert [offering.name for offering in asked.offerings if offering.market is Market.SPOT] == ["c5.xlarge/spot"]
    assert asked.notes[-1] == "without a spot price in aws-us-east-1: c5.2xlarge, c5.4xlarge, p2.xlarge"


def test_spot_without_any_spot_price_is_refused() -> None:
    bare = Catalog("bare", (CatalogEntry("c5.xlarge", 1.0),), "bare prices", "")

    with pytest.raises(
        ConfigError, match=r"^catalogue 'bare' has no spot price for any offering .* of paper/lstm-ptb$"
    ):
        with_spot(scenario("paper/lstm-ptb"), bare)


def test_other_prices_leave_out_what_they_do_not_sell_with_a_note() -> None:
    bare = Catalog("bare", (CatalogEntry("c5.xlarge", 1.0),), "bare prices", "")

    asked = with_prices(scenario("paper/nasnet"), bare)

    assert prices_of(asked) == {"c5.xlarge": 1.0}
    assert set(asked.capacities) == {"c5.xlarge"}
    assert asked.notes[-2:] == (
        "bare prices",
        "left out, for bare does not sell it: c5.2xlarge, c5.4xlarge, p2.xlarge",
    )


def test_prices_of_nothing_that_is_offered_are_refused() -> None:
    bare = Catalog("bare", (CatalogEntry("m5.large", 1.0),), "", "")

    with pytest.raises(
        ConfigError, match=r"^catalogue 'bare' sells none of the offerings of paper/lstm-ptb: c5\.xlarg"
    ):
        scenario("paper/lstm-ptb", bare)


@pytest.mark.parametrize(
    "change",
    [
        {"offerings": ()},
        {"offerings": scenario("paper/lstm-ptb").offerings * 2},
        {"capacities": {}},
        {"capacities": {"c5.xlarge": -1.0}},
        {"capacities": {"c5.xlarge": float("inf")}},
        {"step_s": 0.0},
        {"horizon_steps": 0},
    ],
)
def test_a_scenario_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^paper/lstm-ptb: "):
        replace(scenario("paper/lstm-ptb"), **change)
