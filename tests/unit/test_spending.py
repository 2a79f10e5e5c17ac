"""What one model gives up for its budget: in order, back in reverse, and never more than is allowed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mark.controlplane.spending import Planned, Spending, SpendingParams, Terms
from mark.domain.budget import Spent, Stage
from mark.domain.fleet import Instance, InstanceId, InstanceState
from mark.domain.forecast import Forecast
from mark.domain.offering import Market, Offering
from mark.policies.provisioning import Keep, Proposal, Purchase

S = 10**9
STEP_S = 60
BIG = Offering("big", Market.ON_DEMAND, 1.0, boot_s=10, max_count=99)
SPOT = Offering("spot", Market.SPOT, 0.25, boot_s=10, max_count=99)
OFFERINGS = {"big": BIG, "spot": SPOT}
CAPACITIES = {"big": 10.0, "spot": 10.0}


class Fixed:
    """Grants always the same."""

    def __init__(self, usd_per_hour: float) -> None:
        self.usd_per_hour = usd_per_hour
        self.asked: list[tuple[float, float]] = []

    def spent(self, unix_ns: int, usd_today: float) -> None:
        pass

    def ask(self, model: str, wanted_usd_per_hour: float, held_usd_per_hour: float) -> float:
        assert model == "m"
        self.asked.append((wanted_usd_per_hour, held_usd_per_hour))
        return self.usd_per_hour


class World:
    """A model whose plans cost a dollar for ten rows a second, half of that on spot."""

    def __init__(self, usd_per_hour: float, **params: object) -> None:
        self.grants = Fixed(usd_per_hour)
        self.spending = Spending(self.grants, "m", SpendingParams(**{"calm_s": 120.0, **params}))  # type: ignore[arg-type]
        self.now_ns = 0
        self.plans: list[tuple[float, Terms]] = []
        self.spent = Spent()
        self.count_max = 10_000

    def plan(self, forecast: Forecast, terms: Terms) -> Planned:
        rate = max(forecast.rates_per_s)
        self.plans.append((rate, terms))
        price = 0.5 if terms.spot_first else 1.0
        count = min(self.count_max, -(-rate // 10))
        usd = price * count
        return Planned(Proposal((), (), max(0.0, rate - 10 * count)), usd, None, usd, price)

    def tick(self, rate: float) -> Stage:
        self.now_ns += STEP_S * S
        self.spending.see(self.now_ns, self.spent)
        self.chosen = self.spending.choose(self.now_ns, Forecast(60.0, (rate,), "f"), 0.0, self.plan)
        return self.spending.stage


def test_nothing_is_given_up_while_the_load_is_paid_for() -> None:
    world = World(5.0)

    assert [world.tick(rate) for rate in (10.0, 50.0, 30.0)] == [Stage.FULL] * 3
    assert world.plans == [(10.0, Terms()), (50.0, Terms()), (30.0, Terms())]
    assert world.spending.take_change() is None


def test_stages_are_entered_one_by_one_and_left_in_reverse_when_it_has_been_calm() -> None:
    world = World(5.0)
    up = [world.tick(200.0) for _ in range(4)]
    down = [world.tick(10.0) for _ in range(10)]

    assert up == [Stage.SPOT_FIRST, Stage.NO_SERVERLESS, Stage.SHED, Stage.SHED]
    # Two minutes of calm before each step back.
    assert down == [
        *[Stage.SHED] * 2,
        *[Stage.NO_SERVERLESS] * 3,
        *[Stage.SPOT_FIRST] * 3,
        *[Stage.FULL] * 2,
    ]


def test_a_load_that_just_fits_is_not_calm_enough_to_go_back() -> None:
    world = World(5.0)
    world.tick(60.0)
    assert world.spending.stage is Stage.SPOT_FIRST

    # Under full terms it would cost 5.0 of 5.0: nothing is left over.
    assert [world.tick(50.0) for _ in range(6)] == [Stage.SPOT_FIRST] * 6
    assert [world.tick(40.0) for _ in range(3)][-1] is Stage.FULL


def test_a_stage_that_would_give_nothing_up_is_left_out() -> None:
    world = World(5.0, stages=(Stage.FULL, Stage.SHED))

    assert [world.tick(200.0) for _ in range(2)] == [Stage.SHED, Stage.SHED]


def test_each_change_is_told_once_with_its_dollars() -> None:
    world = World(5.0)
    world.tick(200.0)

    change = world.spending.take_change()

    assert change is not None
    assert (change.before, change.after) == (Stage.FULL, Stage.SPOT_FIRST)
    assert change.reason == "budget: spot first; the load would need $20.0000 an hour of $5.0000 allowed"
    assert world.spending.take_change() is None


@pytest.mark.parametrize("rate", [51.0, 77.0, 200.0, 10_000.0])
def test_no_plan_costs_more_than_is_allowed_nor_leaves_what_another_instance_costs(rate: float) -> None:
    world = World(5.0, stages=(Stage.FULL,))
    world.tick(rate)

    assert 4.0 < world.chosen.usd_per_hour <= 5.0
    assert world.chosen.proposal.uncovered_per_s == pytest.approx(rate - 50.0, abs=10.0)
    assert len(world.plans) <= 7


@pytest.mark.parametrize("rate", [45.0, 200.0, 10_000.0])
def test_a_load_that_nothing_carries_leaves_no_more_unspent_than_one_that_money_alone_limits(rate: float) -> None:
    # Four instances at most, whatever the load is: dollars stop growing with it long before.
    world = World(3.5, stages=(Stage.FULL,))
    world.count_max = 4
    world.tick(rate)

    assert world.chosen.usd_per_hour == 3.0
    assert world.chosen.proposal.uncovered_per_s == pytest.approx(rate - 30.0, abs=10.0)


def test_nothing_is_planned_where_nothing_is_paid_for() -> None:
    world = World(0.25, stages=(Stage.FULL,))
    world.tick(100.0)

    assert world.chosen.usd_per_hour == 0.0


def instance(name: str, offering: str, state: InstanceState = InstanceState.READY) -> Instance:
    return Instance(InstanceId(name), offering, "m", state, 0)


def test_only_what_there_is_room_for_is_launched_and_what_is_cheaper_may_still_fit() -> None:
    world = World(3.0)
    world.tick(10.0)
    wanted = [Purchase("big", ""), Purchase("big", ""), Purchase("spot", ""), Purchase("spot", "")]

    bought = world.spending.afford(wanted, [1.0, 0.6], {"big": 1.0, "spot": 0.25})

    assert [each.offering for each in bought] == ["big", "spot"]


def test_what_functions_have_cost_in_this_hour_leaves_less_room() -> None:
    world = World(3.0)
    world.spent = Spent(functions_usd=1.5, functions_usd_hour=1.5)
    world.tick(10.0)

    assert world.grants.asked[-1] == (2.5, 1.5)
    assert len(world.spending.afford([Purchase("big", "")] * 3, [], {"big": 1.0})) == 1


def test_what_is_too_much_goes_unneeded_first_and_then_the_dearest() -> None:
    world = World(1.3)
    world.tick(0.0)
    staying = [instance("b1", "big"), instance("s1", "spot"), instance("s2", "spot"), instance("b2", "big")]

    keeps = [Keep(InstanceId(name), "") for name in ("b1", "s2", "b2")]
    gone = world.spending.let_go(staying, keeps, OFFERINGS, CAPACITIES)

    assert gone == ["s1", "b1"]


def test_functions_get_what_the_schedule_leaves_and_nothing_once_they_are_off() -> None:
    world = World(6.0)
    world.tick(40.0)
    limits = world.spending.limits([instance("b1", "big")], OFFERINGS, CAPACITIES)
    assert limits.functions_usd_per_hour == pytest.approx(2.0)  # one big runs, but four are planned with

    world.tick(500.0)
    world.tick(500.0)

    assert world.spending.stage is Stage.NO_SERVERLESS
    assert world.spending.limits([], OFFERINGS, CAPACITIES).functions_usd_per_hour == 0.0


def test_what_pings_cost_is_not_there_for_requests() -> None:
    world = World(6.0)
    world.tick(0.0)
    world.spent = Spent(functions_usd=0.5, functions_usd_hour=0.2)
    world.tick(0.0)

    assert world.spending.limits([], OFFERINGS, CAPACITIES).functions_usd_per_hour == pytest.approx(5.7)


def test_only_the_excess_of_the_lowest_priority_is_shed_and_only_in_the_last_stage() -> None:
    world = World(2.0, stages=(Stage.FULL, Stage.SHED))
    ready = [instance("b1", "big"), instance("b2", "big"), instance("b3", "big", InstanceState.PENDING)]
    world.tick(10.0)
    world.spent = Spent(rows=3000, rows_lowest=2400)  # 50 a second, 40 of the lowest priority
    assert world.spending.limits(ready, OFFERINGS, CAPACITIES).shed_share == 0.0

    world.tick(50.0)

    assert world.spending.stage is Stage.SHED
    assert world.spending.limits(ready, OFFERINGS, CAPACITIES).shed_share == pytest.approx(30 / 40)
    assert world.spending.limits(ready * 3, OFFERINGS, CAPACITIES).shed_share == 0.0
    assert world.spending.limits([], OFFERINGS, CAPACITIES).shed_share == 1.0


def test_with_one_priority_alone_the_door_sheds_by_deadlines_only() -> None:
    world = World(1.0, stages=(Stage.FULL, Stage.SHED), sheds=False)
    world.tick(10.0)
    world.spent = Spent(rows=3000, rows_lowest=3000)
    world.tick(50.0)

    assert world.spending.stage is Stage.SHED
    assert world.spending.limits([], OFFERINGS, CAPACITIES).shed_share == 0.0


def test_stages_out_of_order_are_refused() -> None:
    for stages in ((), (Stage.SHED,), (Stage.FULL, Stage.SHED, Stage.SPOT_FIRST)):
        with pytest.raises(ValueError, match="stages"):
            replace(SpendingParams(), stages=stages)
