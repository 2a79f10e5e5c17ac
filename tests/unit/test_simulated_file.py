"""A configuration file is simulated as it is served: in its own rhythm, with its own bounds, at its own bill."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mark.app.simulated_scenario import SimulatedScenario, simulated_scenario
from mark.app.simulation import simulate
from mark.domain.budget import BudgetCaps
from mark.domain.load import RecordedLoad
from mark.domain.simulation_report import SimulationReport
from mark.errors import ConfigError

FILE = """\
offerings:
  - {{name: small, price_usd_per_hour: 3600, max_count: 4, boot_s: 2}}
models:
  - name: m
    runtime: python
    source: m:make
    inputs: [{{name: x, datatype: FP32, shape: [-1]}}]
    outputs: [{{name: y, datatype: FP32, shape: [-1]}}]
    slo: {{rt_max_ms: 250}}
    batching: {{rows_max: 4, margin_ms: 5{batching}}}
    controller: {{step_s: {step_s}, window_s: {window_s}, horizon_steps: 5, cooldown_s: 2.5, maximum_of_steps: 3}}
    profiles: {{small: [[1, 40.0], [4, 40.0]]}}
"""
BURST = RecordedLoad(np.concatenate([np.arange(0, 8, 0.05), np.arange(8, 12, 0.004), np.arange(12, 30, 0.05)]), 30.0)


def scenario_of(folder: Path, batching: str = "", step_s: float = 1.0, window_s: float = 1.0) -> SimulatedScenario:
    file = folder / "mark.yaml"
    file.write_text(FILE.format(batching=batching, step_s=step_s, window_s=window_s), encoding="utf-8")
    return replace(simulated_scenario(str(file), None), service_variation=0.0, warmup_s_min=10.0)


def report_on(folder: Path, batching: str = "") -> SimulationReport:
    return simulate(scenario_of(folder, batching), BURST, "mark")


def test_it_is_planned_at_each_of_its_own_steps(tmp_path: Path) -> None:
    series = report_on(tmp_path).series

    assert len(series.offered) == 30
    assert series.offered.sum() == len(BURST.instants_s)
    # The burst of second 8 is seen at 9 and served two seconds later; it is out of sight at 16, and cooled down at 19.
    assert series.fleet["small"].tolist() == [1.0] * 10 + [3.0] * 8 + [1.0] * 12


def test_a_process_boots_as_long_as_the_file_says(tmp_path: Path) -> None:
    fleets = [simulate(scenario_of(tmp_path), BURST, "mark", seed=seed).series.fleet["small"] for seed in range(5)]

    assert all(fleet.tolist() == fleets[0].tolist() for fleet in fleets)


def test_a_peak_that_the_offerings_cannot_carry_is_told_as_what_the_file_lacks(tmp_path: Path) -> None:
    rush = RecordedLoad(np.arange(0, 30, 0.001), 30.0)

    with pytest.raises(
        ConfigError, match=r"^peak-static: the offerings together do not cover .* raise their max_count"
    ):
        simulate(scenario_of(tmp_path), rush, "peak-static")


def test_an_instance_is_billed_by_the_second(tmp_path: Path) -> None:
    report = report_on(tmp_path)

    # A dollar a second: one all the time, and two from second 9, when they were launched, to 19 or until they are idle.
    assert report.cost.total_usd == pytest.approx(30 + 2 * 10, abs=2)


def test_without_admission_nobody_is_refused_at_the_door(tmp_path: Path) -> None:
    strict, lenient = report_on(tmp_path), report_on(tmp_path, ", admission: false")

    assert strict.served != lenient.served


def test_a_short_queue_refuses_more(tmp_path: Path) -> None:
    assert report_on(tmp_path, ", queue_requests_max: 2").attainment < report_on(tmp_path).attainment - 0.05


def test_a_worker_may_have_several_batches(tmp_path: Path) -> None:
    one, two = report_on(tmp_path), report_on(tmp_path, ", batches_in_flight_max: 2")

    assert one.latency != two.latency


def test_the_warm_up_is_a_whole_number_of_steps(tmp_path: Path) -> None:
    scenario = scenario_of(tmp_path, step_s=7.0, window_s=3.5)

    assert scenario.warmup_s == 14.0
    series = simulate(scenario, BURST, "mark").series
    assert len(series.offered) == 5  # the last is two seconds long
    assert series.offered.sum() == len(BURST.instants_s)


def test_an_oracle_can_be_asked_about_what_was_recorded(tmp_path: Path) -> None:
    knowing = simulate(scenario_of(tmp_path), BURST, "oracle")

    assert knowing.requests == len(BURST.instants_s)
    assert knowing.attainment > report_on(tmp_path).attainment


SPOT_FILE = FILE.replace(
    "models:",
    """  - {{name: cheap, market: spot, price_usd_per_hour: 36, max_count: 4, boot_s: 2, interruptions_per_hour: 60}}
  - {{name: t, market: burstable, price_usd_per_hour: 360, max_count: 4, boot_s: 0, standby: true}}
spot: {{notice_s: 4, taken_share: 1, sold_out_after_s: 10}}
models:""",
).replace("small: [[1, 40.0], [4, 40.0]]", "small: &p [[1, 40.0], [4, 40.0]], cheap: *p, t: *p")


def test_spot_is_interrupted_as_the_file_says_and_standbys_stand_in(tmp_path: Path) -> None:
    file = tmp_path / "mark.yaml"
    file.write_text(SPOT_FILE.format(batching="", step_s=1.0, window_s=1.0), encoding="utf-8")
    scenario = replace(simulated_scenario(str(file), None), service_variation=0.0, warmup_s_min=10.0)
    steady = RecordedLoad(np.arange(0, 120, 0.02), 120.0)

    report = simulate(scenario, steady, "mark-spot", seed=0)

    assert scenario.behaviour is not None
    assert (scenario.behaviour.notice_s, scenario.behaviour.taken_share) == (4.0, 1.0)
    assert ([each.name for each in scenario.spot], [each.name for each in scenario.standbys]) == (["cheap"], ["t"])
    assert report.interruptions == 1
    assert report.cost.burstable_usd > 0
    assert report.attainment > 0.99
    assert report.series.fleet["small"].max() >= 1  # while spot is sold out ...
    assert report.series.fleet["cheap"][-1] >= 1  # ... and then spot is returned to


def test_a_budget_of_the_file_is_kept_to(tmp_path: Path) -> None:
    scenario = scenario_of(tmp_path)
    free = simulate(scenario, BURST, "mark")

    capped = simulate(replace(scenario, caps=BudgetCaps(usd_per_hour=2 * 3600.0)), BURST, "mark")

    # The burst would have three instances; two are paid for.
    assert free.series.fleet["small"].max() == 3.0
    assert capped.series.fleet["small"].max() == 2.0
    assert capped.cost.total_usd < free.cost.total_usd
    assert capped.attainment < free.attainment


def test_the_file_says_what_the_budget_is(tmp_path: Path) -> None:
    assert scenario_of(tmp_path).caps is None
    file = tmp_path / "capped.yaml"
    text = FILE.format(batching="", step_s=1.0, window_s=1.0)
    file.write_text(f"budget: {{max_usd_per_day: 200000}}\n{text}", encoding="utf-8")

    assert simulated_scenario(str(file), None).caps == BudgetCaps(usd_per_day=200000)
