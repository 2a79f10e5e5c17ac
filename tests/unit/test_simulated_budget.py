"""Budget caps in simulation: never exceeded, degraded in order and back, and no trace of them where there are none."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import pytest
from unit.budget_world import BIG, SPOT, BudgetRun, run_with_budget

from mark import _core
from mark.cloud.simulated import CloudBehaviour, Interruption
from mark.domain.budget import BudgetCaps, Stage
from mark.sim.tally import attained, tally_of

# A quiet quarter of an hour, three busy ones, and quiet again.
DAY = ((900.0, 50.0), (3600.0, 150.0), (6000.0, 20.0))
ROUNDING = 1e-9


@cache
def day(usd_per_hour: float | None, *, serverless: bool = False, policy: str = "refined") -> BudgetRun:
    """A run that nobody changes."""
    caps = None if usd_per_hour is None else BudgetCaps(usd_per_hour=usd_per_hour)
    return run_with_budget(DAY, caps, serverless=serverless, policy=policy)


@pytest.mark.parametrize(
    ("policy", "serverless", "usd_per_hour"),
    [("refined", True, 6.0), ("refined", False, 12.0), ("greedy", True, 3.0), ("greedy", False, 6.0)],
)
def test_no_more_is_ever_committed_in_an_hour_than_the_cap(policy: str, serverless: bool, usd_per_hour: float) -> None:
    done = day(usd_per_hour, policy=policy, serverless=serverless)

    assert 0.5 * usd_per_hour < done.committed_max <= usd_per_hour + ROUNDING
    assert all(usd <= usd_per_hour + ROUNDING for usd in done.cloud.bill().by_hour().values())


def test_not_even_while_the_cloud_takes_instances_away() -> None:
    behaviour = CloudBehaviour(
        boot_variation=0.2, interruptions=(Interruption(1500.0, 0.8), Interruption(2700.0, 0.5)), sold_out_after_s=600.0
    )

    done = run_with_budget(DAY, BudgetCaps(usd_per_hour=8.0), behaviour=behaviour)

    assert done.world.interrupted > 0
    assert done.committed_max <= 8.0 + ROUNDING


@pytest.mark.parametrize("serverless", [False, True])
def test_no_day_costs_more_than_its_cap_and_none_is_left_without_a_fleet(serverless: bool) -> None:
    hours = 26
    load = [(3600.0 * hour, 40.0 if hour % 4 else 10.0) for hour in range(1, hours + 1)]
    cap = BudgetCaps(usd_per_day=20.0)

    done = run_with_budget(load, cap, serverless=serverless, policy="greedy")

    assert 0.95 * cap.usd_per_day < done.usd_by_day()[0] <= cap.usd_per_day
    by_hour = done.cloud.bill().by_hour()
    assert by_hour[0] > cap.usd_per_day / 24  # who needs it first may have more than an even share
    assert min(by_hour[hour * 3600] for hour in range(hours)) > 0.4 * cap.usd_per_day / 24


def test_stages_are_entered_in_the_stated_order_and_left_in_reverse() -> None:
    done = day(6.0, serverless=True)

    stages = [stage for _, stage in done.stages]
    up = stages.index(Stage.SHED) + 1
    assert stages[:up] == [Stage.SPOT_FIRST, Stage.NO_SERVERLESS, Stage.SHED]
    assert stages[up:] == [Stage.NO_SERVERLESS, Stage.SPOT_FIRST, Stage.FULL]
    times = [at_s for at_s, _ in done.stages]
    assert all(later - before >= 60.0 for before, later in pairwise(times))
    # On the way back each stage has been calm for five minutes.
    assert all(later - before >= 300.0 for before, later in pairwise(times[up:]))


def test_the_first_stage_raises_the_share_of_spot_and_need_not_be_followed_by_another() -> None:
    without = day(None)
    done = day(12.0)

    def spot_usd_share(run) -> float:  # type: ignore[no-untyped-def]
        usd = run.cloud.bill().by_market()
        return float(usd["spot"] / sum(usd.values()))

    assert [stage for _, stage in done.stages] == [Stage.SPOT_FIRST, Stage.FULL]
    assert spot_usd_share(done) > spot_usd_share(without) + 0.15
    assert done.attainment == pytest.approx(without.attainment, abs=0.002)  # nobody noticed


def test_no_function_is_asked_while_serverless_is_off() -> None:
    done = day(6.0, serverless=True)

    off = next(at_s for at_s, stage in done.stages if stage is Stage.NO_SERVERLESS)
    on = next(at_s for at_s, stage in done.stages if stage is Stage.SPOT_FIRST and at_s > off)
    asked = done.world.engine.burst_by_bin
    assert sum(asked[: int(off / 60)]) > 0
    assert sum(asked[int(off / 60) + 1 : int(on / 60)]) == 0


def test_of_the_lowest_priority_only_what_is_not_paid_for_is_shed() -> None:
    done = run_with_budget(DAY, BudgetCaps(usd_per_hour=4.0), lowest_share=0.8)

    shed_s = next(at_s for at_s, stage in done.stages if stage is Stage.SHED)
    assert done.shares
    assert 0.3 < max(done.shares) <= 1.0
    statistics = done.world.engine.statistics()
    assert statistics.submitted_rows_lowest == pytest.approx(0.8 * statistics.submitted_rows, rel=0.01)
    # Told apart from what was refused, as live serving tells it; no more capacity is to be had for it.
    engine = done.world.engine
    shed_count = engine.ended(_core.Ending.SHED)
    assert shed_count > 0
    ended, answered = attained(engine)
    tally = tally_of(engine, done.cloud, functions=False)
    assert (tally.ended, tally.in_time) == (ended + shed_count, answered)
    assert tally.ended == sum(engine.ended(each) for each in _core.Ending) == engine.offered
    assert tally.shed == {"refused": engine.ended(_core.Ending.REFUSED), "beyond_the_budget": shed_count}
    # What the instances carry is still answered: the shed share is no more than it has to be.
    first = int(shed_s / 60) + 10
    in_time = done.world.engine.in_time_by_bin[first:58]
    assert sum(in_time) / len(in_time) / 60 > 0.85 * 100.0


def test_without_a_cap_nothing_changes_and_with_one_that_never_binds_neither() -> None:
    for options in ({}, {"serverless": True}, {"policy": "greedy"}):
        without = day(None, **options)
        wide = day(1e6, **options)

        assert wide.decisions == without.decisions
        assert wide.cloud.bill() == without.cloud.bill()
        assert list(wide.world.engine.latency_buckets) == list(without.world.engine.latency_buckets)


def test_a_cap_below_any_instance_leaves_nothing_running_and_says_so() -> None:
    done = run_with_budget([(600.0, 50.0)], BudgetCaps(usd_per_hour=0.3), offerings=(BIG, SPOT))

    assert done.committed_max == 0.0
    assert done.stages[-1][1] is Stage.SHED
