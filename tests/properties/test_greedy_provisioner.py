"""The C++ provisioner against a plain reading of MArk's Algorithm 1, and what any plan must be."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mark import _core

STEP_S = 60.0


@dataclass(frozen=True)
class Kind:
    """An offering."""

    price: float
    capacity: float
    overhead_s: float
    available: int


@dataclass
class Case:
    """One planning problem; the fleet is (id, kind, ready_in_s)."""

    kinds: list[Kind]
    fleet: list[tuple[int, int, float]]
    forecast: list[float]
    lead: int
    step_s: float = field(default=STEP_S)

    def plan(self) -> _core.Plan:
        return _core.provision_greedily(
            [
                _core.PlanningOffering(
                    f"k{number}",
                    price_usd_per_hour=kind.price,
                    capacity_rows_per_s=kind.capacity,
                    launch_overhead_s=kind.overhead_s,
                    available=kind.available,
                )
                for number, kind in enumerate(self.kinds)
            ],
            [_core.PlanningInstance(*instance) for instance in self.fleet],
            np.array(self.forecast),
            step_s=self.step_s,
            lead_steps=self.lead,
        )


def reference(case: Case) -> tuple[list[tuple[int, int]], set[int]]:  # noqa: C901 - one page, as in the paper
    """Algorithm 1 with the corrections, written for reading: [(kind, instance id or 0)], retired ids."""
    m = len(case.forecast)
    tau = min(case.lead, m - 1)
    left = list(case.forecast)
    negligible = 1e-9 * max(left)
    available = [kind.available for kind in case.kinds]
    running = sorted(case.fleet, key=lambda i: (i[1], math.ceil(i[2] / case.step_s), i[0]))
    choices: list[tuple[int, int]] = []

    def price_per_row(kind: Kind, overhead_s: float, serves_from: int, first: int, last: int) -> float:
        rows = sum(min(kind.capacity, left[t]) * case.step_s for t in range(max(first, serves_from), last + 1))
        return (kind.price / 3600) * (overhead_s + (last - first + 1) * case.step_s) / rows if rows > 0 else math.inf

    def choose(first: int, end: int, may_launch: bool) -> bool:
        last = first
        while last + 1 < end and left[last + 1] > negligible:
            last += 1
        options: list[tuple[float, tuple[int, int, float] | None, int, int]] = []
        for instance in running:
            start = math.ceil(instance[2] / case.step_s)
            options.append(
                (price_per_row(case.kinds[instance[1]], 0, start, first, last), instance, instance[1], start)
            )
        for number, kind in enumerate(case.kinds):
            if may_launch and available[number] > 0:
                options.append((price_per_row(kind, kind.overhead_s, tau, first, last), None, number, tau))
        if not options or min(option[0] for option in options) == math.inf:
            return False
        _, chosen, number, start = min(options, key=lambda option: option[0])  # the first of equals
        if chosen is None:
            available[number] -= 1
        else:
            running.remove(chosen)
        choices.append((number, 0 if chosen is None else chosen[0]))
        for t in range(start, m):
            left[t] -= case.kinds[number].capacity
        return True

    while left[tau] > negligible and choose(tau, m, True):
        pass
    for t in range(tau):
        while left[t] > negligible and choose(t, tau, False):
            pass
    return choices, {instance[0] for instance in running}


kinds = st.builds(
    Kind,
    price=st.sampled_from([0.05, 0.1, 0.34, 0.9, 2.0]),
    capacity=st.sampled_from([0.0, 3.0, 7.5, 20.0, 55.0]),
    overhead_s=st.sampled_from([0.0, 60.0, 180.0]),
    available=st.integers(0, 20),
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    offered = [*draw(st.lists(kinds, min_size=0, max_size=4)), Kind(0.17, 11.0, 120.0, 30)]
    fleet = draw(
        st.lists(st.tuples(st.integers(0, len(offered) - 1), st.sampled_from([0.0, 30.0, 60.0, 200.0])), max_size=8)
    )
    forecast = draw(st.lists(st.sampled_from([0.0, 1.0, 12.0, 50.0, 51.0, 180.0]), min_size=1, max_size=8))
    instances = [(number, kind, ready) for number, (kind, ready) in enumerate(fleet, start=1)]
    return Case(offered, instances, forecast, draw(st.integers(0, 6)))


@given(cases())
@settings(max_examples=300, deadline=None)
def test_it_agrees_with_a_plain_reading_of_algorithm_1(case: Case) -> None:
    plan = case.plan()
    choices, retired = reference(case)

    assert [(choice.offering, choice.instance) for choice in plan.choices] == choices
    assert set(plan.retire) == retired


@given(cases())
@settings(max_examples=200, deadline=None)
def test_a_plan_covers_the_target_step_or_says_how_much_is_missing(case: Case) -> None:
    plan = case.plan()
    tau = min(case.lead, len(case.forecast) - 1)
    ready = {number: math.ceil(ready_in_s / STEP_S) for number, _, ready_in_s in case.fleet}
    capacity = sum(
        case.kinds[choice.offering].capacity for choice in plan.choices if ready.get(choice.instance, 0) <= tau
    )

    assert plan.uncovered_rows_per_s == pytest.approx(max(0.0, case.forecast[tau] - capacity), abs=1e-6)


@given(cases())
@settings(max_examples=200, deadline=None)
def test_every_instance_is_kept_or_retired_and_no_offering_is_oversold(case: Case) -> None:
    plan = case.plan()
    kept = [choice.instance for choice in plan.choices if choice.instance]
    launched = [choice.offering for choice in plan.choices if not choice.instance]

    assert sorted([*kept, *plan.retire]) == [number for number, _, _ in case.fleet]
    assert all(launched.count(number) <= kind.available for number, kind in enumerate(case.kinds))


class TestByHand:
    SMALL = Kind(price=0.1, capacity=10.0, overhead_s=180.0, available=2000)
    LARGE = Kind(price=0.35, capacity=40.0, overhead_s=180.0, available=2000)

    def test_a_running_instance_is_cheaper_than_an_equal_new_one(self) -> None:
        plan = Case([self.SMALL], [(7, 0, 0.0)], [5.0] * 5, lead=2).plan()

        assert [(choice.offering, choice.instance) for choice in plan.choices] == [(0, 7)]
        assert plan.choices[0].rejected_offering == 0
        assert not plan.choices[0].rejected_running
        assert plan.choices[0].rejected_usd_per_million_rows > plan.choices[0].usd_per_million_rows

    def test_a_running_instance_is_used_once(self) -> None:
        plan = Case([self.SMALL], [(7, 0, 0.0)], [25.0] * 5, lead=2).plan()

        assert [choice.instance for choice in plan.choices] == [7, 0, 0]

    def test_a_large_load_takes_the_large_kind(self) -> None:
        plan = Case([self.SMALL, self.LARGE], [], [80.0] * 60, lead=5).plan()

        assert [choice.offering for choice in plan.choices] == [1, 1]

    def test_what_the_steps_before_the_target_need_is_kept(self) -> None:
        forecast = [30.0, 30.0, 5.0]

        plan = Case([self.SMALL], [(1, 0, 0.0), (2, 0, 0.0), (3, 0, 0.0), (4, 0, 0.0)], forecast, lead=2).plan()

        assert sorted(choice.instance for choice in plan.choices) == [1, 2, 3]
        assert plan.retire == [4]

    def test_without_load_everything_is_left_out(self) -> None:
        plan = Case([self.SMALL], [(1, 0, 0.0)], [0.0, 0.0], lead=1).plan()

        assert (plan.choices, plan.retire) == ([], [1])

    def test_thousands_of_instances_take_no_recursion(self) -> None:
        plan = Case([Kind(0.1, 10.0, 180.0, 5000)], [(n, 0, 0.0) for n in range(1, 1101)], [20_000.0] * 60, 5).plan()

        assert len(plan.choices) == 2000


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (Case([Kind(0.1, 0.0, 0, 1)], [], [1.0], 1), "no offering meets the SLO by itself: k0"),
        (Case([], [], [1.0], 1), "there is none"),
        (Case([Kind(0.1, 1.0, 0, 1)], [], [], 1), "at least one step"),
        (Case([Kind(0.1, 1.0, 0, 1)], [], [math.nan], 1), "finite"),
        (Case([Kind(0.1, 1.0, 0, 1)], [], [-1.0], 1), "none negative"),
        (Case([Kind(-0.1, 1.0, 0, 1)], [], [1.0], 1), "offering k0"),
        (Case([Kind(0.1, 1.0, 0, 1)], [(1, 3, 0.0)], [1.0], 1), "names offering 3"),
        (Case([Kind(0.1, 1.0, 0, 1)], [(1, 0, -5.0)], [1.0], 1), "ready_in_s"),
        (Case([Kind(0.1, 1.0, 0, 1)], [], [1.0], -1), "lead_steps"),
        (Case([Kind(0.1, 1.0, 0, 1)], [], [1.0], 1, step_s=0.0), "step_s"),
    ],
)
def test_nonsense_is_refused_by_name(case: Case, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        case.plan()
