"""How the simulated cloud takes spot instances away: after a notice, by pool, as often as their offerings say."""

from __future__ import annotations

from dataclasses import replace

import pytest
from contract.cloud_world import ARTIFACT
from unit.simulated_world import EXACT, PLAIN, SPOT, TAKEN, S, World

from mark.cloud.simulated import CloudBehaviour, Interruption
from mark.domain.fleet import InstanceId, InstanceState
from mark.domain.offering import Market
from mark.errors import InsufficientCapacity


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
    pool = (replace(zone, name="a"), replace(zone, name="b"), replace(zone, name="plain", market=Market.ON_DEMAND))
    world = World(*pool, replace(SPOT, name="calm"), behaviour=replace(EXACT, taken_share=1.0))
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


def forced(*interruptions: tuple[float, float]) -> CloudBehaviour:
    return replace(EXACT, interruptions=tuple(Interruption(*each) for each in interruptions))


@pytest.mark.parametrize(("share", "count"), [(0.04, 1), (0.041, 2), (0.28, 7), (1.0, 25)])
def test_an_interruption_that_is_told_takes_its_share_of_the_oldest_spot_instances(share: float, count: int) -> None:
    world = World(PLAIN, SPOT, behaviour=forced((200.0, share)))
    for _ in range(25):
        world.launch("plain")
        world.launch("spot")
    assert world.cloud.next_change_ns() == 100 * S
    world.cloud.catch_up()
    world.clock.advance_s(100.0)
    world.cloud.catch_up()
    assert world.cloud.next_change_ns() == 200 * S

    world.clock.advance_s(150.0)

    noticed = [each for each in world.cloud.list_instances() if each.taken_at_ns == 320 * S]
    spot = [each for each in world.cloud.list_instances() if each.offering == "spot"]
    assert noticed == spot[:count]
    assert world.cloud.interrupted == count


def test_an_interruption_that_is_told_sells_out_the_pools_that_it_hits_and_no_other() -> None:
    pools = (replace(SPOT, name="a", pool="hit"), replace(SPOT, name="b", pool="hit"), replace(SPOT, name="c"))
    world = World(*pools, behaviour=forced((10.0, 0.5), (20.0, 1.0)))
    world.launch("a")
    world.launch("c")

    world.clock.advance_s(10.0)

    with pytest.raises(InsufficientCapacity):
        world.launch("b")
    assert world.launch("c").offering == "c"
    world.clock.advance_s(10.0)
    with pytest.raises(InsufficientCapacity):
        world.launch("c")


def test_a_pool_is_sold_out_for_as_long_on_average_however_many_of_it_are_taken() -> None:
    pauses_s = []
    for seed in range(200):
        world = World(SPOT, behaviour=forced((10.0, 1.0)), seed=seed)
        for _ in range(20):
            world.launch("spot")
        world.clock.advance_s(10.0)
        pauses_s.append(sold_out_s(world, "spot"))

    assert min(pauses_s) >= 120.0
    assert max(pauses_s) <= 365.0
    assert sum(pauses_s) / len(pauses_s) == pytest.approx(240.0, rel=0.05)


def sold_out_s(world: World, offering: str) -> float:
    """How long nothing is to be had of it, to within five seconds."""
    for tries in range(1000):
        try:
            world.launch(offering)
        except InsufficientCapacity:
            world.clock.advance_s(5.0)
        else:
            return 5.0 * tries
    raise AssertionError(f"{offering} is never to be had")


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
