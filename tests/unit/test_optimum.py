"""The exact solver's optimum, against trying out every schedule of problems that are small enough for that."""

from __future__ import annotations

import itertools
import math
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from mark import _core
from mark.domain.fleet_plan import FleetPlan, RunningGroup
from mark.domain.forecast import Forecast
from mark.domain.offering import Market, Offering, Serverless
from mark.errors import ConfigError, PlanningError
from mark.policies.optimum import Optimum, optimal_gap, optimal_schedule
from mark.policies.planning import PlanningOptions, plan_fleet, planning_problem

SMALL = Offering("small", Market.ON_DEMAND, 0.6, boot_s=0, max_count=2, launch_overhead_s=30)
LARGE = Offering("large", Market.ON_DEMAND, 0.9, boot_s=0, max_count=2, launch_overhead_s=120)
CAPACITIES = {"small": 10.0, "large": 20.0}
LAMBDA = Serverless("lambda", usd_per_million_requests=30.0, latency_ms=100, concurrency_max=1)  # 10 requests/s
STEP_S = 60.0

Counts = tuple[int, ...]


def problem_of(
    rates: Sequence[float],
    *,
    offerings: Sequence[Offering] = (SMALL, LARGE),
    running: Sequence[RunningGroup] = (),
    options: PlanningOptions | None = None,
) -> _core.PlanningProblem:
    forecast = Forecast(STEP_S, tuple(rates), "test")
    return planning_problem(offerings, CAPACITIES, running, forecast, options or PlanningOptions())


def lives_long_enough(counts: Counts, life_steps: int) -> bool:
    """Whether the oldest may go each time that the number shrinks."""
    began: list[int] = []
    for step, count in enumerate(counts):
        while len(began) > count:
            if step - began.pop(0) < life_steps:
                return False
        began += [step] * (count - len(began))
    return True


def schedules_of(family: _core.Family, problem: _core.PlanningProblem) -> list[Counts]:
    """All that the family may do."""
    waiting = (0,) * family.first
    steps = range(family.first, problem.steps)
    found = []
    for tail in itertools.product(range(family.count_max + 1), repeat=len(steps)):
        grows = any(after > before for before, after in itertools.pairwise(tail))
        kept = all(
            count >= family.count_now for step, count in zip(steps, tail, strict=True) if step < family.kept_through
        )
        if kept and not (family.only_shrinks and grows):
            found.append(waiting + tail)
    return [each for each in found if family.group >= 0 or lives_long_enough(each, problem.min_life_steps)]


def price_of(schedule: Sequence[Counts], problem: _core.PlanningProblem) -> tuple[float, float] | None:
    """(rows missed, dollars) as csrc/mark/planning_problem.h has it; None where a pool or a twin is exceeded."""
    missed_rows = usd = 0.0
    for family, counts in zip(problem.families, schedule, strict=True):
        starts = sum(max(0, after - before) for before, after in itertools.pairwise((0, *counts)))
        usd += sum(counts) * family.usd_per_step + (starts * family.start_usd if family.group < 0 else 0.0)
    for family, counts in zip(problem.families, schedule, strict=True):
        twins = schedule[family.twin] if family.twin >= 0 else (0,) * problem.steps
        if any(count + twin > family.count_max for count, twin in zip(counts, twins, strict=True)):
            return None
    for step, rate in enumerate(problem.forecast_rows_per_s):
        served = [f.rows_per_s[step] * counts[step] for f, counts in zip(problem.families, schedule, strict=True)]
        for pool, limits in enumerate(problem.pool_limits_rows_per_s):
            rows = sum(rows for f, rows in zip(problem.families, served, strict=True) if f.pool == pool)
            if rows > limits[step] + 1e-9:
                return None
        left = max(0.0, float(rate) - sum(served))
        serverless = min(left, problem.serverless_rows_per_s_max)
        usd += serverless * problem.step_s * problem.serverless_usd_per_row
        if problem.must_cover:
            missed_rows += (left - serverless) * problem.step_s
        else:
            usd += (left - serverless) * problem.step_s * problem.miss_usd_per_row
    return round(missed_rows, 6), usd


def cheapest_of_all(problem: _core.PlanningProblem) -> tuple[float, float]:
    every = itertools.product(*(schedules_of(family, problem) for family in problem.families))
    return min(price for schedule in every if (price := price_of(schedule, problem)) is not None)


def agreed(problem: _core.PlanningProblem) -> Optimum:
    """The optimum, when it costs what its own counts cost and nothing else costs less."""
    optimum = optimal_schedule(problem)
    missed_rows, usd = cheapest_of_all(problem)
    assert optimum.proven
    for price in ((optimum.missed_rows, optimum.usd), price_of(optimum.counts, problem)):
        assert price == pytest.approx((missed_rows, usd), rel=1e-6, abs=1e-4 if missed_rows else 1e-9)
    return optimum


def test_launches_follow_the_load_where_that_pays() -> None:
    agreed(problem_of((5, 25, 5)))
    assert agreed(problem_of((10, 20, 10))).counts == ((1, 2, 1), (0, 0, 0))  # a boot of the large one costs more


def test_running_ones_are_used_before_others_are_launched_and_go_when_they_are_dear() -> None:
    assert agreed(problem_of((20, 20, 20), running=[RunningGroup("large", 1)])).counts == (
        (1, 1, 1),
        (0,) * 3,
        (0,) * 3,
    )
    went = agreed(problem_of((30, 10, 10), running=[RunningGroup("large", 1), RunningGroup("small", 1)]))
    assert went.counts[:2] == ((1, 0, 0), (1, 1, 1))


def test_running_ones_that_boot_or_are_kept_are_counted_from_and_until_then() -> None:
    boots = agreed(problem_of((10, 10, 10), running=[RunningGroup("small", 1, ready_in_s=90)]))
    assert boots.counts[0] == (0, 0, 1)
    kept = agreed(problem_of((0, 0, 0), running=[RunningGroup("large", 2, kept_for_s=90)]))
    assert kept.counts[0] == (2, 2, 0)


def test_what_cannot_be_served_yet_is_missed_and_nothing_else() -> None:
    late = [replace(SMALL, boot_s=60, launch_overhead_s=60)]
    assert agreed(problem_of((10, 10, 10), offerings=late)).missed_rows == pytest.approx(600)
    assert agreed(problem_of((0, 35, 0), offerings=late)).missed_rows == pytest.approx(15 * 60)


def test_serverless_takes_what_it_may_where_it_is_cheaper() -> None:
    options = PlanningOptions(serverless=LAMBDA)
    assert agreed(problem_of((1, 12, 1), options=options)).counts == ((0, 1, 0), (0, 0, 0))
    agreed(problem_of((45, 70, 5), options=options))


def test_a_miss_that_has_a_price_is_weighed_against_an_instance() -> None:
    cheap = PlanningOptions(miss_usd_per_million_rows=1.0)
    assert agreed(problem_of((10, 10, 10), options=cheap)).usd == pytest.approx(10 * 180 * 1e-6)
    assert agreed(problem_of((10, 10, 10), options=replace(cheap, miss_usd_per_million_rows=100.0))).usd < 0.04


def test_serverless_goes_before_a_miss_that_would_be_cheaper() -> None:
    options = PlanningOptions(serverless=LAMBDA, miss_usd_per_million_rows=1.0)
    assert agreed(problem_of((5, 12, 0), options=options)).usd == pytest.approx((15 * 30 + 2 * 1) * STEP_S * 1e-6)


def test_a_pool_carries_no_more_than_its_share() -> None:
    spot = replace(SMALL, market=Market.SPOT, price_usd_per_hour=0.1, max_count=4)
    assert agreed(problem_of((20, 40, 20), offerings=[spot, LARGE])).counts == ((2, 4, 2), (0, 0, 0))
    shared = replace(spot, pool="a", pool_share_max=0.5)
    assert agreed(problem_of((20, 40, 20), offerings=[shared, LARGE])).counts == ((0, 2, 0), (1, 1, 1))


def test_running_ones_that_are_kept_may_be_more_than_the_share_of_their_pool() -> None:
    spot = replace(SMALL, pool="a", pool_share_max=0.5)
    kept = [RunningGroup("small", 2, kept_for_s=STEP_S)]
    optimum = optimal_schedule(problem_of((20, 20, 20), offerings=[spot, LARGE], running=kept))
    assert (optimum.missed_rows, optimum.counts[0]) == (0, (2, 0, 0))


def test_a_launch_lives_as_long_as_it_must() -> None:
    options = PlanningOptions(min_life_s=120)
    assert sum(agreed(problem_of((0, 10, 0, 0), offerings=[SMALL], options=options)).counts[0]) == 2
    assert agreed(problem_of((0, 0, 0, 10), offerings=[SMALL], options=options)).counts == ((0, 0, 0, 1),)
    agreed(problem_of((10, 20, 10, 20), offerings=[SMALL], options=options))


def random_problem(rng: random.Random) -> _core.PlanningProblem:
    """Of two offerings and three steps, with whatever else there can be."""
    offerings = [
        replace(
            each,
            price_usd_per_hour=rng.uniform(0.1, 1.0),
            boot_s=rng.choice([0, 0, 60]),
            launch_overhead_s=rng.choice([0, 30, 180]),
            interruptions_per_hour=rng.choice([0, 0, 2]),
            pool_share_max=rng.choice([1, 1, 0.4]),
            pool=rng.choice(["", "shared"]),
            credits_s=rng.choice([math.inf, 120.0]),
            baseline_share=0.3,
        )
        for each in (SMALL, LARGE)
    ]
    running = [RunningGroup("large", 1, ready_in_s=rng.choice([0, 60]))] if rng.random() < 0.5 else []
    options = PlanningOptions(
        serverless=LAMBDA if rng.random() < 0.3 else None,
        min_life_s=rng.choice([60, 120]),
        switching_usd=rng.choice([0, 0.001]),
        miss_usd_per_million_rows=rng.choice([None, None, 5.0, 50.0]),
    )
    return problem_of([rng.uniform(0, 55) for _ in range(3)], offerings=offerings, running=running, options=options)


def problems() -> Iterator[_core.PlanningProblem]:
    return (random_problem(random.Random(seed)) for seed in range(25))


def test_it_equals_every_schedule_tried_out_whatever_the_problem_is_made_of() -> None:
    for problem in problems():
        agreed(problem)


def bound(problem: _core.PlanningProblem) -> bool:
    """Whether a step may not have any counts, whatever its neighbours have: by a pool or a minimum life."""
    return bool(problem.pool_limits_rows_per_s) or problem.min_life_steps > 1


def check_never_cheaper(problem: _core.PlanningProblem) -> None:
    refined, optimum = _core.refined_plan(problem), optimal_schedule(problem)
    assert refined.missed_rows >= optimum.missed_rows - 1e-3
    assert refined.missed_rows > optimum.missed_rows + 1e-3 or refined.usd >= optimum.usd * (1 - 1e-6)


def test_the_refined_search_is_never_cheaper() -> None:
    for problem in itertools.filterfalse(bound, problems()):
        check_never_cheaper(problem)


def test_the_refined_search_is_never_cheaper_by_breaking_a_pool_or_a_life() -> None:
    for problem in filter(bound, problems()):
        check_never_cheaper(problem)


def test_a_search_that_is_cut_short_proves_nothing_and_still_bounds() -> None:
    short = optimal_schedule(problem_of((5, 25, 5)), time_limit_s=0.0)
    assert not short.proven
    assert 0 <= short.bound_usd <= optimal_schedule(problem_of((5, 25, 5))).usd


class TestOptimalGap:
    FORECAST = Forecast(STEP_S, (20.0, 20.0, 20.0), "test")
    OFFERED = ((SMALL, LARGE), CAPACITIES, (), FORECAST, PlanningOptions())

    def plan(self) -> FleetPlan:
        return plan_fleet(*self.OFFERED)

    def test_it_is_nothing_for_the_optimum(self) -> None:
        gap = optimal_gap(*self.OFFERED, self.plan())
        assert (gap.gap, gap.proven) == (0.0, True)

    def test_it_is_what_a_plan_costs_more(self) -> None:
        plan = self.plan()
        dearer = replace(plan, cost_usd_horizon=plan.cost_usd_horizon * 1.25)
        gap = optimal_gap(*self.OFFERED, dearer)
        assert gap.gap == pytest.approx(0.25)
        assert gap.optimum_usd == pytest.approx(plan.cost_usd_horizon)

    def test_a_plan_that_misses_what_can_be_served_is_not_to_be_compared(self) -> None:
        assert optimal_gap(*self.OFFERED, replace(self.plan(), cost_usd_horizon=0.01, missed_rows=60)).gap == math.inf

    def test_what_nobody_can_serve_is_no_fault_of_the_plan(self) -> None:
        offered = (*self.OFFERED[:3], Forecast(STEP_S, (500.0,), "test"), PlanningOptions())
        assert optimal_gap(*offered, plan_fleet(*offered)).gap == 0.0

    def test_what_is_free_at_best_has_no_share(self) -> None:
        offered = (*self.OFFERED[:3], Forecast(STEP_S, (0.0,), "test"), PlanningOptions())
        assert optimal_gap(*offered, replace(self.plan(), cost_usd_horizon=0.0)).gap == 0.0
        assert optimal_gap(*offered, replace(self.plan(), cost_usd_horizon=0.1)).gap == math.inf

    def test_a_fleet_that_cannot_be_is_refused(self) -> None:
        with pytest.raises(PlanningError, match="running 'tiny' is no offering"):
            optimal_gap(*self.OFFERED[:2], [RunningGroup("tiny", 1)], *self.OFFERED[3:], self.plan())

    def test_without_scipy_it_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "scipy.optimize", None)
        with pytest.raises(ConfigError, match=r"pip install 'mark-serve\[plan\]'"):
            optimal_gap(*self.OFFERED, self.plan())
