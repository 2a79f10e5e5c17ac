"""What is added when the promise is broken: enough, of the fastest kind, and nothing that could not help."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mark.controlplane.controller import Controller
from mark.controlplane.controller_params import ControllerParams
from mark.controlplane.slo_monitor import SloMonitorParams
from mark.controlplane.snapshot import Snapshot
from mark.domain.fleet import Instance, InstanceId, InstanceState
from mark.domain.offering import Market, Offering
from mark.domain.plan import Decision, Retire
from mark.forecast.baselines import MovingMaximum
from mark.policies.reinforcement import Reinforcement, ReinforcementInputs, reinforce

S = 1_000_000_000
NOW_NS = 1000 * S
READY, PENDING = InstanceState.READY, InstanceState.PENDING
CHEAP = Offering("cheap", Market.ON_DEMAND, price_usd_per_hour=0.1, boot_s=100.0, max_count=40)
FAST = Offering("fast", Market.ON_DEMAND, price_usd_per_hour=0.5, boot_s=20.0, max_count=40)
STANDBY = Offering("standby", Market.BURSTABLE, price_usd_per_hour=0.4, boot_s=5.0, max_count=3)
CAPACITIES = {"cheap": 10.0, "fast": 10.0, "standby": 5.0}


def fleet(count: int, offering: str = "cheap", state: InstanceState = READY, age_s: float = 500.0) -> list[Instance]:
    launched_at_ns = NOW_NS - round(age_s * S)
    return [
        Instance(InstanceId(f"{offering}-{state.value}-{number}"), offering, "m", state, launched_at_ns)
        for number in range(count)
    ]


def inputs(
    load_per_s: float, staying: Sequence[Instance], offerings: Sequence[Offering] = (CHEAP, FAST)
) -> ReinforcementInputs:
    return ReinforcementInputs(offerings, CAPACITIES, tuple(staying), (), load_per_s, frozenset(), load_factor_max=2.0)


def bought(more: Reinforcement) -> dict[str, int]:
    return dict(Counter(purchase.offering for purchase in more.purchases))


def test_what_the_load_lacks_is_added_of_the_fastest_kind_with_the_reason() -> None:
    more = reinforce(inputs(45.0, fleet(2)), NOW_NS)

    assert bought(more) == {"fast": 3}
    assert more.reason == "load 45 of 20 rows/s"


def test_standbys_come_first_as_far_as_there_are_any() -> None:
    assert bought(reinforce(inputs(45.0, fleet(2), (CHEAP, FAST, STANDBY)), NOW_NS)) == {"standby": 3, "fast": 1}


def test_what_boots_and_is_ready_sooner_than_a_new_one_counts() -> None:
    soon, late = fleet(2, state=PENDING, age_s=90.0), fleet(2, state=PENDING, age_s=10.0)

    assert bought(reinforce(inputs(35.0, fleet(2) + soon), NOW_NS)) == {}
    assert (
        "once the 2 that boot are ready, sooner than a new one"
        in reinforce(inputs(35.0, fleet(2) + soon), NOW_NS).reason
    )
    assert bought(reinforce(inputs(35.0, fleet(2) + late), NOW_NS)) == {"fast": 2}


def test_what_boots_for_too_long_is_not_waited_for() -> None:
    late, too_late = (fleet(2, state=PENDING, age_s=age_s) for age_s in (144.0, 146.0))

    assert bought(reinforce(inputs(35.0, fleet(2) + late), NOW_NS)) == {}
    assert bought(reinforce(inputs(35.0, fleet(2) + too_late), NOW_NS)) == {"fast": 2}


def test_one_more_is_added_where_the_fleet_should_do_and_does_not() -> None:
    more = reinforce(inputs(18.0, fleet(2)), NOW_NS)

    assert bought(more) == {"fast": 1}
    assert more.reason == "load 18 of 20 rows/s, which should do: one more"


def test_nothing_is_added_where_capacity_is_not_what_is_missing() -> None:
    more = reinforce(inputs(10.0, fleet(2)), NOW_NS)

    assert (bought(more), more.reason) == ({}, "load 10 of 20 rows/s: it is not capacity that is missing")


def test_a_fleet_of_nobody_is_added_to_even_before_a_load_was_measured() -> None:
    assert bought(reinforce(inputs(0.0, ()), NOW_NS)) == {"fast": 1}


def test_what_cannot_be_had_is_not_asked_for() -> None:
    few = replace(FAST, max_count=2)
    leaving = tuple(replace(each, taken_at_ns=NOW_NS + S) for each in fleet(1, "fast"))
    wanted = replace(inputs(60.0, fleet(1), (CHEAP, few, STANDBY)), leaving=leaving, unavailable={"standby"})

    assert bought(reinforce(wanted, NOW_NS)) == {"fast": 1, "cheap": 4}
    nothing = replace(wanted, unavailable={"standby", "fast", "cheap"})
    assert reinforce(nothing, NOW_NS) == Reinforcement((), "nothing more can be had")


@given(
    load_per_s=st.floats(0.0, 2000.0),
    ready=st.integers(0, 30),
    booting=st.integers(0, 10),
    standing_by=st.integers(0, 3),
    unavailable=st.sets(st.sampled_from(["cheap", "fast", "standby"])),
)
def test_it_adds_what_the_load_lacks_and_no_instance_more(
    load_per_s: float, ready: int, booting: int, standing_by: int, unavailable: set[str]
) -> None:
    staying = fleet(ready) + fleet(booting, state=PENDING, age_s=0.0) + fleet(standing_by, "standby")
    wanted = replace(inputs(load_per_s, staying, (CHEAP, FAST, STANDBY)), unavailable=unavailable)

    more = reinforce(wanted, NOW_NS)

    names = [purchase.offering for purchase in more.purchases]
    alive = Counter(each.offering for each in staying) + Counter(names)
    assert not set(names) & unavailable
    assert all(alive[offering.name] <= offering.max_count for offering in wanted.offerings)
    boots = [{"cheap": 100.0, "fast": 20.0, "standby": 5.0}[name] for name in names]
    assert boots == sorted(boots)
    # Without the last of them the load would not be carried; but for one where it should be carried already.
    ready_per_s = 10.0 * ready + 5.0 * standing_by
    before_last_per_s = ready_per_s + sum(CAPACITIES[name] for name in names[:-1])
    assert not names or before_last_per_s < load_per_s or len(names) == 1


class Watched:
    """A controller with a monitor, in steps of ten seconds; the test is its loop."""

    def __init__(self, *offerings: Offering, standbys: frozenset[str] = frozenset()) -> None:
        self.controller = Controller(
            ("c", "m"), offerings, CAPACITIES, MovingMaximum(2, 1.0),
            ControllerParams(
                step_s=10.0, window_s=1.0, horizon_steps=6, cooldown_s=0.0, min_instances=1, standbys=standbys,
                monitor=SloMonitorParams(sl_min=0.98, requests=100, cooldown_s=30.0),
            ),
        )  # fmt: skip
        self.now_s = 0
        self.rows = self.ended = self.in_time = 0
        self.alive: list[Instance] = []

    def second(self, rate: int, answered: int) -> Decision | None:
        self.now_s += 1
        self.rows += rate
        self.ended += rate
        self.in_time += min(rate, answered)
        self.controller.observe(self.now_s * S, self.rows)
        return self.do(self.controller.watch(self.snapshot(), self.ended, self.in_time))

    def tick(self) -> Decision:
        decision = self.do(self.controller.tick(self.snapshot()))
        assert decision is not None
        return decision

    def snapshot(self) -> Snapshot:
        return Snapshot(self.now_s * S, tuple(self.alive))

    def do(self, decision: Decision | None) -> Decision | None:
        for action in () if decision is None else decision.actions:
            if isinstance(action, Retire):
                self.alive = [each for each in self.alive if each.id != action.instance]
            else:
                self.alive.append(
                    Instance(InstanceId(action.token), action.offering, "m", READY, launched_at_ns=self.now_s * S)
                )
        return decision


QUICK = replace(FAST, boot_s=1.0)


def test_a_broken_promise_is_answered_between_two_plans_and_says_why() -> None:
    watched = Watched(QUICK)
    watched.tick()
    assert watched.second(10, answered=10) is None

    decision = watched.second(40, answered=10)

    assert decision is not None
    assert [action.offering for action in decision.actions if not isinstance(action, Retire)] == ["fast"] * 3
    assert decision.reason == (
        "30 of the last 40 requests missed the promise, which allows 2 of 100; "
        "added at once: 3 x fast (load 40 of 10 rows/s)"
    )
    assert (decision.load_per_s, decision.capacity_per_s) == (40.0, 40.0)


def test_the_next_plans_find_it_running_and_do_not_let_it_go_before_the_cool_down() -> None:
    watched = Watched(QUICK)
    watched.tick()
    watched.second(10, answered=10)
    watched.second(60, answered=10)  # for a second only
    sizes = []
    for _ in range(8):
        for _ in range(10):
            watched.second(5, answered=5)
        assert not [action for action in watched.tick().actions if not isinstance(action, Retire)]
        sizes.append(len(watched.alive))

    assert sizes[:3] == [6, 6, 6]
    assert sizes[-1] == 1


def test_a_standby_that_was_added_is_kept_as_long_and_then_goes() -> None:
    watched = Watched(QUICK, replace(STANDBY, boot_s=0.5, price_usd_per_hour=0.2), standbys=frozenset({"standby"}))
    watched.tick()
    watched.second(10, answered=10)
    watched.second(18, answered=10)
    assert Counter(each.offering for each in watched.alive) == {"fast": 1, "standby": 2}
    kept = []
    for _ in range(6):
        for _ in range(10):
            watched.second(8, answered=8)
        watched.tick()
        kept.append(sum(each.offering == "standby" for each in watched.alive))

    assert kept[:2] == [2, 2]
    assert kept[-1] == 0


def test_nothing_is_done_without_a_monitor() -> None:
    params = ControllerParams(step_s=10.0, window_s=1.0, horizon_steps=6)
    controller = Controller(("c", "m"), (FAST,), CAPACITIES, MovingMaximum(2, 1.0), params)
    controller.watch(Snapshot(0, ()), 0, 0)

    assert controller.watch(Snapshot(S, ()), 100, 0) is None


def test_an_impossible_deadline_rents_no_machine_and_is_said_once() -> None:
    watched = Watched(QUICK)
    watched.tick()

    told = [watched.second(4, answered=0) for _ in range(40)]

    assert len(watched.alive) == 1
    reasons = [decision.reason for decision in told if decision is not None]
    assert len(reasons) == 2  # once in a cool-down
    assert "added at once: nothing (load 4 of 10 rows/s: it is not capacity that is missing)" in reasons[0]


def test_what_is_refused_is_looked_for_in_another_kind_at_the_next_look() -> None:
    watched = Watched(replace(CHEAP, boot_s=60.0), QUICK)
    watched.tick()
    watched.second(10, answered=10)
    watched.second(40, answered=10)
    watched.alive = [each for each in watched.alive if each.offering != "fast"]  # they were not to be had
    watched.controller.offering_unavailable("fast", 10**15)

    decision = watched.second(40, answered=10)

    assert decision is not None
    assert {action.offering for action in decision.actions if not isinstance(action, Retire)} == {"cheap"}
