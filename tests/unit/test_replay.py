"""A run is replayed from its log: its own policy comes to what was recorded, and others meet the same world."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from mark.app.records import served_on
from mark.app.replay import RecordedRun, recorded_run, replay
from mark.app.simulated_scenario import scenario_of_config
from mark.app.simulation import Told, simulate
from mark.cli.commands import app
from mark.cloud.simulated import CloudBehaviour, Interruption, PriceChange, SoldOut
from mark.config import Config, parse_config
from mark.domain.load import RecordedLoad
from mark.domain.record import Record, RecordKind, RecordSnapshot
from mark.errors import ConfigError
from mark.live.record_file import line_of
from mark.live.recorder import MemoryRecorder

CONFIG = """\
offerings:
  - {name: plain, price_usd_per_hour: 0.1, max_count: 9, boot_s: 20}
  - {name: cheap, market: spot, price_usd_per_hour: 0.03, max_count: 9, boot_s: 20, interruptions_per_hour: 30}
  - {name: standby, market: burstable, price_usd_per_hour: 0.05, max_count: 6, boot_s: 1, standby: true}
models:
  - name: doubler
    runtime: python
    source: doubler_model:make
    inputs: [{name: x, datatype: FP32, shape: [-1, 4]}]
    outputs: [{name: y, datatype: FP32, shape: [-1, 4]}]
    slo: {rt_max_ms: 500, sl_min: 0.98}
    batching: {rows_max: 8, margin_ms: 5}
    controller:
      {step_s: 10, window_s: 5, horizon_steps: 10, cooldown_s: 60, min_instances: 1,
       forecast: {champion: moving maximum}}
    profiles: {plain: &p [[1, 50.0], [8, 200]], cheap: *p, standby: *p}
"""
BEHAVIOUR = CloudBehaviour(
    boot_variation=0.0,
    billed_s_min=0.0,
    notice_s=30.0,
    sold_out=(SoldOut("cheap", 320.0, 420.0),),
    interruptions=(Interruption(at_s=300.0, share=0.5),),
    prices=(PriceChange(200.0, "plain", 0.2),),
    draws=False,
)


def config(text: str = CONFIG) -> Config:
    return parse_config(text, name="mark.yaml")


def recorded(policy: str = "mark-spot") -> tuple[list[Record], float, float]:
    """Records of a simulated run, its dollars and its attainment."""
    recorder = MemoryRecorder()
    simulated = replace(scenario_of_config(config(), "mark.yaml"), warmup_s_min=60.0)
    load = RecordedLoad(np.arange(60 * 600) / 60, 600.0)
    report = simulate(simulated, load, policy, behaviour=BEHAVIOUR, told=Told(recorder=recorder))
    return recorder.records("doubler"), report.cost.total_usd, report.attainment


RECORDS, USD, ATTAINMENT = recorded()


def behaviour_of(records: Sequence[Record]) -> CloudBehaviour:
    from mark.app.replay import _behaviour_of, _scenario_of

    run = recorded_run(records)
    return _behaviour_of(run, _scenario_of(run))


def test_the_recorded_run_has_the_dollars_and_the_attainment_of_the_report() -> None:
    run = recorded_run(RECORDS)

    assert run.usd == pytest.approx(USD, rel=1e-9)
    assert run.attainment == pytest.approx(ATTAINMENT, abs=1e-3)
    assert run.counted_from_s == 60.0


def test_the_policy_that_served_comes_to_what_was_recorded_and_another_meets_the_same_world() -> None:
    found = replay(recorded_run(RECORDS), "mark")

    assert found.policy == "mark-spot"
    assert found.again.cost.total_usd == pytest.approx(USD, rel=0.02)
    assert found.again.attainment == pytest.approx(ATTAINMENT, abs=0.01)
    assert found.again.interruptions == sum(
        len(each.details["instances"]) for each in RECORDS if each.kind is RecordKind.INTERRUPTION
    )
    assert found.other.requests == found.again.requests
    assert found.other.cost.spot_usd == 0
    assert found.other.cost.total_usd > found.again.cost.total_usd


def test_the_same_policy_is_simulated_once() -> None:
    found = replay(recorded_run(RECORDS), "mark-spot")

    assert found.other is found.again


def test_the_cloud_of_the_replay_does_what_was_recorded_and_nothing_else() -> None:
    behaviour = behaviour_of(RECORDS)

    (interruption,) = behaviour.interruptions
    assert (interruption.at_s, interruption.notice_s) == (300.0, 30.0)
    assert interruption.share == 0.5
    assert behaviour.prices == (PriceChange(200.0, "plain", 0.2),)
    assert not behaviour.draws
    assert {each.name for each in behaviour.sold_out} <= {"cheap"}


def refusal(at_s: float, offering: str = "cheap", pause_s: float = 30.0, **details: object) -> Record:
    known = {"offering": offering, "error": "InsufficientCapacity", "words": "", "pause_s": pause_s, **details}
    at_ns = round(at_s * 1e9)
    return Record(f"r{at_s}", at_ns, at_s, "doubler", RecordKind.REFUSAL, "", details=known)


def run_of(*records: Record) -> list[Record]:
    """A run of a router with these records in it."""
    tally = {"rows": 0, "usd": 0.0, "ended": 0, "in_time": 0}
    start = Record(
        "s", 0, 1_700_000_000.0, "doubler", RecordKind.START, "", details=served_on(config(), config().models[0])
    )
    plans = [
        Record(f"p{at_s}", at_s * 10**9, 0.0, "doubler", RecordKind.PLAN, "", details={"tally": tally, "arrivals": []})
        for at_s in (0, 1000)
    ]
    return sorted([start, *plans, *records], key=lambda each: each.at_ns)


def test_refusals_that_follow_on_each_other_are_one_time_sold_out() -> None:
    times = behaviour_of(run_of(refusal(100.0), refusal(140.0), refusal(500.0))).sold_out

    assert times == (SoldOut("cheap", 99.0, 170.0), SoldOut("cheap", 499.0, 530.0))


def test_what_was_interrupted_and_then_refused_was_sold_out_since_the_notice() -> None:
    details = {"instances": [{"id": "cheap-1", "offering": "cheap", "notice_s": 30.0}], "share": 1.0}
    notice = Record("n", 90 * 10**9, 0.0, "doubler", RecordKind.INTERRUPTION, "", details=details)

    behaviour = behaviour_of(run_of(notice, refusal(100.0, interruption="n")))

    assert behaviour.sold_out == (SoldOut("cheap", 90.0, 130.0),)
    assert behaviour.interruptions == (Interruption(90.0, 1.0, 30.0),)


def test_a_bound_of_the_configuration_that_was_reached_is_not_sold_out() -> None:
    assert behaviour_of(run_of(refusal(100.0, error="QuotaExceeded"))).sold_out == ()


def test_prices_change_when_a_record_saw_them_change() -> None:
    seen = Record("q", 50 * 10**9, 0.0, "doubler", RecordKind.SHED, "", snapshot=RecordSnapshot(
        prices_usd_per_hour={"cheap": 0.04, "unknown": 1.0},
    ))  # fmt: skip

    assert behaviour_of(run_of(seen)).prices == (PriceChange(50.0, "cheap", 0.04),)


def test_a_configuration_of_aws_is_replayed_as_processes_at_its_prices() -> None:
    text = CONFIG.replace("offerings:", "provider: aws\naws: {region: us-east-1}\noffering" + "s:", 1)
    text = text.replace("max_count: 9, boot_s: 20}", "max_count: 9, boot_s: 20, types: [c5.large]}", 1)
    text = text.replace("interruptions_per_hour: 30}", "types: [c5.large]}").replace(
        "standby: true}", "standby: true, types: [t3.small]}"
    )
    found = config(text)

    dumped = served_on(found, found.models[0])["config"]

    assert parse_config(json.dumps(dumped)).provider == "local"
    assert dumped["offerings"][0]["price_usd_per_hour"] == 0.1
    assert scenario_of_config(parse_config(json.dumps(dumped)), "log").scenario.offerings[0].name == "plain"


class TestWhatIsRefused:
    def test_a_log_of_several_models_needs_a_choice(self) -> None:
        records = [*RECORDS, *(replace(each, model="other") for each in RECORDS)]

        with pytest.raises(ConfigError, match="--model: choose one of doubler, other"):
            recorded_run(records)
        with pytest.raises(ConfigError, match="choose one of doubler, other, not 'nobody'"):
            recorded_run(records, "nobody")
        assert recorded_run(records, "other").model == "other"

    def test_a_log_whose_beginning_was_put_aside(self) -> None:
        with pytest.raises(ConfigError, match="the beginning of the last run of 'doubler' is not in the log"):
            recorded_run(RECORDS[1:])

    def test_a_run_that_just_began(self) -> None:
        with pytest.raises(ConfigError, match="there is nothing to replay"):
            recorded_run(RECORDS[:2])

    def test_only_the_last_run_is_replayed(self) -> None:
        run: RecordedRun = recorded_run([*RECORDS[:50], *RECORDS])

        assert run.records == tuple(RECORDS)


class TestCommand:
    @pytest.fixture
    def log(self, tmp_path: Path) -> Path:
        path = tmp_path / "log.jsonl"
        path.write_text("\n".join(line_of(each) for each in RECORDS) + '\n{"torn', encoding="utf-8")
        return path

    def test_it_prints_what_was_both_replays_and_the_differences(self, log: Path) -> None:
        done = CliRunner().invoke(app, ["replay", str(log), "--policy", "peak-static"])

        assert done.exit_code == 0, done.output
        assert "recorded" in done.stdout
        assert "mark-spot, replayed" in done.stdout
        assert "peak-static, replayed" in done.stdout
        assert "the replay costs" in done.stdout
        assert "than mark-spot; in time:" in done.stdout
        assert "peak-static keeps the promise of 98.00% within 500 ms" in done.stdout
        assert f"passed over: {log}:{len(RECORDS) + 1}: is no record" in done.stderr

    def test_an_unknown_policy_is_refused(self, log: Path) -> None:
        done = CliRunner().invoke(app, ["replay", str(log), "--policy", "peak"])

        assert isinstance(done.exception, ConfigError)
        assert "there is no policy 'peak'" in str(done.exception)

    def test_a_file_without_records_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "log").write_text(yaml.safe_dump({"a": 1}))
        done = CliRunner().invoke(app, ["replay", str(tmp_path / "log")])

        assert "has no record; " in str(done.exception)
