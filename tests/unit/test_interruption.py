"""What is launched at once when the cloud takes instances away: by the policy, and by the controller that has it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import pytest
from contract.cloud_world import ARTIFACT
from hypothesis import given, settings
from hypothesis import strategies as st

from mark.cloud.simulated import CloudBehaviour, SimulatedCloud
from mark.controlplane.controller import Controller
from mark.controlplane.controller_params import ControllerParams
from mark.controlplane.fleet_view import FleetView
from mark.controlplane.snapshot import Snapshot
from mark.domain.fleet import Instance, InstanceId, InstanceState
from mark.domain.offering import Market, Offering
from mark.domain.plan import Action, Launch, Retire
from mark.forecast.baselines import MovingMaximum
from mark.policies.interruption import bridge
from mark.testing import ManualClock

READY, PENDING = InstanceState.READY, InstanceState.PENDING
FAST = Offering("fast", Market.BURSTABLE, price_usd_per_hour=0.05, boot_s=60.0, max_count=40)
SLOW = Offering("slow", Market.BURSTABLE, price_usd_per_hour=0.01, boot_s=100.0, max_count=40)
CAPACITIES = {"spot": 10.0, "fast": 5.0, "slow": 5.0}


def fleet(count: int, offering: str = "spot", state: InstanceState = READY) -> list[Instance]:
    return [
        Instance(InstanceId(f"{offering}-{state.value}-{number}"), offering, "m", state, launched_at_ns=0)
        for number in range(count)
    ]


def taken(count: int, offering: str = "spot") -> list[Instance]:
    return [replace(each, id=InstanceId(f"taken-{each.id}"), taken_at_ns=10**9) for each in fleet(count, offering)]


def bought(
    staying: list[Instance],
    leaving: list[Instance],
    load_per_s: float,
    standbys: tuple[Offering, ...] = (FAST,),
) -> list[str]:
    return [purchase.offering for purchase in bridge(standbys, CAPACITIES, staying, leaving, load_per_s).purchases]


def test_standbys_cover_what_was_lost() -> None:
    assert bought(fleet(3), taken(2), load_per_s=50.0) == ["fast"] * 4


def test_they_cover_no_more_of_it_than_the_rest_does_not_carry() -> None:
    assert bought(fleet(3), taken(2), load_per_s=36.0) == ["fast"] * 2


def test_they_do_not_make_up_for_what_was_missing_before() -> None:
    assert bought(fleet(3), taken(1), load_per_s=500.0) == ["fast"] * 2


@pytest.mark.parametrize("load_per_s", [0.0, 12.0, 30.0])
def test_nothing_is_launched_while_the_rest_carries_the_load(load_per_s: float) -> None:
    assert bought(fleet(3), taken(2), load_per_s) == []


def test_nothing_is_launched_for_what_leaves_by_itself() -> None:
    assert bought(fleet(1), fleet(2), load_per_s=30.0) == []


def test_what_boots_carries_nothing_yet_unless_it_is_a_standby() -> None:
    assert bought(fleet(1) + fleet(2, state=PENDING), taken(2), load_per_s=30.0) == ["fast"] * 4
    assert bought(fleet(1) + fleet(3, "fast", PENDING), taken(2), load_per_s=30.0) == ["fast"]


def test_the_fastest_come_first_and_then_the_cheapest_for_what_they_serve() -> None:
    few = replace(FAST, max_count=2)
    dear = replace(SLOW, name="dear", price_usd_per_hour=0.02)
    strong = replace(SLOW, name="strong", price_usd_per_hour=0.015, max_count=1)
    capacities = CAPACITIES | {"dear": 5.0, "strong": 10.0}

    purchases = bridge((dear, SLOW, strong, few), capacities, (), taken(3), load_per_s=40.0).purchases

    assert [purchase.offering for purchase in purchases] == ["fast", "fast", "strong", "slow", "slow"]


def test_quotas_hold_and_all_that_lives_counts_towards_them() -> None:
    few = replace(FAST, max_count=5)

    assert bought(fleet(1, "fast"), taken(9) + fleet(2, "fast"), 100.0, (few, SLOW)) == ["fast"] * 2 + ["slow"] * 16


def test_what_serves_nothing_within_the_slo_is_no_standby() -> None:
    assert bought([], taken(1), 10.0, (replace(FAST, name="unknown"), SLOW)) == ["slow"] * 2


def test_as_many_stand_in_as_were_taken_when_they_are_as_strong_in_spite_of_rounding() -> None:
    capacities = {"spot": 3100 / 60, "fast": 3100 / 60}
    many = replace(FAST, max_count=100)

    counts = [len(bridge((many,), capacities, (), taken(count), load_per_s=1e6).purchases) for count in range(60)]

    assert counts == list(range(60))


def test_a_standby_that_cannot_be_launched_now_counts_as_far_as_it_was() -> None:
    booting = fleet(1, "fast", PENDING)

    purchases = bridge((FAST, SLOW), CAPACITIES, booting, taken(2), 20.0, unavailable={"fast"}).purchases

    assert [purchase.offering for purchase in purchases] == ["slow"] * 3


def test_a_purchase_says_for_how_many_it_stands_in() -> None:
    (first, *_) = bridge((FAST,), CAPACITIES, (), taken(3), load_per_s=30.0).purchases

    assert first.reason == "stands in for 3 that the cloud takes away"


@given(
    ready=st.integers(0, 8),
    lost=st.integers(0, 8),
    standing_by=st.integers(0, 4),
    load_per_s=st.floats(0.0, 300.0),
    capacities=st.tuples(*[st.floats(0.5, 40.0)] * 3),
)
def test_with_enough_standbys_the_load_is_carried_as_far_as_it_was(
    ready: int, lost: int, standing_by: int, load_per_s: float, capacities: tuple[float, float, float]
) -> None:
    by_name = dict(zip(("spot", "fast", "slow"), capacities, strict=True))
    standbys = (replace(FAST, max_count=10), replace(SLOW, max_count=10_000))
    staying, leaving = fleet(ready) + fleet(standing_by, "fast", PENDING), taken(lost)

    names = [purchase.offering for purchase in bridge(standbys, by_name, staying, leaving, load_per_s).purchases]

    kept_per_s = sum(by_name[each.offering] for each in staying)
    carried_per_s = kept_per_s + sum(by_name[name] for name in names)
    there_was_per_s = kept_per_s + sum(by_name[each.offering] for each in leaving)
    assert carried_per_s >= min(load_per_s, there_was_per_s) - 1e-6
    assert names == sorted(names, key=("fast", "slow").index)
    assert names.count("fast") <= 10 - standing_by
    if names:  # without the last, something would be missing
        missing_per_s = min(load_per_s, there_was_per_s) - kept_per_s
        assert sum(by_name[name] for name in names[:-1]) < missing_per_s
        assert len(names) <= math.ceil(missing_per_s / min(capacities))


# The controller. Its standby is cheaper than anything else, and all the same no plan may have it.

SPOT = Offering("spot", Market.SPOT, price_usd_per_hour=0.03, boot_s=2.0, max_count=20)
SMALL = Offering("small", Market.ON_DEMAND, price_usd_per_hour=0.1, boot_s=2.0, max_count=20)
STANDBY = Offering("standby", Market.BURSTABLE, price_usd_per_hour=0.001, boot_s=1.0, max_count=20)


class World:
    """A controller with standbys on a simulated cloud, a second at a time."""

    def __init__(
        self,
        standbys: tuple[Offering, ...] = (STANDBY,),
        policy: Literal["greedy", "refined"] = "refined",
        boot_s: float = 2.0,
        cooldown_s: float = 2.0,
    ) -> None:
        offerings = (replace(SPOT, boot_s=boot_s), replace(SMALL, boot_s=boot_s), *standbys)
        self.clock = ManualClock()
        self.cloud = SimulatedCloud(offerings, self.clock, CloudBehaviour(boot_variation=0.0, notice_s=5.0))
        self.fleet = FleetView("m")
        names = frozenset(standby.name for standby in standbys)
        params = ControllerParams(
            step_s=1.0, window_s=1.0, horizon_steps=12, cooldown_s=cooldown_s, standbys=names, policy=policy
        )
        capacities = dict.fromkeys((offering.name for offering in offerings), 10.0)
        self.controller = Controller(("c", "m"), offerings, capacities, MovingMaximum(3, 1.0), params)
        self.rows = 0
        self.controller.observe(0, 0)

    def counts(self) -> Counter[str]:
        """Those that live and stay, by offering."""
        return Counter(instance.offering for instance in self.snapshot().instances)

    def snapshot(self) -> Snapshot:
        self.fleet.see(self.cloud.take_changed())
        return self.fleet.snapshot(self.clock.now_ns())

    def carry_out(self, actions: Sequence[Action]) -> list[str]:
        """What was launched."""
        for action in actions:
            if isinstance(action, Launch):
                self.fleet.launched(self.cloud.launch(action.offering, ARTIFACT, action.token))
            else:
                self.fleet.drain(action.instance)
                self.cloud.terminate(action.instance)
        return [action.offering for action in actions if isinstance(action, Launch)]

    def observe(self, rate: int) -> None:
        self.clock.advance_s(1.0)
        self.rows += rate
        self.controller.observe(self.clock.now_ns(), self.rows)

    def tick(self, rate: int) -> list[str]:
        self.observe(rate)
        return self.carry_out(self.controller.tick(self.snapshot()).actions)

    def interrupt(self, count: int) -> list[str]:
        """Give notice to so many spot instances; what stands in for them."""
        spot = [instance.id for instance in self.snapshot().instances if instance.offering == "spot"]
        self.cloud.interrupt(spot[:count])
        return self.carry_out(self.controller.bridge(self.snapshot()).actions)


def test_the_controller_bridges_what_is_taken_replaces_it_and_gives_the_standbys_back() -> None:
    world = World()
    for _ in range(6):
        world.tick(60)
    assert world.counts() == {"spot": 6}

    assert world.interrupt(2) == ["standby"] * 2
    for _ in range(2):
        world.tick(60)
    assert world.counts()["spot"] == 6
    for _ in range(8):
        world.tick(60)

    assert world.counts() == {"spot": 6}


@pytest.mark.parametrize("policy", ["greedy", "refined"])
def test_a_standby_that_boots_for_longer_than_the_cool_down_is_waited_for(policy: Literal["greedy", "refined"]) -> None:
    world = World((replace(STANDBY, boot_s=4.0),), policy, boot_s=8.0)
    for _ in range(14):
        world.tick(60)
    assert world.interrupt(6) == ["standby"] * 6

    # The spot instances of the next tick serve 9 seconds from now; until then standbys do, once they have booted.
    standing_by = []
    for _ in range(13):
        world.tick(60)
        standing_by.append(world.counts()["standby"])

    assert standing_by[:8] == [6] * 8
    assert standing_by[-1] == 0


def test_a_standby_that_boots_is_waited_for_when_nothing_else_can_be_had() -> None:
    world = World((replace(STANDBY, boot_s=8.0),))
    for _ in range(6):
        world.tick(60)
    for name in ("spot", "small"):
        world.controller.offering_unavailable(name, 10**12)
    assert world.interrupt(6) == ["standby"] * 6

    for _ in range(10):
        world.tick(60)

    assert world.counts() == {"standby": 6}


def test_without_a_cool_down_too_a_standby_waits_for_what_is_bought_in_its_place() -> None:
    world = World(cooldown_s=0.0)
    for _ in range(6):
        world.tick(60)
    world.interrupt(3)

    assert world.tick(0) == ["spot"] * 3  # the maximum of three steps is 60 still
    assert world.counts() == {"spot": 6, "standby": 3}


def test_of_more_standbys_than_are_needed_those_that_serve_stay() -> None:
    world = World(cooldown_s=0.0)
    world.observe(20)
    world.tick(0)
    booting, ready = fleet(1, "standby", PENDING), fleet(1, "standby")

    decision = world.controller.tick(Snapshot(world.clock.now_ns(), (*booting, *ready, *fleet(1))))

    assert [action.instance for action in decision.actions if isinstance(action, Retire)] == [booting[0].id]


def test_a_second_notice_is_not_bridged_twice() -> None:
    world = World()
    for _ in range(6):
        world.tick(60)

    assert [world.interrupt(2), world.interrupt(0), world.interrupt(1)] == [["standby"] * 2, [], ["standby"]]


def test_the_load_that_is_expected_is_bridged_not_only_that_of_now() -> None:
    world = World()
    for rate in (60, 60, 60, 60, 60, 30):
        world.tick(rate)

    assert world.interrupt(3) == ["standby"] * 3  # the maximum of three steps


def test_before_the_first_plan_the_load_of_now_is_bridged() -> None:
    world = World()
    world.observe(15)
    world.fleet.see(fleet(1) + taken(4))

    assert world.carry_out(world.controller.bridge(world.snapshot()).actions) == ["standby"]


def test_a_standby_that_is_not_to_be_had_is_left_alone_for_the_next() -> None:
    later = replace(STANDBY, name="later", boot_s=1.5)
    world = World((STANDBY, later))
    for _ in range(6):
        world.tick(60)
    world.controller.offering_unavailable("standby", world.clock.now_ns() + 10**9)

    assert world.interrupt(1) == ["later"]
    world.tick(60)
    assert "standby" in world.interrupt(2)


def test_without_standbys_nothing_is_bridged() -> None:
    world = World(())
    for _ in range(6):
        world.tick(60)

    assert world.interrupt(3) == []


def test_a_bridge_and_a_plan_share_no_token() -> None:
    world = World()
    world.observe(30)
    first = world.controller.tick(world.snapshot()).actions
    world.fleet.see(taken(2))
    second = world.controller.bridge(world.snapshot()).actions
    third = world.controller.tick(world.snapshot()).actions

    tokens = [action.token for action in (*first, *second, *third) if isinstance(action, Launch)]
    assert second
    assert len(set(tokens)) == len(tokens)


@pytest.mark.parametrize("policy", ["greedy", "refined"])
def test_no_plan_has_standbys_even_when_nothing_else_can_be_had(policy: Literal["greedy", "refined"]) -> None:
    world = World(policy=policy)
    for name in ("spot", "small"):
        world.controller.offering_unavailable(name, 3 * 10**9)

    assert [world.tick(40), world.tick(40)] == [[], []]
    assert world.tick(40) == ["spot"] * 4


@given(
    st.lists(st.tuples(st.integers(0, 90), st.integers(0, 3)), min_size=3, max_size=15),
    st.sampled_from(["greedy", "refined"]),
)
@settings(max_examples=25)
def test_whatever_happens_only_a_bridge_launches_standbys_and_they_go_again(
    steps: list[tuple[int, int]], policy: Literal["greedy", "refined"]
) -> None:
    world = World(policy=policy)
    for rate, count in steps:
        assert "standby" not in world.tick(rate)
        assert set(world.interrupt(count)) <= {"standby"}
    for _ in range(12):
        assert "standby" not in world.tick(steps[-1][0])

    assert world.counts()["standby"] == 0
