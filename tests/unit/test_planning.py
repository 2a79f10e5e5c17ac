"""Plans for a whole fleet: the paper's case, what each action says, what counts as a cost, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal

import pytest

from mark import _core
from mark.cloud.catalog import scenario
from mark.domain.fleet_plan import FleetPlan, PlannedChange, RunningGroup
from mark.domain.forecast import Forecast
from mark.domain.offering import Market, Offering, Serverless
from mark.errors import PlanningError
from mark.policies.planning import PlanningOptions, plan_fleet, planning_problem

Policy = Literal["greedy", "refined"]
POLICIES: tuple[Policy, ...] = ("greedy", "refined")

# $0.01 and $0.03 a minute.
SMALL = Offering("small", Market.ON_DEMAND, price_usd_per_hour=0.6, boot_s=60, max_count=50)
LARGE = Offering("large", Market.ON_DEMAND, price_usd_per_hour=1.8, boot_s=60, max_count=50)
OFFERINGS = (SMALL, LARGE)
CAPACITIES = {"small": 10.0, "large": 40.0}


def forecast(*rates: float) -> Forecast:
    return Forecast(60.0, rates, "test")


def planned(
    rates: tuple[float, ...],
    *running: RunningGroup,
    offerings: tuple[Offering, ...] = OFFERINGS,
    capacities: dict[str, float] | None = None,
    **options: Any,
) -> FleetPlan:
    return plan_fleet(offerings, capacities or CAPACITIES, running, forecast(*rates), PlanningOptions(**options))


def counted(changes: tuple[PlannedChange, ...]) -> dict[str, int]:
    return {change.offering: change.count for change in changes}


# --- the paper's case


def paper_plan(policy: Policy) -> FleetPlan:
    asked = scenario("paper/inception-v3")
    load = Forecast(asked.step_s, (3000 / 60,) * asked.horizon_steps, "flat")
    return plan_fleet(asked.offerings, asked.capacities, (), load, PlanningOptions(policy=policy))


def test_3000_inceptions_a_minute_are_one_p2_where_algorithm_1_takes_eleven_c5() -> None:
    refined, greedy = paper_plan("refined"), paper_plan("greedy")

    assert counted(refined.launch) == {"p2.xlarge": 1}
    assert refined.cost_usd_per_hour == pytest.approx(0.90)
    assert counted(greedy.launch) == {"c5.large": 11}
    assert greedy.cost_usd_per_hour == pytest.approx(0.935)
    assert refined.cost_usd_horizon < greedy.cost_usd_horizon


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("count", [1100, 100_000])
def test_a_fleet_of_any_size_is_planned(policy: Policy, count: int) -> None:
    kind = replace(SMALL, max_count=100_000)
    running = RunningGroup("small", count)

    kept = planned((10.0 * count,) * 10, running, offerings=(kind,), policy=policy)
    launched = planned((0.0,) * 5 + (10.0 * count,) * 5, offerings=(replace(kind, boot_s=300),), policy=policy)

    assert counted(kept.keep) == {"small": count}
    assert (kept.launch, kept.retire) == ((), ())
    assert counted(launched.launch) == {"small": count}


# --- what an action says


def horizon_usd(rates: tuple[float, ...], offerings: tuple[Offering, ...]) -> float:
    return planned(rates, offerings=offerings).cost_usd_horizon


def test_a_launch_says_the_step_that_needs_it_its_price_and_the_best_rejected_alternative() -> None:
    (launch,) = planned((0.0, 20.0, 40.0)).launch

    assert (launch.offering, launch.count, launch.group, launch.binding_step) == ("large", 1, -1, 2)
    # Two steps, and the boot that is billed.
    assert launch.usd == pytest.approx(0.03 * 3)
    assert launch.reason == "in the cheapest schedule, $0.0900 over the horizon"
    assert launch.alternative == "4 new small"
    assert launch.alternative_extra_usd == pytest.approx(4 * 0.01 * 3 - 0.09)


def test_the_extra_dollars_of_an_alternative_are_the_difference_of_two_plans() -> None:
    rates = (0.0, 40.0, 40.0)

    (launch,) = planned(rates).launch

    others = horizon_usd(rates, (SMALL,)) - horizon_usd(rates, (LARGE,))
    assert launch.alternative_extra_usd == pytest.approx(others)


def test_what_has_no_alternative_says_so() -> None:
    (launch,) = planned((0.0, 10.0), offerings=(SMALL,)).launch

    assert (launch.alternative, launch.alternative_extra_usd) == ("", 0.0)


def test_to_do_without_is_an_alternative_where_serverless_takes_the_rest() -> None:
    lambda_ = Serverless("lambda", usd_per_million_requests=100.0, latency_ms=100, concurrency_max=100)

    (launch,) = planned((0.0, *[10.0] * 5), offerings=(SMALL,), serverless=lambda_).launch

    assert launch.alternative == "to do without"
    # Five minutes of 600 requests instead of six of an instance.
    assert launch.alternative_extra_usd == pytest.approx(5 * 600 * 100e-6 - 6 * 0.01)


def test_a_running_instance_that_stays_names_the_new_one_that_could_replace_it() -> None:
    at_once = replace(LARGE, boot_s=0)

    (keep,) = planned((10.0, 10.0), RunningGroup("small", 1), offerings=(SMALL, at_once)).keep

    assert (keep.offering, keep.group, keep.count, keep.binding_step) == ("small", 0, 1, 0)
    assert keep.usd == pytest.approx(2 * 0.01)
    assert keep.alternative == "1 new large"
    assert keep.alternative_extra_usd == pytest.approx(2 * 0.03 - 2 * 0.01)


def test_a_retirement_says_what_the_instances_would_cost() -> None:
    (retire,) = planned((10.0, 10.0, 10.0), RunningGroup("small", 3)).retire

    assert (retire.offering, retire.count, retire.binding_step) == ("small", 2, -1)
    assert retire.usd == pytest.approx(2 * 3 * 0.01)
    assert retire.alternative == "to keep it"
    assert retire.alternative_extra_usd == pytest.approx(3 * 0.01)
    assert retire.reason == "no step needs it"


def test_a_retirement_from_a_pool_that_is_full_has_no_alternative_in_infinite_dollars() -> None:
    spot = replace(SMALL, name="spot", market=Market.SPOT, pool_share_max=0.3)

    plan = planned((10.0, 10.0), RunningGroup("spot", 4), offerings=(spot,), capacities={"spot": 10.0})

    assert all(math.isfinite(change.alternative_extra_usd) for change in plan.retire)
    assert counted(plan.retire) == {"spot": 3}


def test_moves_that_are_put_off_are_not_paid_for() -> None:
    (launch,) = planned((0.0, 20.0, 20.0), offerings=(SMALL,), moves_max=1).launch

    assert launch.count == 1
    assert launch.usd == pytest.approx(3 * 0.01)
    assert launch.reason.endswith("$0.0300 over the horizon")


# --- what counts as a cost


def test_a_cheap_spot_instance_that_is_often_interrupted_loses() -> None:
    spot = replace(SMALL, name="spot", market=Market.SPOT, price_usd_per_hour=0.5)
    offerings, capacities = (SMALL, spot), {"small": 10.0, "spot": 10.0}

    calm = planned((0.0, *[10.0] * 30), offerings=offerings, capacities=capacities)
    often = replace(spot, interruptions_per_hour=20.0)
    rough = planned((0.0, *[10.0] * 30), offerings=(SMALL, often), capacities=capacities)

    assert counted(calm.launch) == {"spot": 1}
    assert counted(rough.launch) == {"small": 1}


def test_a_pool_of_spot_instances_carries_no_more_than_its_share() -> None:
    spot = replace(SMALL, name="spot", market=Market.SPOT, price_usd_per_hour=0.2, pool_share_max=0.4)

    plan = planned((0.0, *[100.0] * 9), offerings=(SMALL, spot), capacities={"small": 10.0, "spot": 10.0})

    assert counted(plan.launch) == {"small": 6, "spot": 4}


def test_burstables_are_counted_on_for_as_long_as_their_credits_last() -> None:
    burstable = replace(
        SMALL, name="burstable", market=Market.BURSTABLE, price_usd_per_hour=0.3, baseline_share=0.1, credits_s=180
    )
    offerings, capacities = (SMALL, burstable), {"small": 10.0, "burstable": 10.0}

    plan = planned((0.0, *[10.0] * 9), offerings=offerings, capacities=capacities)

    assert counted(plan.launch) == {"burstable": 1}
    assert plan.counts["burstable"] == (0, 1, 1, 1, 0, 0, 0, 0, 0, 0)
    assert plan.counts["small"] == (0, 0, 0, 0, 1, 1, 1, 1, 1, 1)


def test_a_running_burstable_that_has_spent_its_credits_is_replaced_in_time() -> None:
    burstable = replace(SMALL, name="burstable", market=Market.BURSTABLE, baseline_share=0.1, credits_s=600)
    offerings, capacities = (SMALL, burstable), {"small": 10.0, "burstable": 10.0}

    plan = planned((10.0,) * 4, RunningGroup("burstable", 1, credits_s=60), offerings=offerings, capacities=capacities)

    assert sum(change.count for change in plan.launch) == 1
    assert plan.missed_rows == 0


def test_burstables_now_and_later_together_keep_to_max_count() -> None:
    burstable = replace(
        SMALL, name="burstable", market=Market.BURSTABLE, max_count=3, baseline_share=0.5, credits_s=120
    )

    plan = planned((0.0, 30.0, 30.0, 15.0, 15.0), offerings=(burstable,), capacities={"burstable": 10.0})

    assert sum(change.count for change in plan.launch) <= 3
    assert max(plan.counts["burstable"]) <= 3


def test_serverless_takes_a_short_peak_that_no_launch_is_worth() -> None:
    lambda_ = Serverless("lambda", usd_per_million_requests=20.0, latency_ms=100, concurrency_max=100)
    peak = (10.0, 10.0, 30.0, 10.0)

    plan = planned(peak, RunningGroup("small", 1), serverless=lambda_)

    assert plan.counts == {"small": (1, 1, 1, 1), "large": (0, 0, 0, 0)}
    # Four minutes of an instance, and 1200 requests.
    assert plan.cost_usd_horizon == pytest.approx(4 * 0.01 + 1200 * 20e-6)
    assert planned(peak, RunningGroup("small", 1)).cost_usd_horizon > plan.cost_usd_horizon


def test_serverless_takes_no_more_than_its_concurrency() -> None:
    lambda_ = Serverless("lambda", usd_per_million_requests=0.0, latency_ms=1000, concurrency_max=4)

    plan = planned((0.0, 13.0, 13.0), offerings=(SMALL,), serverless=lambda_)

    assert counted(plan.launch) == {"small": 1}


def test_what_is_priced_too_low_to_serve_is_missed() -> None:
    plan = planned((0.0, 10.0, 10.0), offerings=(SMALL,), miss_usd_per_million_rows=1.0)

    assert plan.launch == ()
    assert plan.cost_usd_horizon == pytest.approx(1200e-6)


def test_an_instance_lives_as_long_as_it_must() -> None:
    no_boot = replace(SMALL, boot_s=0, launch_overhead_s=0)

    brief = planned((10.0, 0.0, 0.0, 0.0), offerings=(no_boot,), min_life_s=60.0)
    lasting = planned((10.0, 0.0, 0.0, 0.0), offerings=(no_boot,), min_life_s=180.0)

    assert brief.counts["small"] == (1, 0, 0, 0)
    assert lasting.counts["small"] == (1, 1, 1, 0)
    assert lasting.cost_usd_horizon == pytest.approx(3 * 0.01)


@pytest.mark.parametrize("life_steps", [4, 20, 40])
def test_every_planned_life_is_long_enough(life_steps: int) -> None:
    rates = tuple(10.0 * (step % 5) for step in range(60))

    counts = planned(rates, min_life_s=60.0 * life_steps).counts

    for numbers in counts.values():
        for step in range(1, len(numbers)):
            lately = range(max(0, step - life_steps + 1), step + 1)
            started = sum(max(0, numbers[at] - (numbers[at - 1] if at else 0)) for at in lately)
            assert numbers[step] >= started


def test_a_switching_cost_keeps_an_instance_through_a_gap() -> None:
    no_boot = replace(SMALL, boot_s=0)

    free = planned((10.0, 0.0, 0.0, 10.0), offerings=(no_boot,))
    switching = planned((10.0, 0.0, 0.0, 10.0), offerings=(no_boot,), switching_usd=0.05)

    assert free.counts["small"] == (1, 0, 0, 1)
    assert switching.counts["small"] == (1, 1, 1, 1)


def test_algorithm_1_pays_the_switching_cost_of_its_launches_too() -> None:
    free = planned((10.0, 10.0), policy="greedy")
    switching = planned((10.0, 10.0), policy="greedy", switching_usd=0.05)

    assert switching.launch == free.launch
    launched = sum(change.count for change in free.launch)
    assert switching.cost_usd_horizon - free.cost_usd_horizon == pytest.approx(0.05 * launched)


def test_what_runs_stays_until_its_cheaper_replacement_is_ready() -> None:
    dear = replace(SMALL, name="dear", price_usd_per_hour=6.0)

    plan = planned(
        (10.0,) * 10, RunningGroup("dear", 1), offerings=(SMALL, dear), capacities={"small": 10.0, "dear": 10.0}
    )

    assert counted(plan.launch) == {"small": 1}
    assert counted(plan.keep) == {"dear": 1}
    assert plan.counts["dear"] == (1,) + (0,) * 9


def test_what_still_boots_is_not_retired_before_it_may_be() -> None:
    booting = RunningGroup("small", 1, ready_in_s=240, kept_for_s=60)

    kept = planned((0.0,) * 10, booting)
    free = planned((0.0,) * 10, replace(booting, kept_for_s=0))

    assert (counted(kept.keep), kept.retire) == ({"small": 1}, ())
    assert (free.keep, counted(free.retire)) == ((), {"small": 1})


def test_a_boot_beyond_the_horizon_is_not_launched_again_and_again() -> None:
    slow = replace(SMALL, boot_s=600)

    first = planned((10.0, 10.0), offerings=(slow,))
    again = planned((10.0, 10.0), RunningGroup("small", 1, ready_in_s=600), offerings=(slow,), last=first)

    assert counted(first.launch) == {"small": 1}
    assert (again.launch, again.retire, counted(again.keep)) == ((), (), {"small": 1})


def test_of_equal_plans_the_last_is_kept() -> None:
    twin = replace(SMALL, name="twin")
    offerings, capacities = (SMALL, twin), {"small": 10.0, "twin": 10.0}
    last = planned((0.0, *[10.0] * 9), offerings=(twin,), capacities=capacities)

    fresh = planned((0.0, *[10.0] * 9), offerings=offerings, capacities=capacities)
    kept = planned((0.0, *[10.0] * 9), offerings=offerings, capacities=capacities, last=last)

    assert counted(fresh.launch) == {"small": 1}
    assert counted(kept.launch) == {"twin": 1}


# --- what is refused


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("rate", [-1.0, math.nan, math.inf])
def test_a_forecast_that_makes_no_sense_is_refused(policy: Policy, rate: float) -> None:
    with pytest.raises(PlanningError, match=r"forecast.*finite"):
        planned((10.0, rate), policy=policy)


@pytest.mark.parametrize("policy", POLICIES)
def test_an_empty_forecast_is_refused(policy: Policy) -> None:
    with pytest.raises(PlanningError, match="at least one step"):
        planned((), policy=policy)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("step_s", [0.0, -60.0, math.nan, math.inf])
def test_a_step_that_is_no_length_of_time_is_refused(policy: Policy, step_s: float) -> None:
    with pytest.raises(PlanningError, match="step_s must be positive"):
        plan_fleet(OFFERINGS, CAPACITIES, (), Forecast(step_s, (1.0,), "test"), PlanningOptions(policy=policy))


@pytest.mark.parametrize("policy", POLICIES)
def test_a_price_or_a_boot_that_is_not_finite_is_refused_by_name(policy: Policy) -> None:
    for wrong in (replace(LARGE, price_usd_per_hour=math.inf), replace(LARGE, boot_s=math.inf)):
        with pytest.raises(PlanningError, match="large"):
            planned((10.0,), offerings=(SMALL, wrong), policy=policy)


def test_a_negative_price_is_no_offering() -> None:
    with pytest.raises(ValueError, match="offering small: price_usd_per_hour"):
        replace(SMALL, price_usd_per_hour=-1.0)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_catalogue_without_capacity_is_refused_by_its_names(policy: Policy) -> None:
    with pytest.raises(PlanningError, match=r"SLO.*"):
        planned((10.0,), capacities={"small": 0.0, "large": 0.0}, policy=policy)


@pytest.mark.parametrize("capacity", [-1.0, math.nan, math.inf])
def test_a_capacity_that_makes_no_sense_is_refused_by_name(capacity: float) -> None:
    with pytest.raises(PlanningError, match=r"offering small: its capacity"):
        planned((10.0,), capacities={"small": capacity})


@pytest.mark.parametrize("policy", POLICIES)
def test_an_empty_catalogue_is_refused(policy: Policy) -> None:
    with pytest.raises(PlanningError, match=r"catalogue is empty|there is none"):
        planned((10.0,), offerings=(), policy=policy)


@pytest.mark.parametrize("policy", POLICIES)
def test_running_instances_of_an_unknown_type_are_refused_with_those_that_are_known(policy: Policy) -> None:
    with pytest.raises(PlanningError, match="running 'huge' is no offering; known are small, large"):
        planned((10.0,), RunningGroup("huge", 1), policy=policy)


@pytest.mark.parametrize("policy", POLICIES)
def test_more_running_than_exist_are_refused(policy: Policy) -> None:
    with pytest.raises(PlanningError, match="running small: 51 is more than exist: max_count is 50"):
        planned((10.0,), RunningGroup("small", 50), RunningGroup("small", 1), policy=policy)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_negative_number_of_running_instances_is_refused(policy: Policy) -> None:
    with pytest.raises(PlanningError, match="running small: a count of -1"):
        planned((10.0,), RunningGroup("small", -1), policy=policy)


def test_an_offering_given_twice_is_refused() -> None:
    with pytest.raises(PlanningError, match="'small' is given twice"):
        planned((10.0,), offerings=(SMALL, SMALL))


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_prices_and_lives_that_make_no_sense_are_refused(value: float) -> None:
    for options in (
        PlanningOptions(switching_usd=value),
        PlanningOptions(min_life_s=value),
        PlanningOptions(miss_usd_per_million_rows=value),
    ):
        with pytest.raises(PlanningError, match="min_life_s, switching_usd, and the prices"):
            plan_fleet(OFFERINGS, CAPACITIES, (), forecast(10.0), options)


def test_a_negative_number_of_moves_is_refused() -> None:
    with pytest.raises(PlanningError, match="moves_max is -1"):
        planned((10.0,), moves_max=-1)


def test_where_nothing_can_serve_each_offering_is_named_with_the_constraint_that_it_fails() -> None:
    weak = replace(SMALL, name="weak")
    with pytest.raises(PlanningError) as refused:
        planned(
            (10.0, 10.0), offerings=(weak, LARGE), capacities={"weak": 0.0, "large": 40.0}, unavailable_s={"large": 600}
        )

    assert "weak: does not meet the SLO by itself" in str(refused.value)
    assert "large: unavailable for 600 s" in str(refused.value)


def test_a_max_count_beyond_any_fleet_is_no_error() -> None:
    assert counted(planned((0.0, 40.0), offerings=(replace(LARGE, max_count=10**12),)).launch) == {"large": 1}


def test_the_core_refuses_with_a_value_error_what_the_policy_explains() -> None:
    problem = planning_problem(OFFERINGS, CAPACITIES, (), forecast(10.0), PlanningOptions())

    with pytest.raises(ValueError, match="moves_max"):
        _core.refined_plan(problem, moves_max=-1)
