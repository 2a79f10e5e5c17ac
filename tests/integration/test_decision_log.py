"""A router of real processes is interrupted: its log, and what `mark explain` and `mark replay` say of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from integration.router_process import RouterProcess, environment

from mark import Client
from mark.domain.record import Record, RecordKind
from mark.errors import RequestError

CONFIG = """\
server: {port: 0, drain_s: 5}
decision_log: {path: log/decisions.jsonl, bytes_max: 20000, files_max: 50}
spot: {notice_s: 2, sold_out_after_s: 600}
offerings:
  - {name: plain, price_usd_per_hour: 0.1, max_count: 6}
  - {name: cheap, market: spot, price_usd_per_hour: 0.03, max_count: 3}
  - {name: standby, market: burstable, price_usd_per_hour: 0.05, max_count: 6, standby: true}
models:
  - name: doubler
    runtime: python
    source: doubler_model:make
    inputs: [{name: x, datatype: FP32, shape: [-1, 4]}]
    outputs: [{name: y, datatype: FP32, shape: [-1, 4]}]
    slo: {rt_max_ms: 2000, sl_min: 0.98}
    batching: {rows_max: 1, margin_ms: 5}
    controller:
      {step_s: 0.5, window_s: 0.5, horizon_steps: 5, cooldown_s: 600, min_instances: 3, maximum_of_steps: 1000,
       forecast: {champion: moving maximum}}
    profiles: {plain: &p [[1, 50.0]], cheap: *p, standby: *p}
"""


def mark(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mark", *arguments],
        capture_output=True, text=True, timeout=120, env=environment(folder), check=False,
    )  # fmt: skip


def records_of(folder: Path) -> list[Record]:
    paths = sorted((folder / "log").iterdir(), key=lambda path: -int(path.suffix[1:]) if path.suffix != ".jsonl" else 0)
    lines = [line for path in paths for line in path.read_text(encoding="utf-8").splitlines()]
    return [Record.from_dict(json.loads(line)) for line in lines]


def until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def story(router: RouterProcess, folder: Path) -> str:
    return mark(folder, "explain", "last", router.address).stdout


def test_explain_last_after_an_interruption_names_it_what_was_started_why_and_the_dollars(
    make_router: Callable[..., RouterProcess], tmp_path: Path
) -> None:
    router = make_router(CONFIG)
    rows = np.zeros((1, 4), np.float32)
    with Client(router.address) as client:
        for _ in range(20):  # the load is remembered for good, and takes about as much as there is
            client.infer("doubler", {"x": rows})

    def planned_for() -> bool:
        status = json.loads(mark(tmp_path, "status", router.address, "--json").stdout)
        return float(status["models"][0]["forecast_per_s"]) > 0

    until(planned_for)
    done = mark(tmp_path, "chaos", "interrupt", "--share", "1", "--json", router.address)
    hit = [each["id"] for each in json.loads(done.stdout)["interrupted"]]
    assert len(hit) == 3

    def told() -> bool:
        told_now = story(router, tmp_path)
        return "no cheap to be had" in told_now and all(f"instance {each} (cheap) is gone" in told_now for each in hit)

    until(told)
    text = story(router, tmp_path)
    assert "The cloud takes 3 of 3 spot instances away in" in text
    assert all(each in text for each in hit)
    assert "x standby for $0.0500 an hour each" in text
    assert "stands in for 3 that the cloud takes away" in text
    assert "no cheap to be had" in text
    assert "The next best was" in text
    assert re.search(r"The fleet cost \$\d\.\d{4} an hour before, and \$\d\.\d{4} \d+ s later", text)
    asked = mark(tmp_path, "explain", "last", router.address, "--json").stdout.splitlines()
    first = Record.from_dict(json.loads(asked[0]))
    assert first.kind is RecordKind.INTERRUPTION
    # By its id, or by that of anything that came of it, and from the file as from the router.
    for record in (first, Record.from_dict(json.loads(asked[-1]))):
        read = mark(tmp_path, "explain", record.id, "--log", str(tmp_path / "log" / "decisions.jsonl"))
        assert read.returncode == 0, read.stderr
        assert "The cloud takes 3 of 3 spot instances away in" in read.stdout

    assert router.stop() == 0
    records = records_of(tmp_path)
    assert (records[0].kind, records[-1].kind) == (RecordKind.START, RecordKind.STOP)
    assert [int(each.id.rpartition("-")[2]) for each in records] == [*range(1, len(records) + 1)]
    assert {each.details["instance"] for each in records if each.kind is RecordKind.LOSS} == set(hit)
    assert len(list((tmp_path / "log").iterdir())) > 1  # it was put aside when it was full
    assert records[-1].details["tally"]["in_time"] == 20
    spent = float(router.log.read_text(encoding="utf-8").rpartition("have cost $")[2])
    # The fleet runs on for a moment while the router stops.
    assert records[-1].details["tally"]["usd"] == pytest.approx(spent, abs=1e-3)
    done = mark(tmp_path, "replay", str(tmp_path / "log" / "decisions.jsonl"), "--policy", "mark", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["recorded"] == {"usd": records[-1].details["tally"]["usd"], "attainment": 1.0, "requests": 20}
    again, other = found["replayed"], found["other"]
    assert (again["policy"], other["policy"]) == ("mark-spot", "mark")
    assert again["requests"] == other["requests"] == 20
    assert again["interruptions"] == 3
    assert again["cost_usd"]["total"] == pytest.approx(spent, rel=0.5)  # no more: every step ends some instances
    assert other["cost_usd"]["spot"] == 0 < other["cost_usd"]["on_demand"]
    assert found["difference"]["usd"] == other["cost_usd"]["total"] - again["cost_usd"]["total"]


def test_a_burst_that_is_shed_is_one_line(make_router: Callable[..., RouterProcess], tmp_path: Path) -> None:
    crowded = CONFIG.replace("max_count: 6", "max_count: 1").replace("max_count: 3", "max_count: 1")
    # So slow by its profile that a deadline which is refused leaves any machine the time to say so.
    slow = crowded.replace("rt_max_ms: 2000", "rt_max_ms: 6000").replace("[[1, 50.0]]", "[[1, 2500.0]]")
    router = make_router(slow.replace("min_instances: 3", "min_instances: 1"))
    refused = 0
    with Client(router.address) as client:
        for _ in range(3):
            try:
                client.infer(
                    "doubler", {"x": np.zeros((1, 4), np.float32)}, deadline_ms=1000
                )  # less than a batch takes
            except RequestError:
                refused += 1
    assert refused > 0
    assert router.stop() == 0

    shed = [each for each in records_of(tmp_path) if each.kind is RecordKind.SHED]
    assert len(shed) == 1
    assert shed[0].details["requests"] == refused
    assert f"{refused} requests were not answered in" in shed[0].reason


def test_what_is_not_there_is_said(router: RouterProcess, tmp_path: Path) -> None:
    missing = mark(tmp_path, "explain", "doubler-0-1", router.address)
    nowhere = mark(tmp_path, "explain", "--log", str(tmp_path / "none.jsonl"))
    both = mark(tmp_path, "explain", "last", router.address, "--log", "x")

    assert (missing.returncode, missing.stdout) == (2, "")
    assert "no record 'doubler-0-1' is kept; the decision log may have it" in missing.stderr
    assert "none.jsonl: cannot be read: there is no such file" in nowhere.stderr
    assert "give one of them" in both.stderr
    assert "planned" in mark(tmp_path, "explain", router.address).stdout.lower()
