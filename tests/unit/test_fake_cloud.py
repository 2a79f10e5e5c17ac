"""What the fake cloud does beyond the contract: faults on request, in virtual time."""

from __future__ import annotations

import pytest
from contract.cloud_world import ARTIFACT, OFFERINGS

from mark.domain.fleet import InstanceId, InstanceState
from mark.errors import InsufficientCapacity, QuotaExceeded, Throttled
from mark.testing import FakeCloud, ManualClock


class World:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.cloud = FakeCloud(OFFERINGS, self.clock)


def test_an_instance_is_ready_exactly_when_it_has_booted() -> None:
    world = World()
    launched = world.cloud.launch("slow", ARTIFACT, "a")
    world.clock.advance_s(0.299_999_999)
    assert world.cloud.list_instances() == (launched,)

    world.clock.advance_s(0.000_000_001)

    (ready,) = world.cloud.list_instances()
    assert (ready.state, ready.ready_at_ns, ready.address) == (InstanceState.READY, 300_000_000, "fake:slow-1")


def test_an_instance_was_ready_when_it_had_booted_however_late_one_looks() -> None:
    world = World()
    world.cloud.launch("slow", ARTIFACT, "a")
    world.clock.advance_s(100.0)

    assert world.cloud.list_instances()[0].ready_at_ns == 300_000_000


def test_launches_fail_as_often_as_told_and_buy_nothing() -> None:
    world = World()
    world.cloud.fail_next_launch("small", times=2)

    for _ in range(2):
        with pytest.raises(InsufficientCapacity, match="offering small: sold out"):
            world.cloud.launch("small", ARTIFACT, "a")
    assert world.cloud.list_instances() == ()
    assert world.cloud.launch("small", ARTIFACT, "a").state is InstanceState.PENDING
    assert world.cloud.launched_tokens == ["a", "a", "a"]


def test_a_launch_fails_as_told() -> None:
    world = World()
    world.cloud.fail_next_launch("small", Throttled("slowly"))

    world.cloud.launch("slow", ARTIFACT, "a")
    with pytest.raises(Throttled, match="slowly"):
        world.cloud.launch("small", ARTIFACT, "b")


def test_a_token_that_has_bought_is_answered_in_spite_of_faults() -> None:
    world = World()
    launched = world.cloud.launch("small", ARTIFACT, "a")
    world.cloud.fail_next_launch("small")

    assert world.cloud.launch("small", ARTIFACT, "a").id == launched.id


def test_what_is_sold_out_can_be_had_again_at_its_time() -> None:
    world = World()
    world.cloud.sell_out("small", until_ns=2_000_000_000)
    world.clock.advance_s(1.999_999_999)
    with pytest.raises(InsufficientCapacity, match="offering small: sold out"):
        world.cloud.launch("small", ARTIFACT, "a")
    world.cloud.launch("slow", ARTIFACT, "b")

    world.clock.advance_s(0.000_000_001)

    assert world.cloud.launch("small", ARTIFACT, "a").state is InstanceState.PENDING


def test_a_crash_ends_an_instance_and_frees_its_place() -> None:
    world = World()
    launched = world.cloud.launch("slow", ARTIFACT, "a")
    with pytest.raises(QuotaExceeded):
        world.cloud.launch("slow", ARTIFACT, "b")
    world.clock.advance_s(5.0)

    world.cloud.crash(launched.id, "interrupted by the spot market")
    world.clock.advance_s(5.0)
    world.cloud.terminate(launched.id)

    (gone,) = world.cloud.list_instances()
    assert (gone.state, gone.ended_at_ns) == (InstanceState.GONE, 5_000_000_000)
    assert gone.detail == "interrupted by the spot market"
    assert world.cloud.launch("slow", ARTIFACT, "b").id == InstanceId("slow-2")
