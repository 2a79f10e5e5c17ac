"""What a budget changes is written down: each stage with its dollars, and what waits for room."""

from __future__ import annotations

from itertools import pairwise

from mark.controlplane.budget import Budget
from mark.controlplane.chronicle import Chronicle
from mark.controlplane.controller import Controller
from mark.controlplane.controller_params import ControllerParams
from mark.controlplane.fleet_rules import FleetRuleParams, FleetRules
from mark.controlplane.spending import Spending, SpendingParams
from mark.domain.budget import BudgetCaps, Spent
from mark.domain.offering import Market, Offering
from mark.domain.record import Record, RecordKind
from mark.forecast.baselines import MovingMaximum

S = 10**9
BIG = Offering("big", Market.ON_DEMAND, 1.0, boot_s=1, max_count=50)
SPOT = Offering("spot", Market.SPOT, 0.5, boot_s=1, max_count=50)


class Records(list[Record]):
    """Keeps records."""

    def record(self, record: Record) -> None:
        self.append(record)


def test_each_stage_is_a_record_of_its_own_beside_the_plan() -> None:
    records = Records()
    params = ControllerParams(step_s=1.0, window_s=1.0, horizon_steps=3, cooldown_s=2.0, min_instances=0)
    capacities = {"big": 10.0, "spot": 10.0}
    controller = Controller(("c", "m"), (BIG, SPOT), capacities, MovingMaximum(1, 1.0), params)
    spending = Spending(Budget(BudgetCaps(usd_per_hour=2.0), ["m"]), "m", SpendingParams(calm_s=3.0, window_s=1.0))
    controller.keep_to(spending)
    rules = FleetRules("m", controller, FleetRuleParams(1.0), Chronicle(("m", "r"), records, (BIG, SPOT)), spending)
    rules.priced((BIG, SPOT))

    rows = 0
    for second in range(12):
        rows += 200 if second < 5 else 5
        rules.observe(second * S, rows)
        limits = rules.limits(second * S, Spent(rows=rows))
        rules.tick(second * S, {})
    assert limits is not None

    told = [
        (record.details["before"], record.details["after"]) for record in records if record.kind is RecordKind.BUDGET
    ]
    up = ["full", "spot_first", "no_serverless", "shed"]
    assert told[:3] == list(pairwise(up))
    assert told[3:] == [pair[::-1] for pair in told[2::-1]][: len(told) - 3]
    assert len(told) > 3
    first = next(record for record in records if record.kind is RecordKind.BUDGET)
    assert first.reason.startswith("budget: spot first; the load would need $")
    assert first.details["allowed_usd_per_hour"] == 2.0
    plans = [record for record in records if record.kind is RecordKind.PLAN]
    assert len(plans) == 12
    assert any("budget: the lowest priority is shed, $2.0000 an hour allowed" in plan.reason for plan in plans)
