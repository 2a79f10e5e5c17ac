"""How fast the paper's instances are, compared with what the paper and its prototype publish."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from mark.cloud.catalog import SCENARIO_NAMES, paper_service, scenario
from mark.cloud.catalog.burstables import burstable_of
from mark.domain.offering import Market

PAPER = Path(__file__).resolve().parents[3] / "shared" / "paper" / "mark_atc19.json"
needs_paper = pytest.mark.skipif(not PAPER.is_file(), reason="the shared figures of the paper are not here")


def paper() -> Any:
    return json.loads(PAPER.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", SCENARIO_NAMES)
def test_at_its_largest_batch_a_type_serves_its_published_capacity(name: str) -> None:
    means_ms, asked = paper_service(name).batch_means_ms, scenario(name)

    for kind, capacity in asked.capacities.items():
        rows, mean_ms = means_ms[kind][-1]
        assert rows / mean_ms * 1e3 == pytest.approx(capacity), kind


@pytest.mark.parametrize("name", SCENARIO_NAMES)
def test_larger_batches_take_longer_and_less_for_each_row(name: str) -> None:
    for means in paper_service(name).batch_means_ms.values():
        assert means[0][0] == 1
        for (rows, mean_ms), (more, longer_ms) in itertools.pairwise(means):
            assert more == 2 * rows
            assert mean_ms <= longer_ms < 2 * mean_ms


@pytest.mark.parametrize("name", SCENARIO_NAMES)
def test_what_can_be_rented_is_what_has_a_speed(name: str) -> None:
    service, asked = paper_service(name), scenario(name)

    rented = {offering.name for offering in (*asked.offerings, *service.extra)}
    assert rented == set(service.batch_means_ms)
    assert len(rented) == len(asked.offerings) + len(service.extra)


@pytest.mark.parametrize("name", SCENARIO_NAMES)
def test_standbys_are_burstables_with_the_credits_of_their_type(name: str) -> None:
    for standby in paper_service(name).extra:
        if standby.market is Market.BURSTABLE:
            known = burstable_of(standby.name)
            assert known is not None
            assert (standby.baseline_share, standby.credits_s) == (known.baseline_share, known.launch_credits_s)
            assert standby.boot_s == standby.billed_boot_s == 100.0


@pytest.mark.parametrize("name", SCENARIO_NAMES)
def test_what_is_assumed_is_said(name: str) -> None:
    service = paper_service(name)
    notes = " ".join(service.notes)

    burstables = [each.name for each in service.extra if each.market is Market.BURSTABLE]
    assert ("standbys are stopped burstables with full launch credits" in notes) == bool(burstables)
    assert all(("assumed" in note) or ("burstable" in note) for note in service.notes)
    published = scenario(name)
    if published.serverless is None and service.serverless is not None:
        assert f"assumed: Lambda takes {service.serverless.latency_ms:.0f} ms" in notes


@pytest.mark.parametrize("name", SCENARIO_NAMES)
def test_functions_keep_the_slo_and_are_those_of_the_scenario_where_it_has_them(name: str) -> None:
    serverless, asked = paper_service(name).serverless, scenario(name)

    assert asked.serverless is None or serverless == asked.serverless
    assert serverless is None or serverless.latency_ms <= asked.slo.rt_max_ms


def test_a_container_costs_what_the_paper_says_for_a_million_requests() -> None:
    service = paper_service("paper/inception-v3")
    (fargate,) = [each for each in service.extra if each.market is Market.ON_DEMAND]
    ((_, mean_ms),) = service.batch_means_ms[fargate.name]

    assert mean_ms == pytest.approx(217)
    assert fargate.price_usd_per_hour / 3600 * mean_ms / 1e3 * 1e6 == pytest.approx(9.17, rel=1e-3)


@needs_paper
@pytest.mark.parametrize("name", SCENARIO_NAMES)
def test_each_model_gets_as_much_of_the_load_as_in_the_paper(name: str) -> None:
    assert paper_service(name).twitter_scale == paper()["models"][name.removeprefix("paper/")]["twitter_scale"]


@needs_paper
@pytest.mark.parametrize(
    ("name", "kind"),
    [("inception-v3", "p2.xlarge"), ("opennmt-ende", "c5.xlarge"), ("opennmt-ende", "p2.xlarge")],
)
def test_batches_grow_as_in_the_papers_figure(name: str, kind: str) -> None:
    digitised = paper()["batch_latency_relative_to_one_digitised"]
    means = paper_service(f"paper/{name}").batch_means_ms[kind]

    for (rows, mean_ms), size, ratio in zip(means, digitised["batch"], digitised[name][kind], strict=False):
        assert rows == size
        assert mean_ms / means[0][1] == pytest.approx(ratio)


@needs_paper
def test_standbys_figures_are_those_of_the_paper() -> None:
    source, assumed = paper(), paper()["assumed"]
    service = paper_service("paper/inception-v3")
    (standby,) = [each for each in service.extra if each.market is Market.BURSTABLE]

    published = source["models"]["inception-v3"]["t2.medium_bursting"]
    assert dict(service.batch_means_ms["t2.medium"]) == pytest.approx({1: published["mean_ms"]})
    assert standby.price_usd_per_hour == source["prices_usd_per_hour_2018"]["t2.medium"]
    assert standby.boot_s == assumed["burstable_resume_seconds"]
    assert standby.credits_s == assumed["burstable_full_speed_minutes"] * 60
