"""What every plan must be, whatever the catalogue, the load and what runs."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mark import _core
from mark.domain.fleet_plan import FleetPlan, RunningGroup
from mark.domain.forecast import Forecast
from mark.domain.offering import Market, Offering, Serverless
from mark.policies.planning import PlanningOptions, plan_fleet, planning_problem

STEP_S = 60.0
PLENTY = 10_000
Counts = list[list[int]]


@dataclass(frozen=True)
class Case:
    """One question for a plan."""

    offerings: tuple[Offering, ...]
    capacities: dict[str, float]
    running: tuple[RunningGroup, ...]
    rates: tuple[float, ...]
    options: PlanningOptions = field(default_factory=PlanningOptions)

    @property
    def forecast(self) -> Forecast:
        return Forecast(STEP_S, self.rates, "test")

    def plan(self) -> FleetPlan:
        return plan_fleet(self.offerings, self.capacities, self.running, self.forecast, self.options)

    def problem(self) -> _core.PlanningProblem:
        return planning_problem(self.offerings, self.capacities, self.running, self.forecast, self.options)

    def capacity_at(self, plan: FleetPlan, step: int) -> float:
        return sum(self.capacities[name] * counts[step] for name, counts in plan.counts.items())


@st.composite
def offerings_of(draw: st.DrawFn, *, most: int, max_count: int, pools: bool) -> tuple[Offering, ...]:
    found = []
    for number in range(draw(st.integers(1, most))):
        pooled = pools and draw(st.booleans())
        found.append(
            Offering(
                f"o{number}",
                Market.ON_DEMAND,
                price_usd_per_hour=6.0 * draw(st.integers(1, 9)),
                boot_s=STEP_S * draw(st.sampled_from((0, 0, 1, 2, 2.5))),
                max_count=draw(st.integers(1, max_count)) if max_count < PLENTY else PLENTY,
                interruptions_per_hour=draw(st.sampled_from((0.0, 0.0, 3.0))),
                pool="zone" if pooled and draw(st.booleans()) else "",
                pool_share_max=draw(st.sampled_from((0.3, 0.6))) if pooled else 1.0,
            )
        )
    return tuple(found)


@st.composite
def cases(
    draw: st.DrawFn,
    *,
    most: int = 4,
    steps: int = 8,
    rate: int = 60,
    max_count: int = PLENTY,
    pools: bool = False,
    frills: bool = False,
) -> Case:
    offerings = draw(offerings_of(most=most, max_count=max_count, pools=pools))
    capacities = {offering.name: float(draw(st.integers(1, 12))) for offering in offerings}
    running = []
    for offering in offerings:
        # Now and then a second group that boots.
        left = min(6, offering.max_count)
        for ready_in_s in draw(st.sampled_from(((), (0.0,), (0.0, STEP_S)))):
            count = draw(st.integers(0, left))
            left -= count
            kept_for_s = draw(st.sampled_from((0.0, 0.0, 90.0)))
            running.append(RunningGroup(offering.name, count, ready_in_s=ready_in_s, kept_for_s=kept_for_s))
    rates = tuple(float(r) for r in draw(st.lists(st.integers(0, rate), min_size=1, max_size=steps)))
    options = PlanningOptions()
    if frills:
        options = PlanningOptions(
            switching_usd=draw(st.sampled_from((0.0, 0.05))),
            serverless=draw(st.sampled_from((None, Serverless("lambda", 50.0, 100.0, 1)))),
            min_life_s=draw(st.sampled_from((60.0, 180.0))),
        )
    return Case(offerings, capacities, tuple(running), rates, options)


def reachable_from(case: Case) -> int:
    """The first step at which a launch serves; of those before, only what runs can carry the load."""
    booted = [math.ceil(o.boot_s / STEP_S) for o in case.offerings if o.max_count == PLENTY]
    return min(*booted, len(case.rates) - 1) if booted else len(case.rates)


def running_capacity(case: Case, step: int) -> float:
    return sum(
        case.capacities[group.offering] * group.count for group in case.running if group.ready_in_s <= step * STEP_S
    )


@given(case=cases())
@settings(max_examples=200)
def test_the_load_is_covered_at_every_step_that_a_launch_reaches(case: Case) -> None:
    plan = case.plan()

    for step in range(reachable_from(case), len(case.rates)):
        assert case.capacity_at(plan, step) >= case.rates[step] * (1 - 1e-9)


@given(case=cases())
def test_before_any_launch_is_ready_what_runs_carries_as_much_as_it_can(case: Case) -> None:
    plan = case.plan()

    for step, rate in enumerate(case.rates):
        assert case.capacity_at(plan, step) >= min(rate, running_capacity(case, step)) * (1 - 1e-9)


@given(case=cases(frills=True, pools=True))
@settings(max_examples=200)
def test_it_never_costs_more_than_algorithm_1(case: Case) -> None:
    plan = case.plan()

    usd, missed_rows = _core.greedy_cost(case.problem())
    assert plan.missed_rows <= missed_rows + 1e-6
    if plan.missed_rows == pytest.approx(missed_rows):
        assert plan.cost_usd_horizon <= usd * (1 + 1e-9) + 1e-9


def usd_of_single(problem: _core.PlanningProblem, family: _core.Family, *, level: bool) -> float | None:
    """What launches of one family alone cost, as many as each step or the highest needs; None where they leave load."""
    needed = []
    for rate, capacity in zip(problem.forecast_rows_per_s, family.rows_per_s, strict=True):
        if rate > 0 and capacity == 0:
            return None
        needed.append(math.ceil(rate / capacity - 1e-9) if rate > 0 else 0)
    if level:
        needed = [max(needed)] * len(needed)
    if max(needed) > family.count_max:
        return None
    started = sum(max(0, here - before) for before, here in itertools.pairwise([0, *needed]))
    return float(family.usd_per_step * sum(needed) + family.start_usd * started)


@given(case=cases().map(lambda case: replace(case, running=())))
@settings(max_examples=200)
def test_it_never_costs_more_than_the_best_fleet_of_a_single_offering(case: Case) -> None:
    plan, problem = case.plan(), case.problem()

    singles = [usd_of_single(problem, family, level=level) for family in problem.families for level in (False, True)]
    for usd in singles:
        assert usd is None or plan.cost_usd_horizon <= usd + 1e-9


def numbers_of(family: _core.Family, steps: int) -> Iterator[list[int]]:
    """Every sequence of numbers of instances that the family may have."""
    most = family.count_now if family.group >= 0 else family.count_max
    for numbers in itertools.product(range(most + 1), repeat=steps - family.first):
        kept = all(
            count == family.count_now
            for step, count in enumerate(numbers, family.first)
            if family.group >= 0 and step < family.kept_through
        )
        if kept and (not family.only_shrinks or list(numbers) == sorted(numbers, reverse=True)):
            yield [0] * family.first + list(numbers)


def cost_of(problem: _core.PlanningProblem, counts: Counts) -> tuple[float, float]:
    """Rows missed, and dollars: the definition of the problem, word by word."""
    missed_rows = usd = 0.0
    for family, numbers in zip(problem.families, counts, strict=True):
        usd += family.usd_per_step * sum(numbers)
        if family.group < 0:
            usd += family.start_usd * sum(max(0, b - a) for a, b in itertools.pairwise([0, *numbers]))
    for step, rate in enumerate(problem.forecast_rows_per_s):
        served = sum(n[step] * f.rows_per_s[step] for f, n in zip(problem.families, counts, strict=True))
        left = max(0.0, rate - served)
        serverless = min(left, problem.serverless_rows_per_s_max)
        missed_rows += (left - serverless) * problem.step_s
        usd += serverless * problem.step_s * problem.serverless_usd_per_row
    return missed_rows, usd


@given(case=cases(most=3, steps=3, rate=12, max_count=2))
@settings(max_examples=100)
def test_tiny_cases_are_solved_as_by_brute_force(case: Case) -> None:
    problem = case.problem()
    choices = [list(numbers_of(family, problem.steps)) for family in problem.families]
    if math.prod(len(each) for each in choices) > 20_000:
        return
    plan = case.plan()

    missed_rows, usd = min(cost_of(problem, list(counts)) for counts in itertools.product(*choices))

    assert plan.missed_rows == pytest.approx(missed_rows)
    assert plan.cost_usd_horizon == pytest.approx(usd)


def after(case: Case, plan: FleetPlan) -> tuple[RunningGroup, ...]:
    """What runs once a plan is carried out, before any time has passed."""
    retired = Counter({change.group: change.count for change in plan.retire})
    stays = [replace(group, count=group.count - retired[number]) for number, group in enumerate(case.running)]
    boots = {offering.name: offering.boot_s for offering in case.offerings}
    return (*stays, *(RunningGroup(c.offering, c.count, ready_in_s=boots[c.offering]) for c in plan.launch))


@given(case=cases())
@settings(max_examples=300)
def test_planning_again_after_the_plan_was_carried_out_changes_nothing(case: Case) -> None:
    plan = case.plan()

    again = replace(case, running=after(case, plan), options=PlanningOptions(last=plan)).plan()

    assert (again.launch, again.retire) == ((), ())
    assert again.counts == plan.counts


@given(case=cases(max_count=8, pools=True))
@settings(max_examples=200)
def test_retiring_starves_no_step_that_was_covered_before(case: Case) -> None:
    plan = case.plan()
    stays = after(case, plan)

    for step, rate in enumerate(case.rates):
        now = sum(case.capacities[g.offering] * g.count for g in stays if g.ready_in_s <= step * STEP_S)
        # Launches that the schedule makes later are promised too.
        promised = max(now, case.capacity_at(plan, step))
        assert promised >= min(rate, running_capacity(case, step)) * (1 - 1e-9)


@given(case=cases(max_count=6), unavailable=st.sets(st.sampled_from(("o0", "o1", "o2")), max_size=2))
@settings(max_examples=200)
def test_no_more_are_launched_than_may_exist_and_none_of_what_is_sold_out(case: Case, unavailable: set[str]) -> None:
    known = {offering.name for offering in case.offerings}
    options = PlanningOptions(unavailable_s=dict.fromkeys(unavailable & known, 1.0))
    if not known - unavailable:
        return
    plan = replace(case, options=options).plan()

    alive = Counter[str]()
    for group in case.running:
        alive[group.offering] += group.count
    for change in plan.launch:
        alive[change.offering] += change.count
        assert change.offering not in unavailable
    for offering in case.offerings:
        assert alive[offering.name] <= offering.max_count
        assert max(plan.counts.get(offering.name, (0,))) <= offering.max_count


@given(case=cases(), moves_max=st.integers(0, 5))
@settings(max_examples=200)
def test_a_plan_has_no_more_moves_than_it_may_and_retires_nothing_while_launches_are_put_off(
    case: Case, moves_max: int
) -> None:
    plan = replace(case, options=PlanningOptions(moves_max=moves_max)).plan()
    free = case.plan()

    launched, retired = (sum(change.count for change in changes) for changes in (plan.launch, plan.retire))
    assert launched + retired <= moves_max
    assert retired == 0 or launched == sum(change.count for change in free.launch)


@given(case=cases(pools=True, max_count=20))
@settings(max_examples=200)
def test_a_pool_carries_no_more_than_its_share_but_for_what_runs(case: Case) -> None:
    plan, problem = case.plan(), case.problem()
    pools: dict[int, set[str]] = {}
    for family in problem.families:
        pools.setdefault(family.pool, set()).add(case.offerings[family.offering].name)

    for pool, limits in enumerate(problem.pool_limits_rows_per_s):
        for step, limit in enumerate(limits):
            capacity = sum(case.capacities[name] * plan.counts[name][step] for name in pools[pool])
            before = sum(
                case.capacities[group.offering] * group.count for group in case.running if group.offering in pools[pool]
            )
            assert capacity <= max(limit, before) * (1 + 1e-6)


@given(case=cases(max_count=8, pools=True))
def test_what_is_to_be_kept_for_a_while_is_not_retired(case: Case) -> None:
    plan = case.plan()

    assert all(case.running[change.group].kept_for_s == 0 for change in plan.retire)


@given(case=cases(max_count=8, pools=True))
def test_every_running_instance_is_kept_or_retired(case: Case) -> None:
    plan = case.plan()

    decided = Counter[int]()
    for change in (*plan.keep, *plan.retire):
        decided[change.group] += change.count
    assert [decided[number] for number in range(len(case.running))] == [group.count for group in case.running]


@given(case=cases(frills=True, pools=True))
def test_the_same_question_has_the_same_answer(case: Case) -> None:
    assert case.plan() == case.plan()
