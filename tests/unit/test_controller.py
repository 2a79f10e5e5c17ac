"""The controller in virtual time, against a cloud in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mark.controlplane.controller import Controller
from mark.controlplane.controller_params import ControllerParams
from mark.controlplane.snapshot import Snapshot
from mark.domain.artifact import ModelArtifact
from mark.domain.fleet import Instance, InstanceId, InstanceState
from mark.domain.offering import Market, Offering
from mark.domain.plan import Decision, Launch, Retire
from mark.domain.signature import ModelSignature, TensorSpec
from mark.errors import QuotaExceeded
from mark.forecast.baselines import MovingMaximum
from mark.testing import FakeCloud, ManualClock

SMALL = Offering("small", Market.ON_DEMAND, price_usd_per_hour=0.1, boot_s=2, max_count=8)
SPOT = Offering("spot", Market.SPOT, price_usd_per_hour=0.03, boot_s=2, max_count=1)
CAPACITIES = {"small": 10.0, "spot": 10.0}
ARTIFACT = ModelArtifact(
    ModelSignature("m", "1", (TensorSpec("x", "FP32", (-1,)),), (TensorSpec("y", "FP32", (-1,)),), 8), "python", "a:b"
)


class World:
    """A controller, a cloud, and a load, driven as the live loop drives them, but in virtual time."""

    def __init__(
        self,
        cooldown_s: float = 4.0,
        min_instances: int = 1,
        offerings: tuple[Offering, ...] = (SMALL,),
        policy: Literal["greedy", "refined"] = "refined",
    ) -> None:
        self.clock = ManualClock()
        self.cloud = FakeCloud(offerings, self.clock)
        params = ControllerParams(
            step_s=1.0, window_s=1.0, horizon_steps=5, cooldown_s=cooldown_s, min_instances=min_instances, policy=policy
        )
        self.controller = Controller(("c", "m"), offerings, CAPACITIES, MovingMaximum(3, 1.0), params)
        self.rows = 0
        self.controller.observe(0, 0)

    def alive(self) -> list[Instance]:
        return [known for known in self.cloud.list_instances() if known.state is not InstanceState.GONE]

    def ready(self) -> int:
        return sum(known.state is InstanceState.READY for known in self.cloud.list_instances())

    def tick(self, rate: int = 0) -> Decision:
        """One second of load, one decision, carried out at once."""
        self.clock.advance_s(1.0)
        self.rows += rate
        self.controller.observe(self.clock.now_ns(), self.rows)
        decision = self.controller.tick(Snapshot(self.clock.now_ns(), tuple(self.alive())))
        for action in decision.actions:
            if isinstance(action, Launch):
                try:
                    self.cloud.launch(action.offering, ARTIFACT, action.token)
                except QuotaExceeded:
                    self.controller.offering_unavailable(action.offering, self.clock.now_ns() + 10**10)
            else:
                self.cloud.terminate(action.instance)
        return decision


def test_without_load_min_instances_are_kept() -> None:
    world = World(min_instances=2)

    first = world.tick()
    second = world.tick()

    assert [type(action) for action in first.actions] == [Launch, Launch]
    assert "min_instances is 2" in first.actions[0].reason
    assert second.actions == ()
    assert "nothing to do" in second.reason


def test_the_fleet_grows_to_the_load_and_shrinks_after_the_cool_down() -> None:
    world = World()
    for _ in range(6):
        world.tick(45)
    assert world.ready() == 5

    sizes = []
    for _ in range(12):
        world.tick(5)
        sizes.append(len(world.alive()))

    # Three steps of moving maximum and four seconds of cool-down, then down to what is needed.
    assert sizes[:4] == [5] * 4
    assert sizes[-1] == 1


def test_an_instance_that_dies_is_replaced() -> None:
    world = World()
    for _ in range(5):
        world.tick(25)
    victim = world.alive()[0]

    world.cloud.crash(victim.id)
    decision = world.tick(25)

    assert [action.offering for action in decision.actions if isinstance(action, Launch)] == ["small"]


def test_no_instance_is_retired_while_the_others_would_not_carry_the_load() -> None:
    world = World(cooldown_s=0.0)
    for _ in range(5):
        world.tick(25)
    assert world.ready() == 3

    # A burst long ago no longer needs three, but the load of this moment does.
    for _ in range(6):
        decision = world.tick(25)
        assert not [action for action in decision.actions if isinstance(action, Retire)]


def test_tokens_are_unique_and_deterministic() -> None:
    tokens = []
    for _ in range(2):
        world = World()
        for rate in (5, 35, 60, 60):
            world.tick(rate)
        tokens.append(world.cloud.launched_tokens)

    assert tokens[0] == tokens[1]
    assert len(set(tokens[0])) == len(tokens[0])
    assert tokens[0][0] == "c/m/1/0"


@pytest.mark.parametrize("policy", ["greedy", "refined"])
def test_a_price_that_changed_changes_what_is_bought_next(policy: Literal["greedy", "refined"]) -> None:
    world = World(offerings=(SMALL, SPOT), policy=policy)
    world.controller.priced([replace(SPOT, price_usd_per_hour=0.5, max_count=9), replace(SMALL, name="unknown")])

    assert {action.offering for action in world.tick(5).actions if isinstance(action, Launch)} == {"small"}

    # Back at its price, it is bought first; all else of it stayed as it was, its single one included.
    world.controller.priced([SPOT])
    bought = [action.offering for action in world.tick(35).actions if isinstance(action, Launch)]
    assert bought.count("spot") == 1


def test_an_unavailable_offering_is_left_alone_until_its_time() -> None:
    world = World(offerings=(SMALL, SPOT))
    world.controller.offering_unavailable("spot", 3_000_000_000)

    first = world.tick(5)
    world.tick(5)
    world.cloud.crash(world.alive()[0].id)
    later = world.tick(5)

    assert [action.offering for action in first.actions if isinstance(action, Launch)] == ["small"]
    assert [action.offering for action in later.actions if isinstance(action, Launch)] == ["spot"]


def test_instances_that_drain_still_count_towards_max_count() -> None:
    world = World(offerings=(SMALL, SPOT))
    draining = Instance(InstanceId("spot-0"), "spot", "m", InstanceState.READY, launched_at_ns=0)
    world.clock.advance_s(1.0)

    decision = world.controller.tick(Snapshot(world.clock.now_ns(), (), draining=(draining,)))

    assert [action.offering for action in decision.actions if isinstance(action, Launch)] == ["small"]


def test_a_decision_says_load_forecast_capacity_and_reason() -> None:
    world = World()
    world.tick(20)

    decision = world.tick(30)

    assert decision.load_per_s == 30.0
    assert decision.forecast.rates_per_s == (30.0,) * 5
    assert decision.capacity_per_s == 30.0
    assert decision.reason.startswith(
        "load 30, forecast 30 rows/s by moving maximum; launch 1 x small (in the cheapest schedule, $"
    )


def test_the_greedy_policy_decides_and_explains_as_algorithm_one() -> None:
    world = World(policy="greedy")
    world.tick(20)

    decision = world.tick(30)

    assert decision.reason.startswith("load 30, forecast 30 rows/s by moving maximum; launch 1 x small (launched for")


def test_nothing_that_can_be_had_is_a_decision_too() -> None:
    world = World(offerings=(SPOT,))
    world.controller.offering_unavailable("spot", 10**12)

    decision = world.tick(5)

    assert decision.actions == ()
    assert "5 rows/s uncovered: nothing more can be had" in decision.reason


def test_load_that_nothing_can_carry_is_said_aloud() -> None:
    world = World(offerings=(SPOT,))

    world.tick(500)
    decision = world.tick(500)

    assert "490 rows/s uncovered: nothing more can be had" in decision.reason


@pytest.mark.parametrize("wrong", [{"horizon_steps": 0}, {"cooldown_s": -1}, {"min_instances": -1}])
def test_nonsensical_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="horizon_steps must be positive"):
        ControllerParams(**wrong)


@pytest.mark.parametrize("name", ["step_s", "window_s", "cooldown_s"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_lengths_of_time_must_be_finite(name: str, value: float) -> None:
    wrong: dict[str, Any] = {name: value}

    with pytest.raises(ValueError, match="must be finite"):
        ControllerParams(**wrong)


@given(st.lists(st.integers(0, 70), min_size=5, max_size=40), st.integers(0, 3), st.sampled_from([0.0, 2.0, 6.0]))
@settings(max_examples=60, deadline=None)
def test_whatever_the_load_the_fleet_is_bounded_and_retirement_never_uncovers_it(
    loads: list[int], min_instances: int, cooldown_s: float
) -> None:
    world = World(cooldown_s=cooldown_s, min_instances=min_instances)
    for load in loads:
        decision = world.tick(load)
        retired = [action for action in decision.actions if isinstance(action, Retire)]
        assert min_instances <= len(world.alive()) <= SMALL.max_count
        if retired:
            assert world.ready() * CAPACITIES["small"] >= load or world.ready() == 0


@given(st.lists(st.integers(0, 70), min_size=3, max_size=20))
@settings(max_examples=40, deadline=None)
def test_under_a_constant_load_the_fleet_comes_to_rest(loads: list[int]) -> None:
    world = World()
    for load in loads:
        world.tick(load)
    for _ in range(15):
        world.tick(loads[-1])

    assert world.tick(loads[-1]).actions == ()


def test_an_instance_id_is_retired_once() -> None:
    world = World()
    for _ in range(6):
        world.tick(45)
    retired: list[InstanceId] = []
    for _ in range(15):
        retired += [action.instance for action in world.tick(0).actions if isinstance(action, Retire)]

    assert len(retired) == len(set(retired)) == 4


def test_a_forecast_of_one_step_is_of_the_step_that_is_over() -> None:
    world = World()
    world.controller = Controller(
        ("c", "m"), (SMALL,), CAPACITIES, MovingMaximum(1, 1.0),
        ControllerParams(step_s=1.0, window_s=1.0, horizon_steps=5, cooldown_s=4.0, min_instances=1),
    )  # fmt: skip
    world.controller.observe(world.clock.now_ns(), world.rows)

    assert max(world.tick(rate=25).forecast.rates_per_s) == 25.0


def test_what_is_about_to_leave_takes_up_room_when_the_least_fleet_is_filled_up() -> None:
    spot = replace(SPOT, max_count=3)
    controller = World(min_instances=3, offerings=(SMALL, spot)).controller
    stays, *leave = (
        Instance(InstanceId(f"spot-{number}"), "spot", "m", InstanceState.READY, launched_at_ns=0)
        for number in range(3)
    )

    decision = controller.tick(Snapshot(10**9, (stays,), draining=tuple(leave)))

    assert [action.offering for action in decision.actions if isinstance(action, Launch)] == ["small", "small"]
