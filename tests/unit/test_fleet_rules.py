"""What a control loop does about its fleet, live and simulated alike: bridges at once, drains in time, leaves alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from mark.controlplane.fleet_rules import FleetRuleParams, FleetRules
from mark.controlplane.snapshot import Snapshot
from mark.domain.fleet import Instance, InstanceId, InstanceState
from mark.domain.forecast import Forecast
from mark.domain.offering import Market, Offering
from mark.domain.plan import Decision, Launch

S = 1_000_000_000
SPOT = Instance(InstanceId("s-1"), "spot", "m", InstanceState.READY, launched_at_ns=0, ready_at_ns=1, address="a")
STANDBY = Launch("standby", "token", "stands in")


@dataclass
class Scripted:
    """A controller that bridges with one standby, and remembers what it was told."""

    capacities: dict[str, float] = field(default_factory=dict)
    bridged: list[Snapshot] = field(default_factory=list)
    unavailable: list[tuple[str, int]] = field(default_factory=list)
    observed: list[tuple[int, int]] = field(default_factory=list)
    corrections: dict[str, float] = field(default_factory=dict)
    prices: dict[str, float] = field(default_factory=dict)

    def correct(self, offering: str, factor: float) -> None:
        self.corrections[offering] = factor

    def priced(self, offerings: Sequence[Offering]) -> None:
        self.prices |= {each.name: each.price_usd_per_hour for each in offerings}

    def observe(self, now_ns: int, submitted_rows: int) -> None:
        self.observed.append((now_ns, submitted_rows))

    def offering_unavailable(self, offering: str, until_ns: int) -> None:
        self.unavailable.append((offering, until_ns))

    def tick(self, snapshot: Snapshot) -> Decision:
        return Decision(snapshot.now_ns, (), Forecast(1.0, (), "script"), 0.0, 0.0, "scripted")

    def watch(self, snapshot: Snapshot, ended: int, in_time: int) -> Decision | None:
        return Decision(snapshot.now_ns, (), Forecast(1.0, (), "script"), ended, in_time, "watched")

    def bridge(self, snapshot: Snapshot) -> Decision | None:
        self.bridged.append(snapshot)
        return Decision(snapshot.now_ns, (STANDBY,), Forecast(1.0, (), "script"), 0.0, 0.0, "bridged")


def rules_of(controller: Scripted) -> FleetRules:
    return FleetRules("m", controller, FleetRuleParams(drain_lead_s=10.0, unavailable_s=30.0))


def noticed(taken_at_s: float, instance: Instance = SPOT) -> Instance:
    return replace(instance, taken_at_ns=round(taken_at_s * S))


def gone(instance: Instance) -> Instance:
    return replace(instance, state=InstanceState.GONE, ended_at_ns=instance.taken_at_ns or 5 * S)


def test_a_notice_is_bridged_at_once_and_once() -> None:
    controller = Scripted()
    rules = rules_of(controller)

    assert rules.see([SPOT], 0).launches == ()
    assert rules.see([noticed(120.0)], S).launches == (STANDBY,)
    assert rules.see([noticed(120.0)], 2 * S).launches == ()

    (snapshot,) = controller.bridged
    assert (snapshot.instances, snapshot.draining) == ((), (noticed(120.0),))


def test_what_is_taken_is_drained_in_time_and_serves_until_then() -> None:
    rules = rules_of(Scripted())
    rules.see([SPOT], 0)
    rules.see([noticed(120.0)], 0)

    assert rules.drain_now(109 * S) == []
    assert rules.draining == frozenset()
    assert rules.drain_now(110 * S) == [SPOT.id]
    assert rules.drain_now(111 * S) == []
    assert rules.draining == {SPOT.id}


@pytest.mark.parametrize(("notice_s", "drained_at_s"), [(4.0, 2.0), (19.0, 9.5), (20.0, 10.0), (30.0, 20.0)])
def test_half_of_a_short_notice_is_used(notice_s: float, drained_at_s: float) -> None:
    rules = rules_of(Scripted())
    rules.see([noticed(notice_s)], 0)

    assert rules.drain_now(round(drained_at_s * S) - 1) == []
    assert rules.drain_now(round(drained_at_s * S)) == [SPOT.id]


def test_what_is_gone_before_its_time_is_not_drained() -> None:
    rules = rules_of(Scripted())
    rules.see([noticed(120.0)], 0)

    (change,) = rules.see([gone(noticed(120.0))], S).changes

    assert change.is_lost
    assert not change.failed_to_boot
    assert rules.drain_now(200 * S) == []


def test_what_was_drained_and_is_gone_drains_no_more() -> None:
    rules = rules_of(Scripted())
    rules.see([noticed(120.0)], 0)
    rules.drain_now(110 * S)
    rules.see([gone(noticed(120.0))], 120 * S)

    assert rules.draining == frozenset()


def test_one_that_dies_while_it_boots_is_tried_again_at_once_and_then_left_alone_longer_each_time() -> None:
    controller = Scripted()
    rules = rules_of(controller)
    for number in range(3):
        booting = replace(SPOT, id=InstanceId(f"s-{number}"), state=InstanceState.PENDING)
        rules.launched(booting)
        rules.see([gone(booting)], 0)

    assert controller.unavailable == [("spot", 0), ("spot", 30 * S), ("spot", 60 * S)]


def test_one_that_is_taken_while_it_boots_says_nothing_of_its_offering() -> None:
    controller = Scripted()
    rules = rules_of(controller)
    booting = replace(SPOT, state=InstanceState.PENDING)
    rules.see([booting], 0)
    rules.see([noticed(20.0, booting)], 0)
    rules.see([gone(noticed(20.0, booting))], 20 * S)

    assert controller.unavailable == []


def test_the_controller_sees_the_load_and_neither_what_drains_nor_what_is_taken() -> None:
    controller = Scripted()
    rules = rules_of(controller)
    other, third = replace(SPOT, id=InstanceId("s-2")), replace(SPOT, id=InstanceId("s-3"))
    rules.observe(7, 70)
    rules.see([noticed(120.0), other, third], 0)
    rules.retired(other.id)

    snapshot = rules.snapshot(S)

    assert controller.observed == [(7, 70)]
    assert (snapshot.instances, snapshot.draining) == ((third,), (noticed(120.0), other))
    assert rules.tick(S, {"small": 2.0}).at_ns == S
    assert controller.corrections == {"small": 2.0}
    watched = rules.watch(2 * S, (10, 9))
    assert watched is not None
    assert (watched.at_ns, watched.load_per_s, watched.capacity_per_s) == (2 * S, 10, 9)


def test_however_many_were_refused_at_an_instant_that_is_one_failure() -> None:
    controller = Scripted()
    rules = rules_of(controller)

    for now_ns in (S, S, S, 100 * S):
        rules.refused("spot", now_ns)

    assert controller.unavailable == [("spot", 31 * S), ("spot", 160 * S)]


def test_prices_reach_the_controller() -> None:
    controller = Scripted()
    rules_of(controller).priced([Offering("spot", Market.SPOT, price_usd_per_hour=0.04, boot_s=1, max_count=1)])

    assert controller.prices == {"spot": 0.04}
