"""From a proposal and a fleet to actions: launches at once, retirements late and only behind a safe fleet."""

from __future__ import annotations

import pytest

from mark.controlplane.reconciler import Reconciler
from mark.domain.fleet import Instance, InstanceId, InstanceState
from mark.domain.plan import Action, Launch, Retire
from mark.policies.provisioning import Keep, Proposal, Purchase

S = 1_000_000_000
CAPACITIES = {"small": 10.0, "large": 40.0}
READY, PENDING = InstanceState.READY, InstanceState.PENDING


def instance(name: str, offering: str = "small", state: InstanceState = READY) -> Instance:
    return Instance(InstanceId(name), offering, "m", state, launched_at_ns=0)


def proposal(*keeps: str, purchases: tuple[str, ...] = ()) -> Proposal:
    return Proposal(
        tuple(Keep(InstanceId(name), "needed") for name in keeps),
        tuple(Purchase(offering, f"a reason for {offering}") for offering in purchases),
        uncovered_per_s=0.0,
    )


class Ticks:
    """A reconciler that is asked once a second."""

    def __init__(self, *, cooldown_s: float = 0.0, min_instances: int = 0) -> None:
        self.reconciler = Reconciler("c", "m", cooldown_s, min_instances)
        self.now_ns = 0

    def tick(self, wanted: Proposal, *fleet: Instance, load_per_s: float = 0.0) -> tuple[Action, ...]:
        actions = self.reconciler.reconcile(wanted, fleet, self.now_ns, load_per_s, CAPACITIES)
        self.now_ns += S
        return actions


def retired(actions: tuple[Action, ...]) -> list[str]:
    return [action.instance for action in actions if isinstance(action, Retire)]


def test_a_launch_carries_its_reason_and_a_token_of_its_own() -> None:
    ticks = Ticks()

    first = ticks.tick(proposal(purchases=("small", "large")))
    second = ticks.tick(proposal(purchases=("small",)))

    assert first == (
        Launch("small", "c/m/1/0", "a reason for small"),
        Launch("large", "c/m/1/1", "a reason for large"),
    )
    assert second == (Launch("small", "c/m/2/0", "a reason for small"),)


def test_launches_come_before_retirements() -> None:
    actions = Ticks().tick(proposal(purchases=("small",)), instance("a"))

    assert [type(action) for action in actions] == [Launch, Retire]


def test_an_instance_is_retired_when_it_was_left_out_for_the_whole_cool_down() -> None:
    ticks = Ticks(cooldown_s=3.0)

    actions = [ticks.tick(proposal(), instance("a")) for _ in range(4)]

    assert actions[:3] == [(), (), ()]
    assert actions[3] == (Retire(InstanceId("a"), "not needed for 3 s"),)


def test_being_needed_once_begins_the_cool_down_anew() -> None:
    ticks = Ticks(cooldown_s=2.0)
    wanted = [proposal(), proposal(), proposal("a"), proposal(), proposal(), proposal()]

    actions = [retired(ticks.tick(each, instance("a"))) for each in wanted]

    assert actions == [[], [], [], [], [], ["a"]]


def test_the_longest_unneeded_goes_first_when_not_all_may_go() -> None:
    ticks = Ticks(cooldown_s=1.0, min_instances=1)
    ticks.tick(proposal("a"), instance("a"), instance("b"))
    ticks.tick(proposal(), instance("a"), instance("b"))

    assert retired(ticks.tick(proposal(), instance("a"), instance("b"))) == ["b"]


def test_what_serves_the_present_load_stays() -> None:
    fleet = (instance("a"), instance("b"), instance("c"))

    assert retired(Ticks().tick(proposal(), *fleet, load_per_s=11.0)) == ["a"]
    assert retired(Ticks().tick(proposal(), *fleet, load_per_s=10.0)) == ["a", "b"]
    assert retired(Ticks().tick(proposal(), *fleet, load_per_s=31.0)) == []


def test_a_booting_instance_serves_nothing_of_the_present_load() -> None:
    fleet = (instance("old"), instance("new", "large", PENDING))

    assert retired(Ticks().tick(proposal("new"), *fleet, load_per_s=5.0)) == []
    assert retired(Ticks().tick(proposal("new"), fleet[0], instance("new", "large"), load_per_s=5.0)) == ["old"]


def test_a_booting_instance_that_is_not_needed_is_given_back_whatever_the_load() -> None:
    fleet = (instance("a"), instance("b", state=PENDING))

    assert retired(Ticks().tick(proposal("a"), *fleet, load_per_s=10.0)) == ["b"]


@pytest.mark.parametrize("state", [READY, PENDING])
@pytest.mark.parametrize(("min_instances", "expected"), [(0, ["a", "b", "c"]), (2, ["a"]), (3, []), (9, [])])
def test_min_instances_remain(state: InstanceState, min_instances: int, expected: list[str]) -> None:
    fleet = (instance("a", state=state), instance("b", state=state), instance("c", state=state))

    assert retired(Ticks(min_instances=min_instances).tick(proposal(), *fleet)) == expected


def test_a_ready_instance_of_the_minimum_waits_for_its_successor_to_be_ready() -> None:
    ticks = Ticks(min_instances=1)

    # A launch is a promise, and a booting instance does not answer: neither stands in for one that does.
    assert retired(ticks.tick(proposal(purchases=("large",)), instance("old"))) == []
    assert retired(ticks.tick(proposal("new"), instance("old"), instance("new", "large", PENDING))) == []
    assert retired(ticks.tick(proposal("new"), instance("old"), instance("new", "large"))) == ["old"]


def test_an_instance_that_is_gone_is_forgotten() -> None:
    ticks = Ticks(cooldown_s=1.0)
    ticks.tick(proposal(), instance("a"))
    ticks.tick(proposal())

    assert ticks.tick(proposal(), instance("a")) == ()
