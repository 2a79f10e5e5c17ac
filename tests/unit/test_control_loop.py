"""The driver of the control path, with a cloud in memory and real time only where it drives."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

import pytest

from mark._core import LatencyProfile, Outcome, WorkerSpec
from mark.controlplane.chronicle import Chronicle
from mark.controlplane.controller import Controller
from mark.controlplane.controller_params import ControllerParams
from mark.controlplane.fleet_rules import FleetRuleParams, FleetRules
from mark.controlplane.slo_monitor import SloMonitorParams
from mark.domain.artifact import ModelArtifact
from mark.domain.bill import Bill, BillLine
from mark.domain.fleet import Instance, InstanceId, InstanceState
from mark.domain.offering import Market, Offering
from mark.domain.plan import Retire
from mark.domain.record import RecordKind
from mark.domain.signature import ModelSignature, TensorSpec
from mark.domain.tls import TlsIdentity
from mark.errors import CloudError, InsufficientCapacity, ModelLoadError
from mark.forecast.baselines import MovingMaximum
from mark.live import control_loop
from mark.live.control_loop import ControlLoop, ControlLoopParams
from mark.live.recorder import MemoryRecorder
from mark.live.request_path import WorkerAddress
from mark.testing import FakeCloud, ManualClock

OFFERING = Offering("small", Market.ON_DEMAND, price_usd_per_hour=0.1, boot_s=1.0, max_count=4)
SPOT = Offering("spot", Market.SPOT, price_usd_per_hour=0.03, boot_s=1.0, max_count=4)
STANDBY = Offering("standby", Market.BURSTABLE, price_usd_per_hour=0.05, boot_s=0.5, max_count=4)
ARTIFACT = ModelArtifact(
    ModelSignature("m", "1", (TensorSpec("x", "FP32", (-1,)),), (TensorSpec("y", "FP32", (-1,)),), 8), "python", "a:b"
)
SPECS = dict.fromkeys(("small", "spot", "standby"), WorkerSpec(LatencyProfile([1], [1_000_000])))


class Statistics:
    """As much of the core's statistics as the control loop reads."""

    submitted_rows = 0
    workers: tuple[object, ...] = ()

    def ended(self, outcome: Outcome) -> int:
        return 0


class Dispatch:
    """A dispatch loop that notes what it is told."""

    def __init__(self) -> None:
        self.rows = Statistics()
        self.workers: dict[int, str] = {}
        self.connected: list[WorkerAddress] = []
        self.drained: list[int] = []
        self.ended = (0, 0)
        self.hung_workers: frozenset[int] = frozenset()
        self.bursts = None

    def statistics(self) -> Statistics:
        return self.rows

    def attained(self) -> tuple[int, int]:
        return self.ended

    def connect_worker(self, worker: int, at: WorkerAddress, spec: object) -> None:
        self.workers[worker] = at.address
        self.connected.append(at)

    async def remove_worker(self, worker: int) -> None:
        self.workers.pop(worker)

    async def drain_worker(self, worker: int) -> None:
        self.drained.append(worker)
        self.workers.pop(worker)


class SteppingCloud(FakeCloud):
    """Virtual time passes while the loop waits for a change, once for each step that the test allows."""

    def __init__(self, offering: Offering, clock: ManualClock) -> None:
        super().__init__([offering, SPOT, STANDBY], clock)
        self.sold_out_at_ns: list[int] = []
        self.waits = 0
        self.steps = threading.Semaphore(0)
        self.manual = clock
        self.refusals: list[CloudError] = []  # of the next calls of terminate
        self.blind: list[CloudError] = []  # of the next calls of list_instances
        self.prices: dict[str, float] = {}  # where they changed

    def offerings(self) -> Sequence[Offering]:
        return [
            replace(each, price_usd_per_hour=self.prices.get(each.name, each.price_usd_per_hour))
            for each in super().offerings()
        ]

    def terminate(self, instance: InstanceId) -> None:
        if self.refusals:
            raise self.refusals.pop()
        super().terminate(instance)

    def list_instances(self) -> Sequence[Instance]:
        if self.blind:
            raise self.blind.pop()
        return super().list_instances()

    def launch(self, offering: str, artifact: ModelArtifact, token: str) -> Instance:
        try:
            return super().launch(offering, artifact, token)
        except InsufficientCapacity:
            self.sold_out_at_ns.append(self.manual.now_ns())
            raise

    def wait_for_change(self, since: int, timeout_s: float) -> int:
        self.waits += 1
        assert self.steps.acquire(timeout=10.0)
        self.manual.advance_s(timeout_s)
        return super().wait_for_change(since, timeout_s)


class World:
    """A control loop and everything around it."""

    def __init__(self, offering: Offering = OFFERING, *more: Offering, step_s: float = 1.0) -> None:
        self.clock = ManualClock()
        self.cloud = SteppingCloud(offering, self.clock)
        self.waits_seen = 0
        self.dispatch = Dispatch()
        self.recorder = MemoryRecorder()
        controller = Controller(
            ("c", "m"), [OFFERING, *more], dict.fromkeys(SPECS, 10.0), MovingMaximum(2, 1.0),
            ControllerParams(
                step_s=step_s, window_s=1.0, horizon_steps=3, cooldown_s=2.0, min_instances=1,
                standbys=frozenset({"standby"}), monitor=SloMonitorParams(sl_min=0.98, requests=100),
            ),
        )  # fmt: skip
        chronicle = Chronicle(("m", "test"), self.recorder, self.cloud.offerings())
        self.fleet = FleetRules("m", controller, FleetRuleParams(drain_lead_s=1.0, unavailable_s=3.0), chronicle)
        numbers = iter(range(1, 1000))
        self.loop = ControlLoop(
            ARTIFACT, self.fleet, self.cloud, self.dispatch, SPECS, lambda: next(numbers)  # type: ignore[arg-type]
        )  # fmt: skip
        params = ControlLoopParams(step_s=step_s, observe_s=0.5)
        self.run = asyncio.ensure_future(self.loop.run(self.clock, params))

    def offer(self, rows_per_s: float) -> None:
        """Let so many rows have been submitted in each second until now."""
        rows = self.dispatch.rows
        rows.submitted_rows = max(rows.submitted_rows, round(self.clock.now_ns() / 1e9 * rows_per_s))

    async def end(self) -> None:
        self.run.cancel()
        self.cloud.steps.release()
        await asyncio.gather(self.run, return_exceptions=True)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Take one step after another until it holds."""
        for _ in range(500):
            await self._settled()
            if self.run.done() or holds():
                break
            self.waits_seen = self.cloud.waits
            self.cloud.steps.release()
        if self.run.done():
            self.run.result()
        assert holds()

    async def _settled(self) -> None:
        """Return once the loop waits for a change again, and what it set off has ended."""
        for _ in range(20_000):
            # What is given back ends on a thread, which may come later than the one that waits.
            if self.run.done() or (self.cloud.waits > self.waits_seen and not self.loop._tasks):
                break
            await asyncio.sleep(0.0005)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.end()


async def test_an_instance_is_linked_once_it_is_ready(world: World) -> None:
    await world.until(lambda: bool(world.dispatch.workers))

    assert list(world.dispatch.workers.values()) == ["fake:small-1"]
    assert world.loop.instances[0].state is InstanceState.READY


async def test_a_link_shows_what_a_cloud_of_mutual_tls_says(monkeypatch: pytest.MonkeyPatch) -> None:
    def link_tls(cloud: SteppingCloud) -> TlsIdentity:
        return TlsIdentity(b"", b"", b"", "worker.c.mark")

    monkeypatch.setattr(SteppingCloud, "link_tls", link_tls, raising=False)
    world = World()
    await world.until(lambda: bool(world.dispatch.connected))

    tls = world.dispatch.connected[0].tls
    assert tls is not None
    assert tls().peer_name == "worker.c.mark"
    await world.end()


async def test_a_router_that_follows_serves_and_launches_nothing_until_it_leads_and_ends_when_it_has_lost_the_lead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turn = {"leads": False, "lost": False}

    def leads(_: SteppingCloud) -> bool:
        if turn["lost"]:
            raise CloudError("another router has taken the lease")
        return turn["leads"]

    monkeypatch.setattr(SteppingCloud, "leads", leads, raising=False)
    monkeypatch.setattr(SteppingCloud, "check_leads", lambda _: None, raising=False)
    world = World()
    world.cloud.launch("small", ARTIFACT, "of the router before")
    await world.until(lambda: list(world.dispatch.workers.values()) == ["fake:small-1"])
    world.offer(28.0)
    began_ns = world.clock.now_ns()
    await world.until(lambda: world.clock.now_ns() > began_ns + 5 * 10**9)
    assert [each.id for each in world.loop.instances] == ["small-1"]

    turn["leads"] = True

    def loaded() -> bool:
        world.offer(28.0)
        return len(world.dispatch.workers) > 1

    await world.until(loaded)
    turn["lost"] = True
    with pytest.raises(CloudError, match="taken the lease"):
        await world.until(lambda: False)


async def test_a_crashed_instance_is_unlinked_and_replaced(world: World) -> None:
    await world.until(lambda: bool(world.dispatch.workers))

    world.cloud.crash(world.loop.instances[0].id)
    await world.until(lambda: list(world.dispatch.workers.values()) == ["fake:small-2"])

    assert [instance.state for instance in world.loop.instances] == [InstanceState.GONE, InstanceState.READY]


async def test_load_grows_the_fleet_and_its_end_drains_it(world: World) -> None:
    await world.until(lambda: bool(world.dispatch.workers))

    def loaded(size: int) -> bool:
        world.offer(28.0)
        return len(world.dispatch.workers) >= size

    await world.until(lambda: loaded(3))
    await world.until(lambda: len(world.dispatch.workers) == 1)

    assert len(world.dispatch.drained) >= 2
    retired = [
        action for record in world.recorder.records("m") for action in record.actions if isinstance(action, Retire)
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


async def test_the_cloud_s_prices_of_the_moment_are_planned_with() -> None:
    world = World(OFFERING, SPOT)
    try:
        await world.until(lambda: bool(world.dispatch.workers))
        (first,) = [each.offering for each in world.loop.instances]
        world.cloud.prices["spot"] = 0.5
        world.cloud.crash(world.loop.instances[0].id)
        await world.until(lambda: len(world.loop.instances) == 2)
    finally:
        await world.end()

    assert (first, world.loop.instances[1].offering) == ("spot", "small")


async def test_the_log_has_the_dollars_of_the_cloud_s_own_bill(monkeypatch: pytest.MonkeyPatch) -> None:
    # As EC2 bills: not what the list says, and for others, too.
    lines = (BillLine(0, "m", "spot", "small", 1.25), BillLine(0, "another", "spot", "small", 8.0))
    monkeypatch.setattr(SteppingCloud, "bill", lambda _: Bill(lines))
    world = World()
    await world.until(lambda: bool(world.dispatch.workers))
    await world.end()

    plan, stop = world.recorder.last("m", (RecordKind.PLAN,)), world.recorder.last("m", (RecordKind.STOP,))
    assert plan is not None
    assert stop is not None
    assert (plan.details["tally"]["usd"], stop.details["tally"]["usd"]) == (1.25, 1.25)


async def test_an_offering_that_is_sold_out_is_left_alone_for_a_while() -> None:
    world = World()
    world.cloud.fail_next_launch("small")
    world.cloud.fail_next_launch("small", CloudError("the wire is cut"))

    await world.until(lambda: bool(world.dispatch.workers))

    # Twice refused: three seconds of silence, then six, then it is had.
    assert len(world.cloud.launched_tokens) == 3
    assert world.clock.now_ns() >= 9e9
    await world.end()


async def test_one_of_an_earlier_router_that_dies_before_it_answers_this_one_is_replaced() -> None:
    world = World(replace(OFFERING, boot_s=1e9))
    adopted = world.cloud.launch("small", ARTIFACT, "of the router before")
    await world.until(lambda: [each.id for each in world.loop.instances] == [adopted.id])

    world.cloud.crash(adopted.id, "taken from it")
    await world.until(lambda: len(world.cloud.launched_tokens) == 2)

    world.cloud.crash(world.cloud.list_instances()[1].id, "exit status 2: no such weights")
    with pytest.raises(ModelLoadError, match="no such weights"):
        await world.until(lambda: False)


async def test_a_model_that_never_starts_ends_the_loop_with_its_words() -> None:
    world = World(replace(OFFERING, boot_s=1e9))
    await world.until(lambda: bool(world.cloud.launched_tokens))

    world.cloud.crash(world.cloud.list_instances()[0].id, "exit status 2: no such weights")

    with pytest.raises(
        ModelLoadError, match="model m does not start on offering small: exit status 2: no such weights"
    ):
        await world.until(world.run.done)


async def with_spot(count: int) -> World:
    """A world whose load needs so many spot instances, which serve."""
    world = World(OFFERING, SPOT, STANDBY)

    def loaded() -> bool:
        world.offer(10.0 * count - 2)
        return sum("spot" in address for address in world.dispatch.workers.values()) >= count

    await world.until(loaded)
    return world


async def test_a_notice_starts_standbys_at_once_and_what_is_taken_is_drained_before_it_goes() -> None:
    world = await with_spot(3)
    serving = {instance.id: instance for instance in world.cloud.list_instances() if instance.offering == "spot"}
    hit = sorted(serving)[:2]
    # Spot is scarce, too: the plan can only turn to the others, and what it launches boots for a second.
    world.cloud.sell_out("spot", world.clock.now_ns() + 20 * 10**9)
    workers = {address: number for number, address in world.dispatch.workers.items()}
    for identity in hit:
        world.cloud.give_notice(identity, notice_s=4.0)
    noticed_ns = world.clock.now_ns()

    def bridged() -> bool:
        world.offer(28.0)
        return any(instance.offering == "standby" for instance in world.cloud.list_instances())

    await world.until(bridged)
    assert world.clock.now_ns() - noticed_ns <= 1e9
    expected = {workers[f"fake:{identity}"] for identity in hit}
    assert expected <= set(world.dispatch.workers)  # they serve on under notice

    def drained() -> bool:
        world.offer(28.0)
        return expected <= set(world.dispatch.drained)

    await world.until(drained)
    assert world.clock.now_ns() - noticed_ns < 4e9  # before the cloud took them
    assert world.loop.draining >= set(hit)

    def replaced() -> bool:
        world.offer(28.0)
        return sum("small" in address for address in world.dispatch.workers.values()) >= 2

    await world.until(replaced)
    gone = {instance.id: instance.detail for instance in world.cloud.list_instances() if instance.ended_at_ns}
    assert {gone.get(identity) for identity in hit} <= {"taken away by the cloud", None}
    await world.end()


async def test_spot_is_returned_to_once_it_is_to_be_had_again_and_the_standbys_go() -> None:
    world = await with_spot(2)
    began_ns = world.clock.now_ns()
    world.cloud.sell_out("spot", began_ns + 20 * 10**9)
    for instance in world.cloud.list_instances():
        if instance.offering == "spot" and instance.ended_at_ns is None:
            world.cloud.give_notice(instance.id, notice_s=4.0)

    def returned() -> bool:
        world.offer(18.0)
        late = world.clock.now_ns() > began_ns + 10 * 10**9
        return late and sum("spot" in address for address in world.dispatch.workers.values()) >= 2

    await world.until(returned)

    def alone() -> bool:
        world.offer(18.0)
        return not any("standby" in address for address in world.dispatch.workers.values())

    await world.until(alone)
    tried = [token for token in world.cloud.launched_tokens if token]
    refusals_ns = [when_ns - began_ns for when_ns in world.cloud.sold_out_at_ns]
    # Refused at first, and then left alone for three seconds, and for six: it is not asked at every tick.
    assert 1 <= len(set(refusals_ns)) <= 4, (tried, refusals_ns)
    await world.end()


async def test_one_that_is_ready_only_after_it_was_let_go_is_not_used() -> None:
    world = World(replace(OFFERING, boot_s=3.0))
    await world.until(lambda: bool(world.cloud.launched_tokens))
    first = world.cloud.list_instances()[0].id
    world.cloud.give_notice(first, notice_s=3.5)

    await world.until(lambda: bool(world.dispatch.workers))

    assert list(world.dispatch.workers.values()) == ["fake:small-2"]
    assert first in {instance.id for instance in world.loop.instances if instance.ready_at_ns}
    await world.end()


async def test_a_broken_promise_adds_the_fastest_kind_between_two_plans_and_the_decision_is_recorded() -> None:
    world = World(OFFERING, STANDBY, step_s=10.0)
    await world.until(lambda: bool(world.dispatch.workers))

    def missed() -> bool:
        world.offer(8.0)
        ended = world.dispatch.rows.submitted_rows
        world.dispatch.ended = (ended, ended // 2)
        return any("standby" in address for address in world.dispatch.workers.values())

    await world.until(missed)

    broken = [each for each in world.recorder.records("m") if "missed the promise" in each.reason]
    assert world.clock.now_ns() < 10e9  # the next plan is yet to come
    assert "added at once: 1 x standby" in broken[0].reason
    await world.end()
