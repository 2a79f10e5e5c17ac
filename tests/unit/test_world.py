"""The control loop in virtual time: what it does with a fleet, and that nothing is lost or counted twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from mark import _core
from mark.cloud.simulated import CloudBehaviour, Interruption, SimulatedCloud
from mark.controlplane.controller import Controller
from mark.controlplane.controller_params import ControllerParams
from mark.controlplane.slo_monitor import SloMonitorParams
from mark.controlplane.snapshot import Snapshot
from mark.domain.fleet import InstanceId
from mark.domain.forecast import Forecast
from mark.domain.load import LoadChunk
from mark.domain.offering import Market, Offering
from mark.domain.plan import Action, Decision, Launch, Retire
from mark.forecast.baselines import MovingMaximum
from mark.sim import World, WorldParams
from mark.sim.load_feed import LoadFeed, RecordedFeed
from mark.sim.report import report_of
from mark.testing import ManualClock

LATENCY_MS = 100.0
SMALL = Offering("small", Market.ON_DEMAND, 1.0, boot_s=60.0, max_count=50)
SPOT = Offering("small/spot", Market.SPOT, 0.3, boot_s=60.0, max_count=50)
STANDBY = Offering("t", Market.BURSTABLE, 0.5, boot_s=30.0, max_count=50, baseline_share=0.2, credits_s=1800.0)
EXACT = CloudBehaviour(boot_variation=0.0)
RETIRE = Retire(InstanceId("small-1"), "")

Script = dict[int, list[Action]]


@dataclass
class Rates:
    """A load of one chunk: (end in seconds, rate per second)."""

    stretches: Sequence[tuple[float, float]]

    def chunks(self) -> Iterator[LoadChunk]:
        ends, rates = zip(*self.stretches, strict=True)
        yield LoadChunk(np.array(ends, dtype=np.float64), np.array(rates, dtype=np.float64))


@dataclass
class Scripted:
    """A controller that does what it is told at each tick, and remembers what it was told."""

    script: Script = field(default_factory=dict)
    ticks: list[Snapshot] = field(default_factory=list)
    observed: list[tuple[int, int]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    watched: list[tuple[int, int, int]] = field(default_factory=list)
    capacities: dict[str, float] = field(default_factory=dict)
    corrections: dict[str, float] = field(default_factory=dict)

    def observe(self, now_ns: int, submitted_rows: int) -> None:
        self.observed.append((now_ns, submitted_rows))

    def correct(self, offering: str, factor: float) -> None:
        self.corrections[offering] = factor

    def priced(self, offerings: Sequence[Offering]) -> None:
        pass

    def offering_unavailable(self, offering: str, until_ns: int) -> None:
        self.refused.append(offering)

    def watch(self, snapshot: Snapshot, ended: int, in_time: int) -> Decision | None:
        self.watched.append((snapshot.now_ns, ended, in_time))
        return None

    def bridge(self, snapshot: Snapshot) -> Decision | None:
        return None

    def tick(self, snapshot: Snapshot) -> Decision:
        self.ticks.append(snapshot)
        actions = tuple(self.script.get(len(self.ticks) - 1, []))
        return Decision(snapshot.now_ns, actions, Forecast(60.0, (7.0,), "script"), 0.0, 0.0, "scripted")


def launches(count: int, offering: str = "small") -> list[Action]:
    return [Launch(offering, token=f"{offering} {number}", reason="") for number in range(count)]


def params_of(offerings: Sequence[Offering], **changes: object) -> WorldParams:
    profile = _core.LatencyProfile([1], [round(LATENCY_MS * 1e6)])
    values: dict[str, object] = {
        "dispatcher": _core.DispatcherParams(500_000_000, rows_max=1),
        "rt_max_ms": 500.0,
        "specs": {offering.name: _core.WorkerSpec(profile, rows_max=1) for offering in offerings},
        "capacities": dict.fromkeys((offering.name for offering in offerings), 10.0),
        "warmup_s": 0.0,
    }
    return WorldParams(**(values | changes))  # type: ignore[arg-type]


@dataclass
class Run:
    world: World
    cloud: SimulatedCloud
    clock: ManualClock
    duration_s: float


def run(
    stretches: Sequence[tuple[float, float]],
    controller: Scripted | Controller,
    offerings: Sequence[Offering] = (SMALL,),
    behaviour: CloudBehaviour = EXACT,
    **changes: object,
) -> Run:
    clock = ManualClock()
    cloud = SimulatedCloud(offerings, clock, behaviour)
    params = params_of(offerings, **changes)
    world = World(params, LoadFeed(Rates(stretches), params.warmup_s), cloud, clock, controller)
    duration_s = world.run()
    world.settle()
    return Run(world, cloud, clock, duration_s)


def ended(world: World) -> int:
    return sum(world.engine.ended(ending) for ending in _core.Ending)


def test_every_request_is_counted_once_and_the_controller_sees_them_all() -> None:
    controller = Scripted({0: launches(3)})
    done = run([(300.0, 20.0)], controller)

    assert done.duration_s == 300.0
    assert done.world.engine.offered == ended(done.world) == done.world.engine.arrived
    assert controller.observed[-1] == (300_000_000_000, done.world.engine.offered)
    assert [snapshot.now_ns for snapshot in controller.ticks] == [n * 60_000_000_000 for n in range(5)]
    assert set(controller.corrections.values()) == {1.0}  # its workers do as their profile says


def test_what_arrives_before_anyone_is_ready_waits_and_expires() -> None:
    done = run([(120.0, 20.0)], Scripted({0: launches(3)}))

    offered, in_time = done.world.engine.offered_by_bin, done.world.engine.in_time_by_bin
    assert in_time[0] < 0.02 * offered[0]  # but for the last half second
    assert in_time[1] == offered[1]


def test_an_instance_is_paid_from_its_billed_boot_to_its_end() -> None:
    # Launched at 0, ready at 60, drained at 180 with nothing to do.
    script: Script = {0: launches(1), 3: [RETIRE]}
    done = run([(300.0, 0.0)], Scripted(script))

    report = report_of(done.world, ("s", "p"), done.duration_s, 1.0)
    assert report.cost.on_demand_usd == pytest.approx(180 / 3600)
    assert report.series.fleet["small"].tolist() == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert report.series.usd_by_market["on_demand"].sum() == pytest.approx(report.cost.total_usd)


def test_a_drained_instance_ends_only_when_it_has_answered() -> None:
    slow = _core.WorkerSpec(_core.LatencyProfile([1], [20_000_000_000]), rows_max=1)
    script: Script = {0: launches(1), 2: [RETIRE]}
    dispatcher = _core.DispatcherParams(60_000_000_000, rows_max=1)
    done = run(
        [(119.0, 0.0), (119.9, 1.2), (240.0, 0.0)],
        Scripted(script),
        specs={"small": slow},
        dispatcher=dispatcher,
        rt_max_ms=60_000.0,
        seed=3,
    )

    assert done.world.engine.ended(_core.Ending.INSTANCE) >= 1
    gone = done.cloud.list_instances()[0]
    assert gone.ended_at_ns is not None
    assert gone.ended_at_ns >= 135e9  # it was busy until then


def test_a_drained_instance_is_not_paid_until_the_next_window() -> None:
    params = params_of(
        [SMALL],
        specs={"small": _core.WorkerSpec(_core.LatencyProfile([1], [2_000_000_000]), rows_max=1)},
        dispatcher=_core.DispatcherParams(5_000_000_000, rows_max=1),
    )
    clock = ManualClock()
    cloud = SimulatedCloud((SMALL,), clock, EXACT)
    feed = RecordedFeed(np.array([119.1]), 240.0, 0.0)
    World(params, feed, cloud, clock, Scripted({0: launches(1), 2: [RETIRE]})).run()

    ended_at_ns = cloud.list_instances()[0].ended_at_ns
    assert ended_at_ns is not None
    assert 121.1e9 <= ended_at_ns <= 121.13e9  # retired at 120, in the middle of a batch


def test_a_refused_offering_is_told_to_the_controller() -> None:
    one = Offering("small", Market.ON_DEMAND, 1.0, boot_s=60.0, max_count=1)
    controller = Scripted({0: launches(3)})
    run([(60.0, 0.0)], controller, offerings=(one,))

    assert controller.refused == ["small"]  # of two in one decision


def test_a_launch_that_is_not_ready_when_it_is_retired_is_given_back_at_once() -> None:
    script: Script = {0: launches(1), 1: [RETIRE]}
    slow = Offering("small", Market.ON_DEMAND, 1.0, boot_s=600.0, max_count=5, launch_overhead_s=60.0)
    done = run([(180.0, 0.0)], Scripted(script), offerings=(slow,))

    assert done.cloud.list_instances()[0].ended_at_ns == 60e9
    assert report_of(done.world, ("s", "p"), done.duration_s, 1.0).cost.total_usd == 0


def test_a_warm_up_is_neither_counted_nor_paid() -> None:
    with_it = run([(300.0, 20.0)], Scripted({0: launches(3)}), warmup_s=600.0)

    assert with_it.duration_s == 300.0
    report = report_of(with_it.world, ("s", "p"), with_it.duration_s, 1.0)
    assert report.requests == pytest.approx(6000, rel=0.05)
    assert with_it.world.engine.arrived > 2 * report.requests
    assert report.attainment > 0.999
    assert report.cost.total_usd == pytest.approx(3 * 300 / 3600)
    assert len(report.series.offered) == 5


def controller_of(offerings: Sequence[Offering], **changes: object) -> Controller:
    params = ControllerParams(horizon_steps=20, cooldown_s=60.0, **changes)  # type: ignore[arg-type]
    capacities = dict.fromkeys((offering.name for offering in offerings), 10.0)
    return Controller(("test", "m"), offerings, capacities, MovingMaximum(5, 1.2), params)


def test_the_live_controller_follows_the_load_up_and_down() -> None:
    done = run([(1200.0, 10.0), (2400.0, 60.0), (4800.0, 10.0)], controller_of([SMALL]), warmup_s=600.0)

    fleet = report_of(done.world, ("s", "p"), done.duration_s, 1.0).series.fleet["small"]
    assert fleet[15] <= 3
    assert fleet[35] >= 7
    assert fleet[-1] <= 3


def interrupted(standbys: frozenset[str]) -> Run:
    offerings = [SPOT, STANDBY, SMALL]
    behaviour = CloudBehaviour(boot_variation=0.0, interruptions=(Interruption(900.0, 0.8),))
    on_credits = {"t": _core.CreditParams(baseline_share=0.2, credits_s=1800.0, credits_max_s=86_400.0)}
    controller = controller_of(offerings, standbys=standbys)
    return run([(1800.0, 60.0)], controller, offerings, behaviour, warmup_s=600.0, credits=on_credits)


def test_an_interruption_of_four_fifths_loses_nothing() -> None:
    done = interrupted(frozenset({"t"}))

    report = report_of(done.world, ("s", "p"), done.duration_s, 1.0)
    assert report.interruptions >= 7
    assert report.attainment == 1.0
    assert report.cost.burstable_usd > 0  # standbys stood in
    assert report.series.fleet["t"].max() >= 1
    assert report.series.fleet["t"][-1] == 0  # and went again


def test_the_same_seed_gives_the_same_report() -> None:
    reports = [
        report_of(done.world, ("s", "p"), done.duration_s, 1.0)
        for done in (interrupted(frozenset({"t"})), interrupted(frozenset({"t"})))
    ]
    assert reports[0].as_dict() == reports[1].as_dict()
    assert reports[0].series.latency_shares.tolist() == reports[1].series.latency_shares.tolist()


def test_functions_take_what_no_instance_can() -> None:
    functions = _core.FunctionPoolParams(200_000_000, concurrency_max=100)
    functions.set_warmth(idle_max_ns=10**12, keep_warm=50, ping_interval_ns=300_000_000_000)
    functions.set_price(usd_per_request=1e-6, usd_per_s=1e-5, billed_quantum_ns=1_000_000)
    done = run([(600.0, 40.0)], Scripted({0: launches(2)}), functions=functions)

    report = report_of(done.world, ("s", "p"), done.duration_s, 1.0)
    assert report.attainment == 1.0
    assert report.served.instances == pytest.approx(540 * 20, rel=0.03)
    assert report.served.serverless == pytest.approx(600 * 40 - 540 * 20, rel=0.03)
    pings = 2 * 50 * (1e-6 + 1e-5 * 1e-3)
    assert report.cost.serverless_usd == pytest.approx(report.served.serverless * 3e-6 + pings, rel=0.01)


def test_progress_is_told_in_simulated_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    ticking = iter(range(10**6))
    monkeypatch.setattr("mark.sim.world.time.monotonic", lambda: float(next(ticking)))
    clock = ManualClock()
    told: list[float] = []
    world = World(
        params_of((SMALL,)), LoadFeed(Rates([(60.0, 1.0)]), 0.0), SimulatedCloud((SMALL,), clock), clock, Scripted()
    )
    world.run(on_progress=told.append)

    assert told == [5.0 * n for n in range(1, 13)]


def test_a_run_may_end_before_its_load_does() -> None:
    clock = ManualClock()
    world = World(
        params_of((SMALL,)), LoadFeed(Rates([(600.0, 5.0)]), 0.0), SimulatedCloud((SMALL,), clock), clock, Scripted()
    )

    assert world.run(90.0) == 90.0
    assert len(world.history.forecast_per_s()) == 2  # the second bin is half as long


def test_the_mean_latency_of_each_minute_is_that_of_what_was_answered_in_it() -> None:
    # Nothing serves in the first minute, and one request at a time takes its 100 ms after it.
    done = run([(60.0, 0.0), (180.0, 0.5), (240.0, 0.0)], Scripted({0: launches(3)}))

    report = report_of(done.world, ("s", "p"), done.duration_s, 1.0)
    quiet, *busy, after = report.series.latency_mean_ms.tolist()
    assert quiet == after == 0.0
    assert busy == pytest.approx([LATENCY_MS, LATENCY_MS], rel=0.05)


def test_the_promise_is_watched_once_a_second_between_the_windows() -> None:
    controller = Scripted({0: launches(3)})
    done = run([(90.0, 20.0)], controller, watch_s=1.0)

    instants_ns = [watched[0] for watched in controller.watched]
    assert instants_ns == [second * 1_000_000_000 for second in range(91)]
    _, counted, in_time = controller.watched[-1]
    assert 0 < in_time < counted <= ended(done.world)


def test_it_is_not_watched_unless_it_is_asked_for() -> None:
    controller = Scripted({0: launches(3)})
    run([(90.0, 20.0)], controller)

    assert controller.watched == []


def surge(monitor: SloMonitorParams | None) -> Run:
    """Four times the load, eleven seconds before the next plan; what is launched serves after ten."""
    fast = replace(SMALL, boot_s=10.0)
    return run(
        [(1209.0, 9.0), (1500.0, 36.0)],
        controller_of([fast], monitor=monitor),
        (fast,),
        watch_s=None if monitor is None else 1.0,
        warmup_s=600.0,
    )


def test_a_surge_between_two_plans_is_met_by_the_monitor_and_not_fought_by_the_planner() -> None:
    plain, watched = surge(None), surge(SloMonitorParams(sl_min=0.98, requests=100))

    reports = [report_of(done.world, ("s", "p"), done.duration_s, 1.0) for done in (plain, watched)]
    missed = [(1 - report.attainment) * report.requests for report in reports]
    # The next plan comes 51 s after the surge; the monitor needs a window to see the load, and ten seconds to boot.
    assert missed[1] < 0.5 * missed[0]
    began_ns = 600e9 + 1209e9
    launched_ns = [
        [each.launched_at_ns for each in done.cloud.list_instances() if each.launched_at_ns >= began_ns]
        for done in (plain, watched)
    ]
    assert min(launched_ns[0]) == 1860e9
    assert min(launched_ns[1]) == began_ns + 1e9
    # The plan finds running what was added: at 1860 it has nothing to launch, and it lets nothing go that serves.
    assert not [at_ns for at_ns in launched_ns[1] if at_ns == 1860e9]
    assert reports[1].series.fleet["small"][20:].min() >= 5
