"""What the simulated cloud does beyond the contract: bills, boot times and sell-outs, drawn by seed."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from contract.cloud_world import ARTIFACT
from unit.simulated_world import EXACT, PLAIN, SPOT, TAKEN, S, World

from mark.cloud.simulated import CloudBehaviour, Interruption, SoldOut
from mark.domain.fleet import Instance, InstanceId, InstanceState
from mark.domain.offering import Market
from mark.errors import CloudError, InsufficientCapacity, QuotaExceeded

# Bills


def test_an_instance_is_billed_by_the_second_from_its_launch_to_its_end() -> None:
    world = World()
    launched = world.launch()
    world.clock.advance_s(250.0)
    assert world.cloud.usd(Market.ON_DEMAND) == pytest.approx(250.0)

    world.cloud.terminate(launched.id)
    world.clock.advance_s(1000.0)

    assert world.cloud.usd(Market.ON_DEMAND) == pytest.approx(250.0)
    assert world.cloud.usd(Market.SPOT) == 0.0


def test_an_instance_is_billed_for_a_minute_at_least() -> None:
    world = World()
    launched = world.launch()
    world.clock.advance_s(1.0)
    assert world.cloud.usd(Market.ON_DEMAND) == pytest.approx(60.0)
    world.cloud.terminate(launched.id)

    assert world.cloud.usd(Market.ON_DEMAND) == pytest.approx(60.0)


def test_only_the_billed_part_of_a_boot_is_billed() -> None:
    world = World(replace(PLAIN, launch_overhead_s=30.0))
    world.launch()
    world.clock.advance_s(70.0)
    assert world.cloud.usd(Market.ON_DEMAND) == 0.0

    world.clock.advance_s(130.0)

    assert world.cloud.usd(Market.ON_DEMAND) == pytest.approx(130.0)


def test_no_time_before_the_launch_is_billed() -> None:
    world = World(replace(PLAIN, launch_overhead_s=500.0))
    world.launch()
    world.clock.advance_s(200.0)

    assert world.cloud.usd(Market.ON_DEMAND) == pytest.approx(200.0)


def test_what_ends_before_its_billed_boot_costs_nothing() -> None:
    world = World(replace(PLAIN, launch_overhead_s=30.0))
    launched = world.launch()
    world.clock.advance_s(69.0)

    world.cloud.terminate(launched.id)

    assert world.cloud.usd(Market.ON_DEMAND) == 0.0


@pytest.mark.parametrize("seed", range(8))
def test_a_boot_that_takes_longer_is_billed_for_as_long_as_it_takes(seed: int) -> None:
    world = World(behaviour=CloudBehaviour(boot_variation=0.3), seed=seed)
    world.launch()

    world.clock.advance_s(500.0)

    assert world.cloud.usd(Market.ON_DEMAND) == pytest.approx(500.0)


def test_an_instance_that_was_taken_is_billed_until_then_though_nobody_looked() -> None:
    world = World()
    launched = world.launch("spot")
    world.cloud.interrupt([launched.id])

    world.clock.advance_s(1000.0)

    assert world.cloud.usd(Market.SPOT) == pytest.approx(120.0)


def test_other_costs_are_on_the_bill_of_their_instances_market() -> None:
    world = World()
    launched = world.launch()
    world.clock.advance_s(3600.0)
    world.cloud.terminate(launched.id)
    world.cloud.charge(launched.id, 1.5)
    world.cloud.charge(launched.id, 0.25)

    assert [world.cloud.usd(market) for market in Market] == pytest.approx([3601.75, 0.0, 0.0])
    assert world.cloud.bill().by_hour() == pytest.approx({0: 3600.0, 3600: 1.75})


# Boots


def test_boot_times_vary_around_the_offerings_by_about_as_much_as_told() -> None:
    world = World(behaviour=CloudBehaviour(boot_variation=0.2))
    for _ in range(1000):
        world.launch()
    world.clock.advance_s(1000.0)

    boots_s = [(each.ready_at_ns or 0) / 1e9 for each in world.cloud.list_instances()]

    mean_s = sum(boots_s) / len(boots_s)
    deviation_s = math.sqrt(sum((boot_s - mean_s) ** 2 for boot_s in boots_s) / len(boots_s))
    assert mean_s == pytest.approx(100.0, rel=0.02)
    assert deviation_s / mean_s == pytest.approx(0.2, rel=0.1)
    assert min(boots_s) > 0


def test_an_instance_is_ready_when_it_has_booted_however_late_one_looks() -> None:
    world = World()
    launched = world.launch()
    world.clock.advance_s(1000.0)

    ready = world.see(launched)

    assert (ready.state, ready.ready_at_ns) == (InstanceState.READY, 100 * S)


def test_an_instance_that_is_given_back_while_it_boots_is_never_ready() -> None:
    world = World()
    launched = world.launch()
    world.clock.advance_s(99.0)
    world.cloud.terminate(launched.id)
    world.clock.advance_s(1000.0)

    gone = world.see(launched)

    assert (gone.state, gone.ready_at_ns, gone.ended_at_ns) == (InstanceState.GONE, None, 99 * S)
    assert gone.detail == "terminated"


# What is not to be had


def test_a_window_without_capacity_begins_and_ends_at_its_time() -> None:
    world = World(behaviour=replace(EXACT, sold_out=(SoldOut("plain", 10.0, 20.0),)))
    world.launch()
    world.clock.advance_s(10.0)
    with pytest.raises(InsufficientCapacity, match="offering plain: sold out"):
        world.launch()
    world.launch("spot")
    world.clock.advance_s(9.999)
    with pytest.raises(InsufficientCapacity):
        world.launch()

    world.clock.advance_s(0.001)

    assert world.launch().state is InstanceState.PENDING


@pytest.mark.parametrize("by_window", [True, False])
def test_what_is_sold_out_of_a_pool_is_sold_out_of_all_its_offerings(by_window: bool) -> None:
    offerings = (replace(SPOT, name="a", pool="zone"), replace(SPOT, name="b", pool="zone"), replace(SPOT, name="c"))
    window = (SoldOut("zone", 0.0, 60.0),) if by_window else ()
    world = World(*offerings, behaviour=replace(EXACT, sold_out=window))
    if not by_window:
        world.cloud.sell_out("zone", 60 * S)
        world.cloud.sell_out("zone", 30 * S)  # what was said before holds

    world.clock.advance_s(59.0)

    for name in ("a", "b"):
        with pytest.raises(InsufficientCapacity):
            world.launch(name)
    assert world.launch("c").offering == "c"
    world.clock.advance_s(1.0)
    assert world.launch("a").offering == "a"


def test_an_instance_under_notice_counts_towards_the_quota_until_it_is_taken() -> None:
    world = World(replace(SPOT, max_count=1))
    world.cloud.interrupt([world.launch("spot").id])
    with pytest.raises(QuotaExceeded, match="max_count 1 is reached"):
        world.launch("spot")

    world.clock.advance_s(120.0)

    assert world.launch("spot").id == InstanceId("spot-2")


def test_a_token_that_has_bought_is_answered_though_all_is_sold_out_or_closed() -> None:
    world = World()
    first = world.cloud.launch("plain", ARTIFACT, "a")
    world.cloud.sell_out("plain", 10**12)
    assert world.cloud.launch("plain", ARTIFACT, "a") == first
    world.cloud.close()

    assert world.cloud.launch("plain", ARTIFACT, "a").id == first.id
    with pytest.raises(CloudError, match="closed"):
        world.cloud.launch("plain", ARTIFACT, "b")


# Changes and seeds


def test_the_next_change_is_told_and_what_changed_is_handed_out_once() -> None:
    world = World()
    assert world.cloud.next_change_ns() is None
    first, second = world.launch(), world.launch("spot")
    assert [each.id for each in world.cloud.take_changed()] == [first.id, second.id]
    assert world.cloud.take_changed() == []
    assert world.cloud.next_change_ns() == 100 * S

    world.clock.advance_s(100.0)
    world.cloud.terminate(second.id)

    assert [(each.id, each.state) for each in world.cloud.take_changed()] == [
        (first.id, InstanceState.READY),
        (second.id, InstanceState.GONE),
    ]


def test_what_is_gone_changes_no_more() -> None:
    world = World()
    first, second = world.launch(), world.launch("spot")
    world.cloud.interrupt([second.id])

    world.cloud.terminate(first.id)
    world.cloud.terminate(second.id)

    assert world.cloud.next_change_ns() is None


def story(seed: int, looks: int) -> list[Instance]:
    """A day in which one rents a spot instance every ten minutes, and looks so often in between."""
    world = World(TAKEN, behaviour=CloudBehaviour(boot_variation=0.2), seed=seed)
    for _ in range(24 * 6):
        try:
            world.launch("spot")
        except InsufficientCapacity:
            world.tokens += 1
        for _ in range(looks):
            world.clock.advance_s(600.0 / looks)
            world.cloud.list_instances()
    return list(world.cloud.list_instances())


def test_the_same_calls_see_the_same_cloud_however_often_one_looks() -> None:
    assert story(seed=3, looks=1) == story(seed=3, looks=4)


def test_another_seed_is_another_cloud() -> None:
    assert story(seed=3, looks=1) != story(seed=4, looks=1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"boot_variation": -0.1}, {"boot_variation": 1.0}, {"taken_share": 0.0}, {"taken_share": 1.1},
        {"billed_s_min": -1.0}, {"notice_s": -1.0}, {"sold_out_after_s": -1.0},
        {"interruptions": (Interruption(2.0, 0.5), Interruption(1.0, 0.5))},
        {"interruptions": (Interruption(1.0, 0.0),)},
    ],
)  # fmt: skip
def test_a_behaviour_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"boot_variation|must not be negative|in order of time"):
        CloudBehaviour(**wrong)
