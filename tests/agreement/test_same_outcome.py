"""One recorded sequence of arrivals, through a real router with stub workers and simulated: attainment and cost."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import grpc.aio
import numpy as np
import pytest
from bench.undisturbed import undisturbed
from integration.router_process import CONFIG, RouterProcess

from mark import AsyncClient
from mark._core import write_infer_request
from mark.app.simulated_scenario import simulated_scenario
from mark.app.simulation import simulate
from mark.demo.watch import status_call
from mark.domain.load import RecordedLoad
from mark.domain.simulation_report import SimulationReport
from mark.workload.open_loop import OpenLoop

RT_MAX_MS = 500.0
SERVICE_S = 0.08
WARMUP_S = 8.0
SECONDS = 32.0
# A worker takes 80 ms for whatever it is given, up to four rows. Its profile says a little more, as a p99 does. Batches
# are long and requests few, so that what a busy machine adds to a batch is little beside it. A cool-down of no whole
# number of steps ends between two ticks, whichever of them is a millisecond late.
CHANGES = {
    "slo: {rt_max_ms: 2000, sl_min: 0.9}": f"slo: {{rt_max_ms: {RT_MAX_MS:g}, sl_min: 0.9}}",
    "max_count: 4}": "max_count: 5, boot_s: 4}",
    "rows_max: 8, margin_ms: 5": "rows_max: 4, margin_ms: 20, queue_requests_max: 30",
    "cooldown_s: 600, min_instances: 2": "cooldown_s: 2.5, maximum_of_steps: 4, min_instances: 1",
    "[[1, 4.0], [8, 8.0]]": "[[1, 83.0], [4, 83.0]]",
}


@dataclass(frozen=True)
class Outcome:
    attainment: float
    usd: float


def stub_config() -> str:
    text = CONFIG
    for before, after in CHANGES.items():
        assert text.count(before) == 1
        text = text.replace(before, after)
    return text


def recorded() -> RecordedLoad:
    """Calm, then more than the fleet of then can carry, then calm; the rates change in the middle of a step."""
    random = np.random.default_rng(6)
    pieces = [(0.0, 7.5, 25.0), (7.5, 20.5, 120.0), (20.5, SECONDS, 25.0)]
    drawn = [random.uniform(begin, end, random.poisson((end - begin) * rate)) for begin, end, rate in pieces]
    return RecordedLoad(np.sort(np.concatenate(drawn)), SECONDS)


async def drive(address: str) -> Outcome:
    """Begin where a step of the controller does, as the simulated load does; the bill is of exactly as long."""
    sleeping = np.array([[-2.0, SERVICE_S, 0.0, 0.0]], np.float32)
    requests = [write_infer_request("doubler", "", "", [("x", "FP32", (1, 4), sleeping)], [])]
    loop = asyncio.get_running_loop()
    async with AsyncClient(address) as client, grpc.aio.insecure_channel(address) as channel:
        ask = status_call(channel)
        await ask()
        uptime_s = (await ask()).uptime_s
        await asyncio.sleep(math.ceil(uptime_s) - uptime_s)
        began_s, before_usd = loop.time(), (await ask()).models[0].cost_usd
        report = await OpenLoop(client, requests).run(recorded().instants_s)
        await asyncio.sleep(began_s + SECONDS - loop.time())
        return Outcome(report.attainment(RT_MAX_MS), (await ask()).models[0].cost_usd - before_usd)


def simulated(file: Path) -> SimulationReport:
    """With the same file, nothing varying, and a fleet that is ready when the load begins."""
    scenario = replace(simulated_scenario(str(file), None), service_variation=0.0, warmup_s_min=WARMUP_S)
    return simulate(scenario, recorded(), "mark")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_attainment_and_cost_agree(make_router: Callable[..., RouterProcess], tmp_path: Path) -> None:
    (tmp_path / "simulated.yaml").write_text(stub_config(), encoding="utf-8")
    expected = simulated(tmp_path / "simulated.yaml")

    def run_once() -> Outcome:
        router = make_router(stub_config())
        measured = asyncio.run(drive(router.address))
        router.stop()
        return measured

    measured = undisturbed(run_once, lambda done: agrees(done, expected))

    fleet, usd = expected.series.fleet["small"], expected.cost.total_usd
    print(f"live {measured}, simulated {expected.attainment} ${usd}, {expected.requests} requests, {fleet} instances")
    assert measured.attainment < 0.97  # something was at stake
    assert fleet[0] < fleet.max() > fleet[-1]  # on both sides: instances are bought, and given back
    assert agrees(measured, expected)


def agrees(measured: Outcome, expected: SimulationReport) -> bool:
    return measured.attainment == pytest.approx(expected.attainment, abs=0.02) and measured.usd == pytest.approx(
        expected.cost.total_usd, rel=0.02
    )
