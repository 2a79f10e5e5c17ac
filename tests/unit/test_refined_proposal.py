"""The refined plan for instances with names, and as it looks some steps later."""

from __future__ import annotations

from mark.domain.fleet import Instance, InstanceId, InstanceState
from mark.domain.fleet_plan import FleetPlan
from mark.domain.forecast import Forecast
from mark.domain.offering import Market, Offering
from mark.policies.planning import PlanningOptions
from mark.policies.refined_proposal import moved_on, propose_refined

S = 1_000_000_000
SMALL = Offering("small", Market.ON_DEMAND, price_usd_per_hour=0.1, boot_s=60, max_count=10)
LARGE = Offering("large", Market.ON_DEMAND, price_usd_per_hour=0.35, boot_s=60, max_count=3)
CAPACITIES = {"small": 10.0, "large": 40.0}
OPTIONS = PlanningOptions(min_life_s=0.0)


def instance(name: str, launched_s: int, *, offering: str = "small", ready: bool = True) -> Instance:
    state = InstanceState.READY if ready else InstanceState.PENDING
    return Instance(InstanceId(name), offering, "m", state, launched_at_ns=launched_s * S)


def forecast(*rates: float) -> Forecast:
    return Forecast(60.0, rates, "test")


def test_of_alike_instances_the_oldest_are_kept() -> None:
    fleet = (instance("young", 50), instance("old", 10), instance("middle", 20))

    found = propose_refined((SMALL,), CAPACITIES, fleet, forecast(*[15.0] * 10), 1000 * S, OPTIONS)

    assert [keep.instance for keep in found.proposal.keeps] == ["old", "middle"]
    assert found.proposal.purchases == ()
    assert "needed most at step" in found.proposal.keeps[0].reason


def test_what_boots_counts_from_when_it_is_ready() -> None:
    booting = instance("a", 970, ready=False)

    found = propose_refined((SMALL,), CAPACITIES, (booting,), forecast(*[8.0] * 10), 1000 * S, OPTIONS)

    assert [keep.instance for keep in found.proposal.keeps] == ["a"]
    assert found.proposal.purchases == ()
    assert found.proposal.uncovered_per_s == 0.0


def test_a_large_instance_is_bought_for_a_load_that_needs_it() -> None:
    found = propose_refined((SMALL, LARGE), CAPACITIES, (), forecast(*[40.0] * 10), 0, OPTIONS)

    assert [purchase.offering for purchase in found.proposal.purchases] == ["large"]
    assert "next best 4 new small" in found.proposal.purchases[0].reason


def test_what_boots_beyond_the_horizon_is_left_alone() -> None:
    slow = Offering("slow", Market.ON_DEMAND, price_usd_per_hour=0.1, boot_s=6000, max_count=2)
    fleet = (instance("a", 990, offering="slow", ready=False),)

    found = propose_refined((slow,), {"slow": 10.0}, fleet, forecast(0.0, 0.0), 1000 * S, OPTIONS)

    assert [keep.instance for keep in found.proposal.keeps] == ["a"]


def test_where_nothing_can_be_had_nothing_is_proposed() -> None:
    options = PlanningOptions(min_life_s=0.0, unavailable_s={"small": 1e6})

    found = propose_refined((SMALL,), CAPACITIES, (), forecast(5.0, 7.0), 0, options)

    assert found.plan is None
    assert found.proposal.purchases == ()
    assert found.proposal.uncovered_per_s == 7.0


def test_what_runs_is_kept_when_no_plan_can_be_made() -> None:
    useless = {"small": 0.0}

    found = propose_refined((SMALL,), useless, (instance("a", 10),), forecast(5.0, 7.0), 1000 * S, OPTIONS)

    assert found.plan is None
    assert [keep.instance for keep in found.proposal.keeps] == ["a"]
    assert "small: does not meet the SLO by itself" in found.proposal.keeps[0].reason


def test_a_plan_moves_on_with_time_until_nothing_of_it_is_left() -> None:
    plan = FleetPlan("refined", (), (), (), 0.0, 0.0, 0.0, {"small": (1, 2, 3)})

    later = moved_on(plan, 1)

    assert later is not None
    assert later.counts == {"small": (2, 3, 3)}
    assert moved_on(plan, 3) is None
