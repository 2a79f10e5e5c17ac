"""One of four workers becomes five times slower under load: real processes, real answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from bench.undisturbed import undisturbed
from integration.router_process import RouterProcess

from mark import AsyncClient
from mark._core import write_infer_request
from mark.protocol import messages
from mark.workload.open_loop import OpenLoop
from mark.workload.report import OK, LoadReport

MODEL = """
import os
import time
from pathlib import Path

SLOW = Path(__file__).with_name("slow.pid")


def make():
    def run(inputs):
        slow = SLOW.exists() and SLOW.read_text() == str(os.getpid())
        time.sleep(0.4 if slow else 0.08)
        return {"y": inputs["x"]}

    return run
"""
RT_MAX_MS = 300.0
CONFIG = f"""\
server: {{port: 0, drain_s: 5}}
offerings:
  - {{name: small, price_usd_per_hour: 0.1, max_count: 4}}
models:
  - name: sleeper
    runtime: python
    source: sleeper_model:make
    inputs: [{{name: x, datatype: FP32, shape: [-1, 4]}}]
    outputs: [{{name: y, datatype: FP32, shape: [-1, 4]}}]
    slo: {{rt_max_ms: {RT_MAX_MS}}}
    batching: {{rows_max: 8, margin_ms: 20}}
    controller: {{step_s: 60, window_s: 1, cooldown_s: 600, min_instances: 4}}
    profiles: {{small: [[1, 90.0], [8, 95.0]]}}
"""
REQUEST = write_infer_request("sleeper", "", "", [("x", "FP32", (1, 4), np.ones((1, 4), np.float32))], [])
RATE_PER_S = 25.0
SLOW_FROM_S, END_S = 2.0, 18.0
BACK_WITHIN_S = 10.0


async def load_while(address: str, at: dict[float, Callable[[], object]]) -> LoadReport:
    """Offer the load, and call each of `at` at its time, on a thread: the load goes on."""
    async with AsyncClient(address) as client:
        loop = asyncio.get_running_loop()
        for after_s, action in at.items():
            loop.call_later(after_s, loop.run_in_executor, None, action)
        load = OpenLoop(client, [REQUEST], deadline_ms=2 * RT_MAX_MS)
        return await load.run(np.arange(0.0, END_S, 1.0 / RATE_PER_S))


def attainment(report: LoadReport, from_s: float, until_s: float) -> float:
    within = (report.instants_s >= from_s) & (report.instants_s < until_s)
    in_time = (np.array(report.statuses) == OK) & (report.latencies_ms <= RT_MAX_MS)
    return float(in_time[within].mean())


def workers_of(address: str) -> list[Any]:
    with grpc.insecure_channel(address) as channel:
        answer = channel.unary_unary(messages.GET_STATUS)(messages.StatusRequest().SerializeToString(), timeout=5.0)
    return list(messages.StatusResponse.FromString(answer).models[0].workers)


@dataclass(frozen=True)
class Run:
    """How much was answered in time, once the slow worker is known and in all; and what is said of the workers.

    The slow one is the first of them.
    """

    back: float
    overall: float
    workers: list[Any]


def run_once(router: RouterProcess, folder: Path) -> Run:
    router.wait_ready(4)
    slow: list[str] = []

    def make_slow() -> None:
        # The busiest: one that is hardly used would not be missed.
        slow.append(max(workers_of(router.address), key=lambda worker: worker.batches).address)
        (pid,) = (worker.pid for worker in router.workers if slow[0] in worker.cmdline())
        partial = folder / "slow.part"
        partial.write_text(str(pid), encoding="utf-8")
        partial.rename(folder / "slow.pid")

    report = asyncio.run(load_while(router.address, {SLOW_FROM_S: make_slow}))
    workers = sorted(workers_of(router.address), key=lambda worker: worker.address not in slow)
    router.stop()
    return Run(attainment(report, SLOW_FROM_S + BACK_WITHIN_S, END_S), attainment(report, 0.0, END_S), workers)


@pytest.mark.timeout(300)
def test_a_worker_five_times_slower_costs_the_promise_for_less_than_ten_seconds(
    make_router: Callable[..., RouterProcess], tmp_path: Path
) -> None:
    (tmp_path / "sleeper_model.py").write_text(MODEL, encoding="utf-8")

    run = undisturbed(
        lambda: run_once(make_router(CONFIG), tmp_path), lambda run: run.back >= 0.98 and run.overall >= 0.95
    )

    assert run.back >= 0.98
    assert run.overall >= 0.95
    assert len(run.workers) == 4
    slow = run.workers[0]
    assert slow.correction > 1.05
    assert slow.batches < 0.5 * sum(worker.batches for worker in run.workers) / 4
