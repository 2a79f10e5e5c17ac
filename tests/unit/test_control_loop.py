"""The driver of the control path, with a cloud in memory and real time only where it drives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

import pytest

from mark._core import LatencyProfile, WorkerSpec
from mark.controlplane.controller import Controller, ControllerParams
from mark.domain.artifact import ModelArtifact
from mark.domain.fleet import Instance, InstanceId, InstanceState
from mark.domain.offering import Market, Offering
from mark.domain.plan import Retire
from mark.domain.signature import ModelSignature, TensorSpec
from mark.errors import CloudError, ModelLoadError
from mark.forecast.baselines import MovingMaximum
from mark.live import control_loop
from mark.live.control_loop import ControlLoop, ControlLoopParams
from mark.live.recorder import MemoryRecorder
from mark.testing import FakeCloud, ManualClock

OFFERING = Offering("small", Market.ON_DEMAND, price_usd_per_hour=0.1, boot_s=1.0, max_count=4)
ARTIFACT = ModelArtifact(
    ModelSignature("m", "1", (TensorSpec("x", "FP32", (-1,)),), (TensorSpec("y", "FP32", (-1,)),), 8), "python", "a:b"
)


class Statistics:
    """As much of the core's statistics as the control loop reads."""

    submitted_rows = 0
    workers: tuple[object, ...] = ()


class Dispatch:
    """A dispatch loop that notes what it is told."""

    def __init__(self) -> None:
        self.rows = Statistics()
        self.workers: dict[int, str] = {}
        self.drained: list[int] = []
        self.hung_workers: frozenset[int] = frozenset()

    def statistics(self) -> Statistics:
        return self.rows

    def add_worker(self, worker: int, link: object, spec: object) -> None:
        self.workers[worker] = link.address  # type: ignore[attr-defined]

    async def remove_worker(self, worker: int) -> None:
        self.workers.pop(worker)

    async def drain_worker(self, worker: int) -> None:
        self.drained.append(worker)
        self.workers.pop(worker)


class SteppingCloud(FakeCloud):
    """Virtual time passes while the loop waits for a change, and stops while the test looks."""

    def __init__(self, offering: Offering, clock: ManualClock) -> None:
        super().__init__([offering], clock)
        self.manual = clock
        self.refusals: list[CloudError] = []  # of the next calls of terminate
        self.blind: list[CloudError] = []  # of the next calls of list_instances

    def terminate(self, instance: InstanceId) -> None:
        if self.refusals:
            raise self.refusals.pop()
        super().terminate(instance)

    def list_instances(self) -> Sequence[Instance]:
        if self.blind:
            raise self.blind.pop()
        return super().list_instances()

    def wait_for_change(self, since: int, timeout_s: float) -> int:
        self.manual.advance_s(timeout_s)
        return super().wait_for_change(since, timeout_s)


class World:
    """A control loop and everything around it."""

    def __init__(self, offering: Offering = OFFERING) -> None:
        self.clock = ManualClock()
        self.cloud = SteppingCloud(offering, self.clock)
        self.dispatch = Dispatch()
        self.recorder = MemoryRecorder()
        controller = Controller(
            ("c", "m"), [OFFERING], {"small": 10.0}, MovingMaximum(2, 1.0),
            ControllerParams(step_s=1.0, window_s=1.0, horizon_steps=3, cooldown_s=2.0, min_instances=1),
        )  # fmt: skip
        numbers = iter(range(1, 1000))
        spec = WorkerSpec(LatencyProfile([1], [1_000_000]))
        self.loop = ControlLoop(
            ARTIFACT, controller, self.cloud, self.dispatch, {"small": spec}, lambda: next(numbers)  # type: ignore[arg-type]
        )  # fmt: skip
        params = ControlLoopParams(step_s=1.0, observe_s=0.5, unavailable_s=3.0)
        self.run = asyncio.ensure_future(self.loop.run(self.clock, self.recorder, params))

    async def until(self, holds: Callable[[], bool]) -> None:
        for _ in range(2000):
            if holds() or self.run.done():
                break
            await asyncio.sleep(0.001)
        if self.run.done():
            self.run.result()
        assert holds()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    made.run.cancel()
    await asyncio.gather(made.run, return_exceptions=True)


async def test_an_instance_is_linked_once_it_is_ready(world: World) -> None:
    await world.until(lambda: bool(world.dispatch.workers))

    assert list(world.dispatch.workers.values()) == ["fake:small-1"]
    assert world.loop.instances[0].state is InstanceState.READY


async def test_a_crashed_instance_is_unlinked_and_replaced(world: World) -> None:
    await world.until(lambda: bool(world.dispatch.workers))

    world.cloud.crash(world.loop.instances[0].id)
    await world.until(lambda: list(world.dispatch.workers.values()) == ["fake:small-2"])

    assert [instance.state for instance in world.loop.instances] == [InstanceState.GONE, InstanceState.READY]


async def test_load_grows_the_fleet_and_its_end_drains_it(world: World) -> None:
    await world.until(lambda: bool(world.dispatch.workers))

    target = 0

    def loaded(size: int) -> bool:
        nonlocal target
        target += 1
        world.dispatch.rows.submitted_rows = max(
            world.dispatch.rows.submitted_rows, round(world.clock.now_ns() / 1e9 * 28)
        )
        return len(world.dispatch.workers) >= size

    await world.until(lambda: loaded(3))
    await world.until(lambda: len(world.dispatch.workers) == 1)

    assert len(world.dispatch.drained) >= 2
    retired = [
        action
        for decision in world.recorder.decisions("m")
        for action in decision.actions
        if isinstance(action, Retire)
    ]
    assert len(retired) == len({action.instance for action in retired}) == len(world.dispatch.drained)
    gone = [instance for instance in world.cloud.list_instances() if instance.state is InstanceState.GONE]
    assert {instance.detail for instance in gone} == {"terminated"}


async def test_an_instance_whose_worker_hangs_is_given_back_and_replaced(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_loop, "_GIVE_BACK_AGAIN_S", 0.0)
    await world.until(lambda: bool(world.dispatch.workers))
    world.cloud.refusals.append(CloudError("the wire is cut"))  # it is tried again until it is gone

    world.dispatch.hung_workers = frozenset(world.dispatch.workers)
    await world.until(lambda: list(world.dispatch.workers.values()) == ["fake:small-2"])

    await world.until(lambda: world.cloud.list_instances()[0].state is InstanceState.GONE)
    assert world.cloud.refusals == []


async def test_a_cloud_that_does_not_answer_changes_nothing(world: World) -> None:
    await world.until(lambda: bool(world.dispatch.workers))

    world.cloud.blind.append(CloudError("throttled"))
    await world.until(lambda: world.cloud.blind == [])

    assert list(world.dispatch.workers.values()) == ["fake:small-1"]


async def test_an_offering_that_is_sold_out_is_left_alone_for_a_while() -> None:
    world = World()
    world.cloud.fail_next_launch("small")
    world.cloud.fail_next_launch("small", CloudError("the wire is cut"))

    await world.until(lambda: bool(world.dispatch.workers))

    # Twice refused: three seconds of silence, then six, then it is had.
    assert len(world.cloud.launched_tokens) == 3
    assert world.clock.now_ns() >= 9e9
    world.run.cancel()
    await asyncio.gather(world.run, return_exceptions=True)


async def test_a_model_that_never_starts_ends_the_loop_with_its_words() -> None:
    world = World(replace(OFFERING, boot_s=1e9))
    await world.until(lambda: bool(world.cloud.launched_tokens))

    world.cloud.crash(world.cloud.list_instances()[0].id, "exit status 2: no such weights")

    with pytest.raises(
        ModelLoadError, match="model m does not start on offering small: exit status 2: no such weights"
    ):
        await asyncio.wait_for(world.run, 10)
