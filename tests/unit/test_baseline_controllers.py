"""Controllers that know neither forecast nor price, against a cloud in memory."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from contract.cloud_world import ARTIFACT

from mark.controlplane.baselines import CountController, CountPolicy, FixedCounts, TrackedCount
from mark.controlplane.snapshot import Snapshot
from mark.domain.fleet import Instance, InstanceId, InstanceState
from mark.domain.offering import Market, Offering
from mark.domain.plan import Decision, Launch, Retire
from mark.policies.target_tracking import TargetTracking
from mark.testing import FakeCloud, ManualClock

SMALL = Offering("small", Market.ON_DEMAND, price_usd_per_hour=0.1, boot_s=60, max_count=100)
LARGE = Offering("large", Market.ON_DEMAND, price_usd_per_hour=0.4, boot_s=60, max_count=100)


class Noted:
    """A policy that wants what it is told to, and notes the load."""

    def __init__(self, **wanted: int) -> None:
        self.wanted: Mapping[str, int] = wanted
        self.loads: list[float] = []

    def counts(self, load_per_s: float) -> Mapping[str, int]:
        self.loads.append(load_per_s)
        return self.wanted


class World:
    """A controller and a cloud, a minute at a time."""

    def __init__(self, policy: CountPolicy) -> None:
        self.clock = ManualClock()
        self.cloud = FakeCloud((SMALL, LARGE), self.clock)
        self.controller = CountController(policy, {"small": 10.0, "large": 40.0}, step_s=60.0)
        self.rows = 0

    def fleet(self) -> dict[str, int]:
        names = [each.offering for each in self.alive()]
        return {name: names.count(name) for name in sorted(set(names))}

    def alive(self) -> tuple[Instance, ...]:
        return tuple(each for each in self.cloud.list_instances() if each.state is not InstanceState.GONE)

    def tick(self, rate: int = 0) -> Decision:
        self.clock.advance_s(60.0)
        self.rows += rate * 60
        self.controller.observe(self.clock.now_ns(), self.rows)
        decision = self.controller.tick(Snapshot(self.clock.now_ns(), self.alive()))
        for action in decision.actions:
            if isinstance(action, Launch):
                self.cloud.launch(action.offering, ARTIFACT, action.token)
            else:
                self.cloud.terminate(action.instance)
        return decision


def test_a_fixed_fleet_is_rented_once_and_replaced_when_something_of_it_goes() -> None:
    world = World(FixedCounts({"small": 2, "large": 1}))
    world.tick()
    assert world.fleet() == {"large": 1, "small": 2}
    assert world.tick(1000).actions == ()

    world.cloud.crash(world.alive()[0].id)

    assert [action.offering for action in world.tick().actions if isinstance(action, Launch)] == ["small"]
    assert world.fleet() == {"large": 1, "small": 2}


def test_an_empty_fleet_rents_nothing_and_returns_what_there_is() -> None:
    policy = Noted(small=1)
    world = World(policy)
    world.tick()
    policy.wanted = {}

    assert [type(action) for action in world.tick().actions] == [Retire]
    assert world.fleet() == {}


def test_a_tracked_count_follows_the_load() -> None:
    world = World(TrackedCount("small", TargetTracking(10.0)))
    for _ in range(3):
        world.tick(rate=35)
    assert world.fleet() == {"small": 4}

    for _ in range(15):
        world.tick(rate=5)

    assert world.fleet() == {"small": 1}


def test_the_newest_are_returned_first() -> None:
    policy = Noted(small=1)
    world = World(policy)
    for count in (1, 2, 3):
        policy.wanted = {"small": count}
        world.tick()
    oldest = world.alive()[0].id
    policy.wanted = {"small": 1}

    decision = world.tick()

    assert [action.instance for action in decision.actions if isinstance(action, Retire)] == ["small-2", "small-3"]
    assert [each.id for each in world.alive()] == [oldest]


def test_the_policy_is_told_the_mean_load_since_the_last_tick() -> None:
    policy = Noted()
    world = World(policy)
    world.tick(30)
    world.clock.advance_s(20.0)
    world.controller.observe(world.clock.now_ns(), world.rows)
    world.tick(40)
    world.tick(0)

    assert policy.loads == [30.0, 30.0, 0.0]  # 40 a second for 60 of 80 seconds


def test_before_anything_was_observed_there_is_no_load() -> None:
    policy = Noted()
    CountController(policy, {}, 60.0).tick(Snapshot(0, ()))

    assert policy.loads == [0.0]


def test_no_token_is_used_twice() -> None:
    policy = Noted(small=3, large=2)
    world = World(policy)
    for _ in range(3):
        world.tick()
        for each in world.alive():
            world.cloud.crash(each.id)

    assert len(set(world.cloud.launched_tokens)) == len(world.cloud.launched_tokens) == 15


def test_a_decision_says_load_capacity_and_counts() -> None:
    decision = World(FixedCounts({"small": 2, "large": 1})).tick(rate=7)

    assert (decision.at_ns, decision.load_per_s, decision.capacity_per_s) == (60_000_000_000, 7.0, 60.0)
    assert (decision.forecast.rates_per_s, decision.forecast.step_s) == ((7.0,), 60.0)
    assert decision.reason == "load 7 rows/s: 2 small, 1 large"


@pytest.mark.parametrize("until_ns", [0, 10**12])
def test_it_bridges_nothing_and_tries_again_what_was_refused(until_ns: int) -> None:
    world = World(FixedCounts({"small": 1}))
    taken = Instance(InstanceId("x"), "small", "m", InstanceState.READY, launched_at_ns=0, taken_at_ns=10**12)

    assert world.controller.bridge(Snapshot(0, (), (taken,))) is None
    world.controller.offering_unavailable("small", until_ns)

    assert [type(action) for action in world.tick().actions] == [Launch]
