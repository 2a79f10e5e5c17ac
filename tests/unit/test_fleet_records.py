"""What a control loop writes down of its fleet: interruptions with all that came of them, refusals, losses, plans."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from unit.recorded_world import RecordedWorld, settled

from mark.controlplane.chronicle import Chronicle, Scene
from mark.controlplane.fleet_events import FleetEvents
from mark.controlplane.fleet_rules import FleetRuleParams, FleetRules
from mark.controlplane.fleet_view import FleetChange
from mark.controlplane.snapshot import Snapshot
from mark.controlplane.tallies import Tally
from mark.domain.fleet import TAKEN_AWAY, Instance, InstanceId, InstanceState
from mark.domain.forecast import Forecast
from mark.domain.plan import Decision, Launch, Retire
from mark.domain.record import RecordKind
from mark.live.recorder import MemoryRecorder

S = 1_000_000_000


def test_a_plan_says_what_it_saw_what_it_did_and_what_else_there_was() -> None:
    world = settled()

    first = next(each for each in world.records(RecordKind.PLAN) if each.actions and each.snapshot.load_per_s == 60.0)
    assert first.id.startswith(f"{first.model}-run-")
    assert first.unix_s == 1000.0 + first.at_ns / 1e9
    assert {action.offering for action in first.actions if isinstance(action, Launch)} == {"spot"}
    assert first.snapshot.prices_usd_per_hour == {"plain": 0.10, "spot": 0.03, "standby": 0.05, "later": 0.04}
    assert first.snapshot.capacities_per_s["spot"] == 10.0
    assert first.snapshot.forecast is not None
    (best, *_) = first.alternatives
    assert best.what.endswith("plain instead of 6 new spot") or "spot" in best.what
    assert best.extra_usd is not None
    assert best.extra_usd > 0
    last = world.records()[-1]
    assert last.kind is RecordKind.PLAN
    assert abs(last.usd_per_hour - 6 * 0.03) < 1e-9
    assert [each.market for each in last.snapshot.instances] == ["spot"] * 6
    assert last.snapshot.capacity_per_s == 60.0


def test_a_plan_tells_the_load_since_the_plan_before() -> None:
    world = settled()

    arrivals = [each.details["arrivals"] for each in world.records(RecordKind.PLAN)]
    assert all(before[-1] == after[0] for before, after in pairwise(arrivals[1:]))
    assert arrivals[-1][-1] == [world.clock.now_ns(), world.rows]


def test_an_interruption_and_all_that_comes_of_it_carry_its_id() -> None:
    world = settled()
    world.interrupted(4)
    world.sold_out.add("spot")
    for _ in range(3):
        world.step()

    (notice,) = world.records(RecordKind.INTERRUPTION)
    story = [each for each in world.records() if each.details.get("interruption") == notice.id]
    assert "the cloud takes 4 of 6 spot instances away" in notice.reason
    assert notice.details["share"] == 4 / 6
    assert notice.details["lost_usd_per_hour"] == 4 * 0.03
    assert len(notice.snapshot.draining) == 4
    bridge, *rest = story
    assert bridge.kind is RecordKind.BRIDGE
    assert [action.offering for action in bridge.actions if isinstance(action, Launch)] == ["standby"] * 4
    assert abs(bridge.usd_per_hour - (2 * 0.03 + 4 * 0.05)) < 1e-9
    assert [(each.what, each.reason) for each in bridge.alternatives] == [
        ("4 x later", "it is ready in 1 s, not 0.5 s"),
        ("3 x spot", "it is ready in 2 s, not 0.5 s; 4 would be needed, and no more may exist"),
        ("4 x plain", "it is ready in 2 s, not 0.5 s"),
        ("nothing", "40 rows/s would find no instance until others serve"),
    ]
    assert [round(each.extra_usd or 0.0, 6) for each in bridge.alternatives] == [-0.04, -0.11, 0.2, -0.2]
    kinds = [each.kind for each in rest]
    assert RecordKind.REFUSAL in kinds
    planned = [each for each in rest if each.kind is RecordKind.PLAN and each.actions]
    assert {a.offering for each in planned for a in each.actions if isinstance(a, Launch)} == {"spot", "plain"}
    assert any(each.what == "a new spot" and "it was refused" in each.reason for each in planned[-1].alternatives)


def test_what_the_cloud_took_is_a_loss_of_that_interruption_and_what_stood_in_goes_in_its_name() -> None:
    world = settled()
    world.interrupted(2)
    for _ in range(12):
        world.step()

    (notice,) = world.records(RecordKind.INTERRUPTION)
    losses = world.records(RecordKind.LOSS)
    assert [(each.details["interruption"], each.details["taken"]) for each in losses] == [(notice.id, True)] * 2
    assert all(each.details["usd"] > 0 and each.details["ready"] for each in losses)
    retired = [each for each in world.records(RecordKind.PLAN) if any(isinstance(a, Retire) for a in each.actions)]
    assert [each.details.get("interruption") for each in retired] == [notice.id] * len(retired)
    # Once it is over, what happens is no part of it.
    for _ in range(3):
        world.step(120)
    grown = next(each for each in reversed(world.records(RecordKind.PLAN)) if each.actions)
    assert "interruption" not in grown.details


def test_a_refusal_says_the_clouds_words_and_how_long_it_is_left_alone() -> None:
    world = RecordedWorld()
    world.sold_out.add("spot")
    world.step()

    (refusal,) = world.records(RecordKind.REFUSAL)
    assert refusal.reason == "no spot to be had: spot is sold out; left alone for 30 s"
    assert refusal.details == {
        "offering": "spot", "error": "CloudError", "words": "spot is sold out", "pause_s": 30.0,
    }  # fmt: skip
    assert refusal.snapshot.unavailable_s == {"spot": 30.0}


def test_a_crash_is_a_loss_and_what_was_asked_for_is_none() -> None:
    world = settled()
    crashed = next(each for each in world.cloud.list_instances() if each.state is InstanceState.READY)
    world.cloud.crash(crashed.id)
    for _ in range(8):
        world.step(10)

    (loss,) = world.records(RecordKind.LOSS)
    assert loss.details["instance"] == crashed.id
    assert not loss.details["taken"]
    assert "interruption" not in loss.details
    assert any(isinstance(action, Retire) for each in world.records(RecordKind.PLAN) for action in each.actions)


def test_a_follower_bridges_nothing_but_writes_the_notice_down() -> None:
    world = settled()
    world.cloud.interrupt_spot(0.5)

    assert world.rules.see(world.cloud.list_instances(), world.clock.now_ns(), leads=False).launches == ()
    assert len(world.records(RecordKind.INTERRUPTION)) == 1
    assert world.records(RecordKind.BRIDGE) == []


def test_an_addition_says_what_else_could_have_been_added() -> None:
    world = settled()
    for ended in range(0, 2000, 500):
        world.clock.advance_s(1.0)
        world.rows += 80
        world.rules.observe(world.clock.now_ns(), world.rows)
        world.rules.watch(world.clock.now_ns(), (ended, ended // 2))

    addition = world.records(RecordKind.ADDITION)[0]
    assert "missed the promise" in addition.reason
    assert {action.offering for action in addition.actions if isinstance(action, Launch)} == {"standby"}
    assert [each.what for each in addition.alternatives] == ["2 x later", "2 x spot", "2 x plain"]
    assert addition.details["horizon_s"] == 3600.0


def test_start_and_stop_frame_it_and_the_stop_has_the_totals() -> None:
    world = settled()
    world.rules.account(world.clock.now_ns(), Tally(480, 480, 470, 0.5, {"queue_full": 0}))
    world.rules.end(world.clock.now_ns())

    first, *_, last = world.records()
    assert (first.kind, first.details) == (RecordKind.START, {"slo": {"rt_max_ms": 100.0}})
    assert last.kind is RecordKind.STOP
    assert last.details["tally"]["in_time"] == 470
    assert last.details["tally"]["usd"] == 0.5


def test_without_a_recorder_nothing_is_kept_and_all_else_goes_on() -> None:
    chronicle = Chronicle(("m", "run"))
    world = RecordedWorld()
    world.rules = FleetRules("m", world.rules._controller, FleetRuleParams(drain_lead_s=1.0), chronicle)

    world.rules.begin(0, {})
    world.rules.end(1)

    assert world.records() == []


def test_an_interruption_is_over_in_the_end_even_where_the_load_never_rests() -> None:
    recorder = MemoryRecorder()
    events = FleetEvents(Chronicle(("m", "run"), recorder))
    taken = Instance(InstanceId("spot-1"), "spot", "m", InstanceState.READY, 0, taken_at_ns=10 * S)
    events.noticed([taken], Scene(Snapshot(0, (), (taken,))))
    gone = replace(taken, state=InstanceState.GONE, ended_at_ns=10 * S, detail=TAKEN_AWAY)
    events.ended(FleetChange(taken, gone, wanted=True), Scene(Snapshot(10 * S, ())))
    for at_s in (11, 909, 910, 911):  # 10 s of notice and a quarter of an hour
        launch = (Launch("plain", f"t{at_s}", "the load grows"),)
        decision = Decision(at_s * S, launch, Forecast(1.0, (1.0,), "script"), 1.0, 1.0, "why")
        events.planned(decision, Scene(Snapshot(at_s * S, ())), {})

    plans = [each for each in recorder.records("m") if each.kind is RecordKind.PLAN]
    assert ["interruption" in each.details for each in plans] == [True, True, True, False]


def test_what_is_given_back_is_explained_by_what_it_would_cost_to_keep_it() -> None:
    world = settled()
    for _ in range(8):
        world.step(20)

    retired = next(each for each in world.records(RecordKind.PLAN) if any(isinstance(a, Retire) for a in each.actions))
    best = retired.alternatives[0]
    assert best.what == "to keep it (4 x spot)"
    assert best.extra_usd is not None
    assert best.extra_usd > 0
    assert best.reason == "no step needs it"
    assert all("to keep it" not in other.what for other in retired.alternatives[1:])
