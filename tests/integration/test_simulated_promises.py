"""What the policies promise, on the whole of a simulated system: surges, interruptions, and the price of both."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mark.app.simulated_scenario import SimulatedScenario, simulated_scenario
from mark.app.simulation import simulate
from mark.cloud.simulated import CloudBehaviour, Interruption, SoldOut
from mark.domain.simulation_report import SimulationReport
from mark.workload.synthetic import surge

WARMUP_S = 1800.0
MINUTE_S = 60.0


def attainments(report: SimulationReport) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Of each minute."""
    return report.series.in_time / np.maximum(report.series.offered, 1.0)


@pytest.mark.parametrize("rise", [0.5, 0.75, 1.0])
def test_a_surge_within_two_minutes_is_carried(rise: float) -> None:
    load = surge(200.0, rise, at_s=600.0, rise_s=120.0, duration_s=1800.0)
    report = simulate(simulated_scenario("paper/lstm-ptb", None), load, "mark")

    by_minute = attainments(report)
    assert by_minute.min() > 0.90
    assert by_minute[14:].min() > 0.98  # two minutes after the rise began to end
    assert report.served.serverless > 0  # functions carried it until instances were there
    assert report.series.serverless[-5:].sum() < 0.02 * report.series.offered[-5:].sum()


def only_c5_large(simulated: SimulatedScenario) -> SimulatedScenario:
    """The paper's cluster: c5.large on spot, c5.large on demand to fall back on, t2.medium to bridge."""
    scenario = simulated.scenario
    kept = tuple(offering for offering in scenario.offerings if offering.name == "c5.large")
    return replace(
        simulated,
        scenario=replace(scenario, offerings=kept, capacities={"c5.large": scenario.capacities["c5.large"]}),
        spot=tuple(offering for offering in simulated.spot if offering.name.startswith("c5.large/")),
    )


@pytest.mark.parametrize("share", [0.2, 0.4, 0.8])
def test_an_interruption_of_most_of_twenty_instances_keeps_the_promise(share: float) -> None:
    simulated = only_c5_large(simulated_scenario("paper/inception-v3", None))
    per_s = 18 * simulated.scenario.capacities["c5.large"] / 1.1
    behaviour = CloudBehaviour(interruptions=(Interruption(WARMUP_S + 7 * MINUTE_S, share),))
    load = surge(per_s, 0.0, at_s=60.0, duration_s=1800.0)
    report = simulate(simulated, load, "mark-spot", behaviour=behaviour)

    assert report.interruptions >= round(20 * share) - 3
    assert report.attainment >= 0.98
    assert report.series.fleet["t2.medium"].max() > 0
    assert report.cost.spot_usd > report.cost.on_demand_usd


def test_without_batching_a_model_that_has_no_batches_costs_the_same() -> None:
    simulated = simulated_scenario("paper/lstm-ptb", None)
    load = surge(200.0, 0.5, at_s=600.0, duration_s=1800.0)
    with_it, without = (simulate(simulated, load, policy) for policy in ("mark", "mark-no-batching"))

    assert without.cost == with_it.cost


def on_standbys(name: str) -> SimulationReport:
    """Four fifths of the paper's cluster interrupted for long, and nothing but standbys of a type to bridge it."""
    simulated = only_c5_large(simulated_scenario("paper/inception-v3"))
    standby = replace(simulated.standbys[0], name=name, baseline_share=1.0, credits_s=math.inf)
    profiles = {**simulated.profiles, name: simulated.profiles["t2.medium"]}
    simulated = replace(
        simulated,
        standbys=(standby,),
        spare_capacities={**simulated.spare_capacities, name: simulated.spare_capacities["t2.medium"]},
        profiles=profiles,
        rows_max={**simulated.rows_max, name: 1},
    )
    per_s = 18 * simulated.scenario.capacities["c5.large"] / 1.1
    behaviour = CloudBehaviour(
        interruptions=(Interruption(WARMUP_S + 5 * MINUTE_S, 0.8),),
        sold_out=tuple(SoldOut(each, WARMUP_S + 60.0, 1e9) for each in ("c5.large", *(s.pool for s in simulated.spot))),
    )
    load = surge(per_s, 0.0, at_s=60.0, duration_s=5400.0)
    return simulate(simulated, load, "mark-spot", behaviour=behaviour)


def test_a_t2_falls_to_its_baseline_when_its_credits_end_and_a_t3_is_billed_for_more() -> None:
    standard, unlimited = on_standbys("t2.medium"), on_standbys("t3.medium")

    # Half an hour of credits and what is earned meanwhile; then functions must carry what standbys do no longer.
    late = slice(60, 90)
    assert standard.series.serverless[late].sum() > 3 * unlimited.series.serverless[late].sum()
    # Both cost $0.0464 an hour here. A T2 costs no more; a T3 that is always busy, $0.05 for most of two vCPU-hours.
    standard_hours = standard.series.fleet["t2.medium"].sum() / 60
    unlimited_hours = unlimited.series.fleet["t3.medium"].sum() / 60
    assert standard.cost.burstable_usd == pytest.approx(standard_hours * 0.0464, rel=0.1)
    assert unlimited.cost.burstable_usd > unlimited_hours * (0.0464 + 0.5 * 0.1)
