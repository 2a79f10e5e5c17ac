"""What holds for every proposal, fleet and load when the reconciler's actions are carried out."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from mark.controlplane.reconciler import Reconciler
from mark.domain.fleet import Instance, InstanceId, InstanceState
from mark.domain.plan import Action, Launch, Retire
from mark.policies.provisioning import Keep, Proposal, Purchase

S = 1_000_000_000
CAPACITIES = {"small": 10.0, "large": 40.0}
offerings = st.sampled_from(sorted(CAPACITIES))
states = st.sampled_from([InstanceState.PENDING, InstanceState.READY])


@dataclass
class SimulatedFleet:
    """Carries actions out at once; a token that was seen before launches nothing."""

    instances: list[Instance] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def add(self, offering: str, state: InstanceState) -> None:
        self.instances.append(Instance(InstanceId(f"i{next(self.numbers)}"), offering, "m", state, 0))

    def apply(self, actions: tuple[Action, ...]) -> None:
        for action in actions:
            if isinstance(action, Retire):
                self.instances = [known for known in self.instances if known.id != action.instance]
            elif action.token not in self.tokens:
                self.tokens.add(action.token)
                self.add(action.offering, InstanceState.PENDING)

    def boot(self) -> None:
        self.instances = [replace(known, state=InstanceState.READY) for known in self.instances]

    def ready_per_s(self) -> float:
        return sum(CAPACITIES[known.offering] for known in self.ready())

    def ready(self) -> list[Instance]:
        return [known for known in self.instances if known.state is InstanceState.READY]


@dataclass(frozen=True)
class Tick:
    """What the world looks like at one tick: who is needed is drawn by position."""

    needed: tuple[bool, ...]
    purchases: tuple[str, ...]
    load_per_s: float
    boots: bool

    def proposal(self, instances: list[Instance]) -> Proposal:
        needed = itertools.chain(self.needed, itertools.repeat(False))
        keeps = [Keep(known.id, "needed") for known, wanted in zip(instances, needed, strict=False) if wanted]
        return Proposal(tuple(keeps), tuple(Purchase(name, "more") for name in self.purchases), 0.0)


ticks = st.builds(
    Tick,
    needed=st.lists(st.booleans(), max_size=8).map(tuple),
    purchases=st.lists(offerings, max_size=2).map(tuple),
    load_per_s=st.sampled_from([0.0, 5.0, 10.0, 35.0, 80.0]),
    boots=st.booleans(),
)


@given(st.lists(ticks, max_size=25), st.integers(0, 3), st.integers(0, 4))
@settings(max_examples=200, deadline=None)
def test_no_retirement_breaks_a_bound(history: list[Tick], min_instances: int, cooldown_s: int) -> None:
    reconciler, fleet = Reconciler("c", "m", cooldown_s, min_instances), SimulatedFleet()
    left_out_since: dict[InstanceId, int] = {}
    for second, tick in enumerate(history):
        wanted, before = tick.proposal(fleet.instances), list(fleet.instances)
        kept = {keep.instance for keep in wanted.keeps}
        left_out_since = {known.id: left_out_since.get(known.id, second) for known in before if known.id not in kept}

        actions = reconciler.reconcile(wanted, before, second * S, tick.load_per_s, CAPACITIES)
        retired = [action.instance for action in actions if isinstance(action, Retire)]
        fleet.apply(tuple(action for action in actions if isinstance(action, Retire)))

        assert all(second - left_out_since[identity] >= cooldown_s for identity in retired)
        assert len(set(retired)) == len(retired)
        if retired:
            assert len(fleet.instances) >= min_instances
        if {known.id for known in before if known.state is InstanceState.READY} & set(retired):
            assert fleet.ready_per_s() >= tick.load_per_s
            assert len(fleet.ready()) >= min_instances
        fleet.apply(actions)
        if tick.boots:
            fleet.boot()


@given(st.lists(ticks, max_size=12))
@settings(max_examples=100, deadline=None)
def test_carrying_the_same_actions_out_twice_changes_nothing(history: list[Tick]) -> None:
    reconciler, fleet = Reconciler("c", "m", 0.0, 0), SimulatedFleet()
    for second, tick in enumerate(history):
        wanted = tick.proposal(fleet.instances)
        actions = reconciler.reconcile(wanted, list(fleet.instances), second * S, tick.load_per_s, CAPACITIES)
        fleet.apply(actions)
        once = list(fleet.instances)

        fleet.apply(actions)

        assert fleet.instances == once


@given(st.lists(st.tuples(offerings, states), max_size=6), st.lists(offerings, max_size=4), st.lists(st.booleans()))
@settings(max_examples=200, deadline=None)
def test_a_fleet_that_has_become_what_was_wanted_is_left_alone(
    fleet_of: list[tuple[str, InstanceState]], purchases: list[str], needed: list[bool]
) -> None:
    reconciler, fleet = Reconciler("c", "m", 0.0, 0), SimulatedFleet()
    for offering, state in fleet_of:
        fleet.add(offering, state)
    tick = Tick(tuple(needed), tuple(purchases), load_per_s=0.0, boots=False)
    wanted = tick.proposal(fleet.instances)
    fleet.apply(reconciler.reconcile(wanted, list(fleet.instances), 0, 0.0, CAPACITIES))

    # The same wish again, now that its launches are there: they are what it keeps.
    everything = Proposal(tuple(Keep(known.id, "needed") for known in fleet.instances), (), 0.0)

    assert len(fleet.instances) == len(wanted.keeps) + len(purchases)
    assert reconciler.reconcile(everything, list(fleet.instances), S, 0.0, CAPACITIES) == ()


@given(st.lists(ticks, max_size=12))
@settings(max_examples=50, deadline=None)
def test_tokens_never_repeat_and_depend_on_nothing_but_the_order(history: list[Tick]) -> None:
    runs = []
    for _ in range(2):
        reconciler, tokens = Reconciler("c", "m", 0.0, 0), []
        for second, tick in enumerate(history):
            actions = reconciler.reconcile(tick.proposal([]), [], second * S, 0.0, CAPACITIES)
            tokens += [action.token for action in actions if isinstance(action, Launch)]
        runs.append(tokens)

    assert runs[0] == runs[1]
    assert len(set(runs[0])) == len(runs[0])
