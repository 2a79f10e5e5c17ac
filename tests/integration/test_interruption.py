"""Spot instances are taken away from a router of real processes, under load."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from integration.router_process import RouterProcess, environment, until

from mark import AsyncClient, _core
from mark.workload.open_loop import OpenLoop
from mark.workload.report import LoadReport

CONFIG = """\
server: {port: 0, drain_s: 5}
spot: {notice_s: 4, sold_out_after_s: 600}
offerings:
  - {name: plain, price_usd_per_hour: 0.1, max_count: 6}
  - {name: cheap, market: spot, price_usd_per_hour: 0.03, max_count: 5}
  - {name: standby, market: burstable, price_usd_per_hour: 0.05, max_count: 6, standby: true}
models:
  - name: doubler
    version: "1"
    runtime: python
    source: doubler_model:make
    inputs: [{name: x, datatype: FP32, shape: [-1, 4]}]
    outputs: [{name: y, datatype: FP32, shape: [-1, 4]}]
    slo: {rt_max_ms: 2000, sl_min: 0.98}
    batching: {rows_max: 1, margin_ms: 5}
    controller: {step_s: 1, window_s: 1, horizon_steps: 5, cooldown_s: 600, min_instances: 5}
    profiles: {plain: &p [[1, 50.0]], cheap: *p, standby: *p}
"""
ROWS = np.arange(4000, dtype=np.float32).reshape(1000, 1, 4)
RATE_PER_S = 60.0


def chaos(router: RouterProcess, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mark", "chaos", "interrupt", *arguments, router.address],
        capture_output=True, text=True, timeout=30, env=environment(folder), check=False,
    )  # fmt: skip


def fleet_of(router: RouterProcess, folder: Path) -> list[dict[str, str]]:
    done = subprocess.run(
        [sys.executable, "-m", "mark", "status", "--json", router.address],
        capture_output=True, text=True, timeout=30, env=environment(folder), check=True,
    )  # fmt: skip
    instances: list[dict[str, str]] = json.loads(done.stdout)["models"][0]["instances"]
    return instances


def doubles(index: int, response: bytes) -> bool:
    (_, _, _, raw), *_ = _core.parse_infer_response(response).tensors
    return bool(np.array_equal(np.frombuffer(raw, np.float32), 2 * ROWS[index % len(ROWS)][0]))


async def drive(router: RouterProcess, folder: Path, duration_s: float) -> tuple[LoadReport, list[dict[str, str]]]:
    requests = [_core.write_infer_request("doubler", "", "", [("x", "FP32", (1, 4), rows)], []) for rows in ROWS]
    instants_s = np.arange(0.0, duration_s, 1 / RATE_PER_S)

    async def interrupt() -> list[dict[str, str]]:
        await asyncio.sleep(2.0)  # of load, which the controller has then seen
        done = await asyncio.to_thread(chaos, router, folder, "--share", "0.8", "--json")
        assert done.returncode == 0, done.stderr
        hit: list[dict[str, str]] = json.loads(done.stdout)["interrupted"]
        return hit

    async with AsyncClient(router.address) as client:
        report, hit = await asyncio.gather(OpenLoop(client, requests, check=doubles).run(instants_s), interrupt())
    return report, hit


def test_four_fifths_of_the_spot_workers_are_taken_under_load_and_no_request_is_lost(
    make_router: Callable[..., RouterProcess], tmp_path: Path
) -> None:
    router = make_router(CONFIG)
    router.wait_ready(5)
    before = {each["id"] for each in fleet_of(router, tmp_path) if each["offering"] == "cheap"}

    report, hit = asyncio.run(drive(router, tmp_path, duration_s=10.0))

    assert {each["id"] for each in hit} < before
    assert len(hit) == 4
    assert report.as_dict(2000.0)["by_status"] == {"OK": len(report.statuses)}
    assert report.answers_wrong == 0
    assert report.attainment(2000.0) >= 0.98
    assert "launch standby at once: stands in for 4 that the cloud takes away" in router.said()
    until(lambda: router.said().count("taken away by the cloud") >= 4)

    def taken_over() -> bool:
        """Whether they are gone, and on-demand instances are there instead: spot is sold out."""
        after = fleet_of(router, tmp_path)
        is_gone = not {each["id"] for each in hit} & {each["id"] for each in after}
        return is_gone and "plain" in {each["offering"] for each in after if each["state"] == "ready"}

    until(taken_over)
    assert "lost a worker with" not in router.said()  # each was drained before it went
    assert router.said().count("taken away by the cloud") == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--share", "0"), "share: must lie in (0, 1], not 0"),
        (("--share", "1.5"), "--share must be from 0 to 1, not 1.5"),
        (("--notice-s", "-1"), "--notice-s must be 0 or more, not -1.0"),
        (("--notice-s", "inf"), "notice_s: must lie between 0 and 86400, not inf"),
        (("--model", "nobody"), "unknown model 'nobody'; served are doubler"),
    ],
)
def test_an_interruption_that_makes_no_sense_is_refused(
    router: RouterProcess, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = chaos(router, tmp_path, *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_where_nothing_runs_on_spot_nothing_is_taken(router: RouterProcess, tmp_path: Path) -> None:
    done = chaos(router, tmp_path)

    assert (done.returncode, done.stdout) == (0, "no spot instance runs that is not under notice already\n")


def test_a_router_that_is_not_there_is_said(tmp_path: Path) -> None:
    missing = RouterProcess.__new__(RouterProcess)
    missing.address = "127.0.0.1:9"

    done = chaos(missing, tmp_path)

    assert done.returncode == 2
    assert "no mark router answers at 127.0.0.1:9" in done.stderr
