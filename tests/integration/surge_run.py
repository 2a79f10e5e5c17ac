"""A load that doubles within seconds, on a router of this machine, and who carried what: for a test and for a bench."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc.aio
import numpy as np
import numpy.typing as npt

from mark import AsyncClient
from mark._core import write_infer_request
from mark.demo.watch import run_watched, status_call
from mark.workload.open_loop import OpenLoop
from mark.workload.report import OK, LoadReport

__all__ = ["RT_MAX_MS", "WARM", "Carried", "SurgeRun", "config_of", "drive_surge", "surge_instants"]

RT_MAX_MS = 500.0
SERVICE_S = 0.12
WINDOW_S = 10.0
WARM = 5
_RATE_PER_S = 26.0
_RAMP_S = 2.0

# A worker takes 0.12 s for whatever it is given, up to four rows: 32 a second. Another one is there 6 s after it was
# asked for. A function takes as long for one.
_CONFIG = """\
server: {{port: 0, drain_s: 5}}
offerings:
  - {{name: small, price_usd_per_hour: 0.1, max_count: 3, boot_s: 6}}
models:
  - name: doubler
    version: "1"
    runtime: python
    source: doubler_model:make
    inputs: [{{name: x, datatype: FP32, shape: [-1, 4]}}]
    outputs: [{{name: y, datatype: FP32, shape: [-1, 4]}}]
    slo: {{rt_max_ms: {rt_max_ms:g}, sl_min: 0.9}}
    batching: {{rows_max: 4, margin_ms: 20}}
    controller:
      {{step_s: 1, window_s: 1, horizon_steps: 10, headroom: 1.0, maximum_of_steps: 5, cooldown_s: 600,
       min_instances: 1}}
    profiles: {{small: [[1, 125.0], [4, 125.0]]}}
"""
_SERVERLESS = f"""\
    serverless:
      {{price_usd_per_gb_s: 0.0000166667, price_usd_per_request: 0.00002, latency_ms: 200, concurrency_max: 10,
       keep_warm: {WARM}, ping_s: 5, idle_s: 60}}
"""


@dataclass(frozen=True)
class Carried:
    """What had become of all requests until one look at the router."""

    at_s: float
    by_instances: int
    by_functions: int
    not_in_time: int
    instances: int


@dataclass(frozen=True)
class SurgeRun:
    """What came of one run."""

    load: LoadReport
    carried: tuple[Carried, ...]
    status: Any

    def worst_window(self) -> float:
        """The least attainment in ten seconds, wherever they begin, by the client's clock; in all of a shorter run."""
        kept = np.array([status == OK for status in self.load.statuses]) & (self.load.latencies_ms <= RT_MAX_MS)
        instants_s = self.load.instants_s
        begins = instants_s[instants_s <= max(instants_s[0], instants_s[-1] - WINDOW_S)]
        ends = np.searchsorted(instants_s, begins + WINDOW_S)
        sums = np.concatenate([[0], np.cumsum(kept)])
        return float(np.min((sums[ends] - sums[: len(begins)]) / (ends - np.arange(len(begins)))))


def config_of(*, serverless: bool) -> str:
    """The router's configuration."""
    return _CONFIG.format(rt_max_ms=RT_MAX_MS) + (_SERVERLESS if serverless else "")


def surge_instants(calm_s: float, surge_s: float, seed: int = 3) -> npt.NDArray[np.float64]:
    """Arrivals at a steady rate, which then doubles within two seconds and stays."""
    seconds = np.linspace(0.0, calm_s + surge_s, 10_000)
    rates = _RATE_PER_S * (1 + np.clip((seconds - calm_s) / _RAMP_S, 0.0, 1.0))
    counted = np.concatenate([[0.0], np.cumsum(rates[:-1] * np.diff(seconds))])
    # One in each part of equal weight: a rate without the noise of a Poisson process, but no metronome.
    places = np.arange(int(counted[-1])) + np.random.default_rng(seed).random(int(counted[-1]))
    return np.sort(np.interp(places, counted, seconds))


async def drive_surge(
    address: str, instants_s: npt.NDArray[np.float64], on_look: Callable[[Carried], None] | None = None
) -> SurgeRun:
    """Send one request at each instant, and look at the router twice a second."""
    row = np.array([[-2.0, SERVICE_S, 0.0, 0.0]], np.float32)
    requests = [write_infer_request("doubler", "", "", [("x", "FP32", (1, 4), row)], [])]
    loop = asyncio.get_running_loop()
    carried: list[Carried] = []
    async with AsyncClient(address) as client, grpc.aio.insecure_channel(address) as channel:
        ask = status_call(channel)
        await _warm(ask)
        began_s = loop.time()

        async def watch() -> None:
            while True:
                carried.append(_carried((await ask()).models[0], loop.time() - began_s))
                if on_look is not None:
                    on_look(carried[-1])
                await asyncio.sleep(0.5)

        report = await run_watched(OpenLoop(client, requests).run(instants_s), watch())
        status = (await ask()).models[0]
        carried.append(_carried(status, loop.time() - began_s))
    return SurgeRun(report, tuple(carried), status)


async def _warm(ask: Callable[[], Any]) -> None:
    """Until all functions are there that are kept warm, if any are."""
    for _ in range(600):
        status = (await ask()).models[0]
        if not status.HasField("bursts") or status.bursts.functions_warm >= WARM:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"no {WARM} warm functions: {status.bursts}")


def _carried(status: Any, at_s: float) -> Carried:
    by_functions = int(status.bursts.ended["answered"]) if status.HasField("bursts") else 0
    return Carried(
        at_s,
        by_instances=int(status.ended["answered"]) - by_functions,
        by_functions=by_functions,
        not_in_time=int(status.violations),
        instances=sum(instance.state == "ready" for instance in status.instances),
    )
