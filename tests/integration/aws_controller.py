"""Controllers of one cluster on a fake AWS, in processes that a test kills at any line.

Run as a program it imports everything once, and forks a controller for each order that it reads: a restart then takes
milliseconds, not the second that imports take. What it prints is JSON, one line for each event.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from mark._core import LatencyProfile, Outcome, WorkerSpec
from mark.cloud.aws.cloud import AwsCloud, AwsParts
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsOffering, AwsSettings, Rhythm
from mark.controlplane.controller import Controller
from mark.controlplane.controller_params import ControllerParams
from mark.controlplane.fleet_rules import FleetRuleParams, FleetRules
from mark.domain.artifact import ModelArtifact
from mark.domain.fleet import InstanceState
from mark.domain.forecast import Forecast
from mark.domain.offering import Market, Offering
from mark.domain.signature import ModelSignature, TensorSpec
from mark.errors import MarkError
from mark.live.clock import SteadyClock
from mark.live.control_loop import ControlLoop, ControlLoopParams
from mark.live.request_path import WorkerAddress

__all__ = ["CLUSTER", "OFFERINGS", "PER_INSTANCE", "STANDBYS", "Order", "settings_of"]

CLUSTER = "crash"
PER_INSTANCE = 10.0  # rows per second
STANDBYS = 2
# Spot is hardly cheaper, and a launch dear: what runs is never swapped, so that a plan is a number of instances.
_CPU = Offering("cpu", Market.ON_DEMAND, 0.0850, boot_s=0.0, max_count=20, launch_overhead_s=60.0)
_SPOT = Offering("spot", Market.SPOT, 0.0849, boot_s=0.0, max_count=4, launch_overhead_s=60.0)
_BURST = Offering("burst", Market.BURSTABLE, 0.04, boot_s=0.0, max_count=STANDBYS, stopped=STANDBYS)
OFFERINGS = (
    AwsOffering(_CPU, ("c5.large", "c5.xlarge")),
    AwsOffering(_SPOT, ("c5.large", "m5.large")),
    AwsOffering(_BURST, ("t3.medium",)),
)
ARTIFACT = ModelArtifact(
    ModelSignature("m", "1", (TensorSpec("x", "FP32", (-1,)),), (TensorSpec("y", "FP32", (-1,)),), 8), "python", "a:b"
)


@dataclass(frozen=True)
class Order:
    """What one controller is to do: carry a load, or give everything back."""

    load_per_s: float
    teardown: bool = False


def settings_of(endpoint_url: str, worker_port: int) -> AwsSettings:
    """The cluster, at a rhythm that suits a test."""
    rhythm = Rhythm(
        describe_s=0.1, describe_soon_s=0.03, probe_s=0.02, lease_s=0.6, orphan_after_s=1.0, unavailable_s=0.2,
        prices_s=60.0, boot_max_s=20.0,
    )  # fmt: skip
    return AwsSettings(
        CLUSTER, "us-east-1", OFFERINGS, endpoint_url=endpoint_url, worker_port=worker_port, install="", rhythm=rhythm
    )


class Given:
    """Forecasts the load that was ordered."""

    def __init__(self, load_per_s: float) -> None:
        self._load_per_s = load_per_s

    def forecast(self, maxima_per_s: npt.NDArray[np.float64], step_s: float, horizon_steps: int) -> Forecast:
        return Forecast(step_s, (self._load_per_s,) * horizon_steps, "order")


class Load:
    """What the control loop reads of a dispatch loop: the load comes, and nothing ever fails."""

    hung_workers: frozenset[int] = frozenset()
    workers: tuple[object, ...] = ()
    bursts = None

    def __init__(self, load_per_s: float) -> None:
        self._began_s = time.monotonic()
        self._load_per_s = load_per_s

    @property
    def submitted_rows(self) -> int:
        return round((time.monotonic() - self._began_s) * self._load_per_s)

    def statistics(self) -> Load:
        return self

    def ended(self, outcome: Outcome) -> int:
        return 0

    def attained(self) -> tuple[int, int]:
        return 0, 0

    def connect_worker(self, worker: int, at: WorkerAddress, spec: object) -> None:
        """Nothing is sent to it."""

    async def remove_worker(self, worker: int) -> None:
        """It had nothing to do."""

    async def drain_worker(self, worker: int) -> None:
        """Likewise."""


def say(**event: object) -> None:
    os.write(1, (json.dumps(event) + "\n").encode())


def control(settings: AwsSettings, order: Order) -> None:
    """Do what is ordered until killed; says "settled" once the cloud is as it should be."""
    clock = SteadyClock()
    parts = AwsParts(AwsSession(settings), user_data=lambda offering, artifact: "#cloud-config\n{}\n")
    cloud = AwsCloud(settings, clock, parts)
    cloud.open()
    say(opened=os.getpid())
    if order.teardown:
        cloud.close()
        say(settled=os.getpid())
        time.sleep(60.0)
    cloud.prepare(ARTIFACT)
    names = [each.offering.name for each in OFFERINGS]
    controller = Controller(
        (f"{CLUSTER}/{os.getpid()}-{time.time_ns()}", "m"), [each.offering for each in OFFERINGS],
        dict.fromkeys(names, PER_INSTANCE), Given(order.load_per_s),
        ControllerParams(
            step_s=0.2, window_s=0.1, horizon_steps=3, cooldown_s=0.2, min_instances=1, standbys=frozenset({"burst"}),
            policy="greedy",
        ),
    )  # fmt: skip
    specs = dict.fromkeys(names, WorkerSpec(LatencyProfile([1], [1_000_000])))
    numbers = iter(range(1, 1_000_000))
    loop = ControlLoop(
        ARTIFACT, FleetRules("m", controller, FleetRuleParams(drain_lead_s=0.1, unavailable_s=0.3)), cloud,
        Load(order.load_per_s), specs, lambda: next(numbers),  # type: ignore[arg-type]
    )  # fmt: skip
    asyncio.run(_drive(loop, cloud, clock, order))


async def _drive(loop: ControlLoop, cloud: AwsCloud, clock: SteadyClock, order: Order) -> None:
    running = asyncio.ensure_future(
        loop.run(clock, ControlLoopParams(step_s=0.2, observe_s=0.05))
    )  # fmt: skip
    wanted = max(1, -(-order.load_per_s // PER_INSTANCE))
    settled = False
    while not running.done():
        await asyncio.wait({running}, timeout=0.05)
        alive = [each for each in cloud.list_instances() if each.state is not InstanceState.GONE]
        serving = [each for each in alive if each.state is InstanceState.READY and each.offering != "burst"]
        if not settled and len(alive) == len(serving) == wanted:
            settled = True
            say(settled=os.getpid())
    running.result()


def main(arguments: Sequence[str]) -> None:
    logging.basicConfig(level=logging.ERROR, format="%(process)d %(asctime)s %(levelname)s %(message)s")
    settings = settings_of(arguments[0], int(arguments[1]))
    for line in sys.stdin:
        order = Order(**json.loads(line))
        child = os.fork()
        if child == 0:
            try:
                control(settings, order)
            except MarkError as error:
                say(failed=f"{type(error).__name__}: {error}")
            finally:
                os._exit(1)
        say(started=child, order=asdict(order))
        _, status = os.waitpid(child, 0)
        say(ended=child, status=status)


if __name__ == "__main__":
    main(sys.argv[1:])
