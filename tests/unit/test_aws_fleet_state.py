"""Instances made of what was launched and of what EC2 lists, in virtual time."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from unit.aws_machines import clock_ns, machine

from mark.cloud.aws import tags
from mark.cloud.aws.fleet_state import FleetState
from mark.cloud.aws.machines import machine_of
from mark.domain.fleet import TAKEN_AWAY, Instance, InstanceId, InstanceState
from mark.domain.offering import Market

S = 10**9


def state() -> FleetState:
    return FleetState(lambda each: each.offering == "o", clock_ns, orphan_after_s=60)


def only(fleet: FleetState) -> Instance:
    (instance,) = fleet.instances
    return instance


def test_what_was_launched_and_is_not_listed_yet_is_not_gone_for_a_minute() -> None:
    fleet = state()
    fleet.launched("i-1", "o", "m", "t", 100 * S)

    assert not fleet.see([], 159 * S).changed
    assert fleet.see([], 161 * S).changed
    assert (only(fleet).state, only(fleet).detail) == (InstanceState.GONE, "EC2 no longer lists it")


def test_a_listed_instance_boots_and_is_ready_when_its_worker_answers() -> None:
    fleet = state()
    launched = fleet.launched("i-1", "o", "m", "t", 100 * S + 7)
    fleet.see([machine(state="pending", launched_at_s=99.0)], 101 * S)
    assert fleet.booting() == {}
    fleet.see([machine(launched_at_s=99.0)], 102 * S)

    assert fleet.booting() == {launched.id: "10.0.0.1"}
    assert only(fleet).launched_at_ns == 99 * S
    assert fleet.ready(launched.id, "10.0.0.1:8002", 103 * S)
    assert not fleet.ready(launched.id, "10.0.0.1:8002", 104 * S)
    assert (only(fleet).ready_at_ns, only(fleet).address) == (103 * S, "10.0.0.1:8002")
    assert fleet.booting() == {}


def test_an_end_is_told_with_ec2s_time_and_reason_and_never_changes() -> None:
    fleet = state()
    fleet.launched("i-1", "o", "m", "t", 100 * S)
    ended = machine(state="terminated", launched_at_s=100.0, changed_at_s=150.0, detail="Client.Shutdown")

    assert fleet.see([ended], 170 * S).changed
    assert (only(fleet).ended_at_ns, only(fleet).detail) == (150 * S, "Client.Shutdown")
    assert not fleet.see([ended], 171 * S).changed
    assert not fleet.end(InstanceId("i-1"), "again", 172 * S)


def test_one_that_was_taken_did_not_end_before_its_time_because_seconds_are_whole() -> None:
    fleet = state()
    fleet.launched("i-1", "o", "m", "t", 100 * S)
    assert fleet.noticed("i-1", 150 * S + 5) is not None
    assert fleet.noticed("i-1", 160 * S) is None

    fleet.see([machine(state="terminated", changed_at_s=150.0, detail=TAKEN_AWAY)], 151 * S)

    assert only(fleet).ended_at_ns == 150 * S + 5


def test_an_earlier_notice_replaces_a_recommendation() -> None:
    fleet = state()
    fleet.launched("i-1", "o", "m", "t", 100 * S)
    fleet.noticed("i-1", 700 * S)

    noticed = fleet.noticed("i-1", 220 * S)

    assert noticed is not None
    assert noticed.taken_at_ns == 220 * S


def test_what_another_router_launched_is_adopted() -> None:
    fleet = state()

    seen = fleet.see([machine(launched_at_s=50.0)], 100 * S)

    assert [each.launched_at_ns for each in seen.adopted] == [50 * S]
    assert (only(fleet).offering, only(fleet).model, only(fleet).state) == ("o", "m", InstanceState.PENDING)
    assert fleet.of_token("d-i-1") == only(fleet)
    assert fleet.launched("i-1", "o", "m", "t", 101 * S) == only(fleet)  # the answer came after the list
    assert len(fleet.instances) == 1


def test_what_no_configuration_asks_for_is_an_orphan_after_a_while() -> None:
    fleet = state()
    unknown = machine(offering="old", launched_at_s=100.0)

    assert fleet.see([unknown], 159 * S).orphans == ()
    assert fleet.see([unknown], 160 * S).orphans == ("i-1",)
    assert fleet.instances == ()


def test_the_ended_and_standbys_are_nobodys_instances() -> None:
    fleet = state()

    seen = fleet.see([machine("i-1", "terminated"), machine("i-2", role=tags.STANDBY)], 100 * S)

    assert (seen.adopted, seen.orphans) == ((), ())


def test_a_started_standby_may_be_listed_as_stopped_for_a_while() -> None:
    fleet = state()
    rented = fleet.rented("i-1", "o", "m", "t", 100 * S)
    stopped = machine(state="stopped", role=tags.STANDBY)

    assert rented.id == "i-1@100"
    assert not fleet.see([stopped], 110 * S).changed
    fleet.see([machine(role=tags.STANDBY)], 111 * S)
    assert fleet.booting() == {rented.id: "10.0.0.1"}
    assert fleet.see([stopped], 112 * S).changed  # it ran, and does no more


def test_a_standbys_instances_are_never_the_same() -> None:
    fleet = state()
    first = fleet.rented("i-1", "o", "m", "a", 100 * S)
    fleet.given_back(first.id, "terminated", 100 * S)

    assert fleet.rented("i-1", "o", "m", "b", 100 * S).id == "i-1@101"
    assert fleet.of_token("a") != fleet.of_token("b")


def test_late_ones_are_told() -> None:
    fleet = state()
    fleet.launched("i-1", "o", "m", "t", 100 * S)

    assert fleet.late({"o": 300.0}, 400 * S) == []
    assert [each.id for each in fleet.late({"o": 300.0}, 401 * S)] == ["i-1"]


def test_what_is_adopted_after_days_is_asked_before_it_is_late() -> None:
    fleet = state()
    fleet.see([machine(launched_at_s=0.0)], 10**6 * S)

    assert fleet.late({"o": 300.0}, (10**6 + 300) * S) == []
    assert fleet.late({"o": 300.0}, (10**6 + 301) * S) != []


def test_a_machine_is_read_from_ec2s_words() -> None:
    described: dict[str, Any] = {
        "InstanceId": "i-1",
        "InstanceType": "c5.large",
        "InstanceLifecycle": "spot",
        "State": {"Name": "terminated"},
        "LaunchTime": datetime(2026, 1, 1, tzinfo=timezone.utc),
        "Placement": {"AvailabilityZone": "us-east-1b"},
        "StateTransitionReason": "Server initiated (2026-01-01 00:10:00 GMT)",
        "StateReason": {"Code": "Server.SpotInstanceTermination", "Message": "words"},
        "Tags": [{"Key": tags.OFFERING, "Value": "o"}],
    }

    read = machine_of(described)

    assert (read.pool.market, read.pool.zone, read.offering, read.model) == (Market.SPOT, "us-east-1b", "o", "")
    assert (read.launched_at_s, read.changed_at_s, read.detail) == (1767225600, 1767226200, TAKEN_AWAY)
    assert machine_of({**described, "StateReason": {}, "StateTransitionReason": ""}).detail == "EC2 does not say why"


def test_one_that_was_given_back_and_runs_all_the_same_is_told_after_a_minute() -> None:
    fleet = state()
    launched = fleet.launched("i-1", "o", "m", "t", 100 * S)
    fleet.given_back(launched.id, "terminated", 110 * S)  # EC2 did not know it yet: to mark it is gone

    assert fleet.see([machine()], 170 * S).orphans == ()
    assert fleet.see([machine()], 171 * S).orphans == ("i-1",)
    assert fleet.see([machine(state="shutting-down")], 172 * S).orphans == ()
    assert only(fleet).state is InstanceState.GONE
