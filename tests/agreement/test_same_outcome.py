"""One recorded sequence of arrivals, through a real router with stub workers and simulated: attainment and cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from integration.router_process import CONFIG, RouterProcess

from mark import AsyncClient, _core
from mark._core import write_infer_request
from mark.app import parts
from mark.cloud.simulated import CloudBehaviour, SimulatedCloud
from mark.config import load_config
from mark.controlplane.controller import Controller, ControllerParams
from mark.domain.offering import Market
from mark.forecast.baselines import MovingMaximum
from mark.protocol import messages
from mark.sim import World, WorldParams
from mark.sim.load_feed import RecordedFeed
from mark.testing import ManualClock
from mark.workload.open_loop import OpenLoop

RT_MAX_MS = 250.0
SERVICE_S = 0.04
WARMUP_S = 5.0
SECONDS = 40
# A worker takes 40 ms for whatever it is given, up to four rows. Its profile says a little more, as a p99 does.
STUB = CONFIG.replace("slo: {rt_max_ms: 2000, sl_min: 0.9}", f"slo: {{rt_max_ms: {RT_MAX_MS:g}, sl_min: 0.9}}")
STUB = STUB.replace("max_count: 4}", "max_count: 5, boot_s: 3}")
STUB = STUB.replace("rows_max: 8, margin_ms: 5", "rows_max: 4, margin_ms: 5")
STUB = STUB.replace("[[1, 4.0], [8, 8.0]]", "[[1, 43.0], [4, 43.0]]")


@dataclass(frozen=True)
class Outcome:
    attainment: float
    usd: float


def arrivals_s() -> np.ndarray[Any, np.dtype[np.float64]]:
    """Calm, then more than the fleet of then can carry, then calm."""
    random = np.random.default_rng(5)
    pieces = [(0.0, 10.0, 60.0), (10.0, 16.0, 300.0), (16.0, float(SECONDS), 80.0)]
    drawn = [random.uniform(begin, end, random.poisson((end - begin) * rate)) for begin, end, rate in pieces]
    return np.sort(np.concatenate(drawn))


def usd_of(router: RouterProcess) -> float:
    with grpc.insecure_channel(router.address) as channel:
        answer = channel.unary_unary(messages.GET_STATUS)(messages.StatusRequest().SerializeToString(), timeout=5.0)
    return float(messages.StatusResponse.FromString(answer).models[0].cost_usd)


def live(router: RouterProcess) -> Outcome:
    sleeping = np.array([[-2.0, SERVICE_S, 0.0, 0.0]], np.float32)
    requests = [write_infer_request("doubler", "", "", [("x", "FP32", (1, 4), sleeping)], [])]

    async def drive() -> float:
        async with AsyncClient(router.address) as client:
            report = await OpenLoop(client, requests).run(arrivals_s())
            return report.attainment(RT_MAX_MS)

    before_usd = usd_of(router)
    attainment = asyncio.run(drive())
    return Outcome(attainment, usd_of(router) - before_usd)


def simulated(file: Path) -> Outcome:
    config = load_config(file)
    model, offerings = config.models[0], tuple(each.as_offering() for each in config.offerings)
    profiles = model.as_profiles()
    capacities = parts.capacities(model, profiles)
    given = model.controller
    controller = Controller(
        ("mark", model.name),
        offerings,
        capacities,
        MovingMaximum(given.maximum_of_steps, given.headroom),
        ControllerParams(
            step_s=given.step_s,
            window_s=given.window_s,
            horizon_steps=given.horizon_steps,
            cooldown_s=given.cooldown_s,
            min_instances=given.min_instances,
        ),
    )
    clock = ManualClock()
    cloud = SimulatedCloud(offerings, clock, CloudBehaviour(boot_variation=0.0, billed_s_min=0.0))
    batching = model.batching
    params = WorldParams(
        dispatcher=_core.DispatcherParams(
            model.as_slo().rt_max_ns, rows_max=batching.rows_max, margin_ns=round(batching.margin_ms * 1e6)
        ),
        rt_max_ms=RT_MAX_MS,
        specs={name: parts.worker_spec(model, profile) for name, profile in profiles.items()},
        capacities=capacities,
        step_s=given.step_s,
        window_s=given.window_s,
        warmup_s=WARMUP_S,
    )
    world = World(params, RecordedFeed(arrivals_s(), SECONDS, WARMUP_S), cloud, clock, controller)
    world.run(0.0)
    before_usd = cloud.usd(Market.ON_DEMAND)
    world.run()
    usd = cloud.usd(Market.ON_DEMAND) - before_usd
    world.settle()
    return Outcome(world.engine.ended(_core.Ending.INSTANCE) / world.engine.offered, usd)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_attainment_and_cost_agree(make_router: Callable[..., RouterProcess], tmp_path: Path) -> None:
    router = make_router(STUB)
    measured = live(router)
    expected = simulated(tmp_path / "mark.yaml")

    print(f"live {measured}, simulated {expected}, {len(arrivals_s())} requests")
    assert measured.attainment < 0.99  # something was at stake
    assert measured.attainment == pytest.approx(expected.attainment, abs=0.02)
    assert measured.usd == pytest.approx(expected.usd, rel=0.02)
