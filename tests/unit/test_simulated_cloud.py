"""What the simulated cloud does beyond the contract: bills, boot times, sell-outs and interruptions, drawn by seed."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from contract.cloud_world import ARTIFACT

from mark.cloud.simulated import CloudBehaviour, SimulatedCloud, SoldOut
from mark.domain.fleet import Instance, InstanceId, InstanceState
from mark.domain.offering import Market, Offering
from mark.errors import CloudError, InsufficientCapacity, QuotaExceeded
from mark.testing import ManualClock

S = 1_000_000_000
# A dollar a second, so that a bill reads in seconds.
PLAIN = Offering("plain", Market.ON_DEMAND, price_usd_per_hour=3600.0, boot_s=100.0, max_count=1000)
SPOT = replace(PLAIN, name="spot", market=Market.SPOT)
TAKEN = replace(SPOT, interruptions_per_hour=2.0, boot_s=0.0)
EXACT = CloudBehaviour(boot_variation=0.0)


class World:
    """A simulated cloud, its clock, and how instances are rented of it."""

    def __init__(self, *offerings: Offering, behaviour: CloudBehaviour = EXACT, seed: int = 0) -> None:
        self.clock = ManualClock()
        self.cloud = SimulatedCloud(offerings or (PLAIN, SPOT), self.clock, behaviour, seed)
        self.tokens = 0

    def launch(self, offering: str = "plain") -> Instance:
        self.tokens += 1
        return self.cloud.launch(offering, ARTIFACT, f"t{self.tokens}")

    def see(self, instance: Instance) -> Instance:
        return next(known for known in self.cloud.list_instances() if known.id == instance.id)

    def alive(self) -> list[Instance]:
        return [known for known in self.cloud.list_instances() if known.state is not InstanceState.GONE]

    def run_to_next_change(self) -> int | None:
        """Move to when something happens next."""
        at_ns = self.cloud.next_change_ns()
        if at_ns is not None:
            self.clock.advance_s((at_ns - self.clock.now_ns()) / 1e9)
        return at_ns


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


def test_other_costs_are_on_the_bill_of_their_market() -> None:
    world = World()
    world.cloud.bill(Market.BURSTABLE, 1.5)
    world.cloud.bill(Market.BURSTABLE, 0.25)

    assert [world.cloud.usd(market) for market in Market] == [0.0, 0.0, 1.75]


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


# Interruptions


def test_notice_is_given_and_two_minutes_later_the_instance_is_taken() -> None:
    world = World()
    launched = world.launch("spot")
    world.clock.advance_s(150.0)

    world.cloud.interrupt([launched.id])

    noticed = world.see(launched)
    assert (noticed.state, noticed.taken_at_ns) == (InstanceState.READY, 270 * S)
    assert world.cloud.next_change_ns() == 270 * S
    world.clock.advance_s(1000.0)
    gone = world.see(launched)
    assert (gone.state, gone.ended_at_ns, gone.detail) == (InstanceState.GONE, 270 * S, "taken away by the cloud")
    assert world.cloud.interrupted == 1


def test_an_instance_may_become_ready_under_notice() -> None:
    world = World()
    launched = world.launch("spot")
    world.cloud.interrupt([launched.id])
    world.clock.advance_s(100.0)

    assert world.see(launched).state is InstanceState.READY
    world.clock.advance_s(20.0)
    assert world.see(launched).state is InstanceState.GONE


def test_an_instance_that_boots_for_longer_than_its_notice_is_taken_unseen() -> None:
    world = World(replace(SPOT, boot_s=300.0))
    launched = world.launch("spot")
    world.cloud.interrupt([launched.id])
    world.clock.advance_s(1000.0)

    gone = world.see(launched)

    assert (gone.state, gone.ready_at_ns, gone.ended_at_ns) == (InstanceState.GONE, None, 120 * S)


def test_a_second_notice_changes_nothing_and_neither_does_one_to_nobody() -> None:
    world = World()
    launched = world.launch("spot")
    world.cloud.interrupt([launched.id])
    world.clock.advance_s(60.0)

    world.cloud.interrupt([launched.id, InstanceId("nobody")])

    assert world.see(launched).taken_at_ns == 120 * S
    assert world.cloud.interrupted == 1


def test_what_is_given_back_after_its_notice_ends_at_once() -> None:
    world = World()
    launched = world.launch("spot")
    world.cloud.interrupt([launched.id])
    world.clock.advance_s(90.0)
    world.cloud.terminate(launched.id)
    world.clock.advance_s(1000.0)

    gone = world.see(launched)

    assert (gone.ended_at_ns, gone.detail) == (90 * S, "terminated")
    assert world.cloud.usd(Market.SPOT) == pytest.approx(90.0)


def test_an_interruption_takes_of_one_pool_and_only_spot_instances() -> None:
    zone = replace(TAKEN, pool="zone")
    world = World(
        replace(zone, name="a"), replace(zone, name="b"), replace(SPOT, name="calm"), replace(PLAIN, pool="zone"),
        behaviour=replace(EXACT, taken_share=1.0),
    )  # fmt: skip
    for name in ("a", "b", "calm", "plain") * 5:
        world.launch(name)
    world.cloud.take_changed()

    while not world.cloud.interrupted:
        assert world.run_to_next_change() is not None
        world.cloud.catch_up()

    noticed = [each for each in world.alive() if each.taken_at_ns is not None]
    assert {each.offering for each in noticed} == {"a", "b"}
    assert len(noticed) == world.cloud.interrupted == 10
    assert {each.taken_at_ns for each in noticed} == {world.clock.now_ns() + 120 * S}


def test_an_interruption_takes_about_the_told_share_and_then_the_pool_sells_nothing_for_a_while() -> None:
    world = World(replace(TAKEN, max_count=2000), behaviour=replace(EXACT, taken_share=0.3))
    for _ in range(1000):
        world.launch("spot")
    world.cloud.catch_up()

    while not world.cloud.interrupted:
        world.run_to_next_change()

    assert world.cloud.interrupted == pytest.approx(300, abs=45)  # three standard deviations
    world.clock.advance_s(119.9)  # half of the mean, at least
    with pytest.raises(InsufficientCapacity):
        world.launch("spot")
    world.clock.advance_s(240.2)  # half as long again as the mean, at most
    assert world.launch("spot").state is InstanceState.PENDING


def hold(world: World, count: int, hours: float) -> float:
    """Keep so many of each offering, replacing at once what got notice; instance-hours without notice."""
    held_s = 0.0
    for number in range(count):
        for offering in world.cloud.offerings():
            world.cloud.launch(offering.name, ARTIFACT, f"{offering.name} {number}")
    since_ns = {each.id: 0 for each in world.cloud.take_changed()}
    while world.clock.now_ns() < hours * 3600e9:
        world.run_to_next_change()
        now_ns = world.clock.now_ns()
        for each in world.cloud.take_changed():
            if each.taken_at_ns is not None and each.id in since_ns:
                held_s += (now_ns - since_ns.pop(each.id)) / 1e9
                world.cloud.terminate(each.id)
                since_ns[world.launch(each.offering).id] = now_ns
    return held_s / 3600 + sum(world.clock.now_ns() - at_ns for at_ns in since_ns.values()) / 3600e9


@pytest.mark.parametrize(("taken_share", "count"), [(0.2, 10), (1.0, 2)])
def test_instances_are_taken_as_often_as_their_offering_says(taken_share: float, count: int) -> None:
    world = World(TAKEN, behaviour=replace(EXACT, taken_share=taken_share, sold_out_after_s=0.0))

    hours = hold(world, count, hours=10_000.0 / count)

    assert hours == pytest.approx(10_000.0, rel=0.01)
    assert world.cloud.interrupted / hours == pytest.approx(2.0, rel=0.05)


def test_in_a_pool_too_each_offering_is_taken_as_often_as_it_says() -> None:
    often, seldom = replace(TAKEN, name="often", pool="zone"), replace(TAKEN, name="seldom", pool="zone")
    world = World(
        often,
        replace(seldom, interruptions_per_hour=0.5),
        behaviour=replace(EXACT, sold_out_after_s=0.0),
    )

    hold(world, count=5, hours=1000.0)

    taken = [each.offering for each in world.cloud.list_instances() if each.taken_at_ns is not None]
    assert taken.count("often") / 5000 == pytest.approx(2.0, rel=0.06)
    assert taken.count("seldom") / 5000 == pytest.approx(0.5, rel=0.12)


def test_what_is_never_interrupted_is_never_interrupted() -> None:
    world = World()
    world.launch("spot")
    world.clock.advance_s(1e7)

    assert world.cloud.interrupted == 0
    assert world.cloud.next_change_ns() is None


def test_interruptions_are_counted_though_nobody_looked() -> None:
    world = World(replace(TAKEN, interruptions_per_hour=1.0))
    world.launch("spot")

    world.clock.advance_s(100 * 3600.0)

    assert world.cloud.interrupted == 1


def test_a_notice_comes_after_what_was_due_before_it() -> None:
    world = World(TAKEN, behaviour=replace(EXACT, taken_share=1.0))
    launched = world.launch("spot")
    world.cloud.catch_up()
    first_ns = world.cloud.next_change_ns()
    assert first_ns is not None
    world.clock.advance_s(first_ns / 1e9 + 60.0)

    world.cloud.interrupt([launched.id])

    assert world.see(launched).taken_at_ns == first_ns + 120 * S


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
    ],
)  # fmt: skip
def test_a_behaviour_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"boot_variation|must not be negative"):
        CloudBehaviour(**wrong)
