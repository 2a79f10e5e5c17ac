"""Bills: every dollar in the hour that it was spent in, and no dollar lost between the hours."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mark.cloud.simulated import CloudBehaviour, SimulatedCloud
from mark.domain.artifact import ModelArtifact
from mark.domain.bill import Bill, BillLine, instance_lines, spread
from mark.domain.cost import cost_usd, usd_per_hour_by_market
from mark.domain.fleet import TAKEN_AWAY, Instance, InstanceId, InstanceState
from mark.domain.offering import Market, Offering
from mark.domain.signature import ModelSignature
from mark.testing import ManualClock

HOUR_NS = 3600 * 10**9
SMALL = Offering("small", Market.ON_DEMAND, 3.6, boot_s=10, max_count=9)
SPOT = Offering("spot", Market.SPOT, 1.2, boot_s=10, max_count=9, free_when_taken_s=3600.0)
OFFERINGS = {"small": SMALL, "spot": SPOT}


def instance(offering: str = "small", began_h: float = 0.0, ended_h: float | None = None, model: str = "m") -> Instance:
    ended_ns = None if ended_h is None else round(ended_h * HOUR_NS)
    state = InstanceState.READY if ended_h is None else InstanceState.GONE
    return Instance(
        InstanceId(f"{offering}-{began_h}"), offering, model, state, round(began_h * HOUR_NS), ended_at_ns=ended_ns
    )


def bill(*instances: Instance, now_h: float = 10.0, epoch_ns: int = 0) -> Bill:
    return Bill.of(instance_lines(instances, OFFERINGS, round(now_h * HOUR_NS), epoch_ns))


def test_an_instance_is_billed_in_each_hour_that_it_ran_in() -> None:
    made = bill(instance(began_h=0.5, ended_h=2.25))

    assert made.by_hour() == pytest.approx({0: 1.8, 3600: 3.6, 7200: 0.9})
    assert replace(made.lines[1], usd=0) == BillLine(3600, "m", "on_demand", "small", 0)


def test_hours_are_those_of_the_day_whatever_the_clock_began_with() -> None:
    # The clock says 0 at twelve minutes to an hour.
    made = bill(instance(began_h=0.0, ended_h=1.0), epoch_ns=-round(5.8 * HOUR_NS))

    assert made.by_hour() == pytest.approx({5 * 3600: 0.72, 6 * 3600: 2.88})


def test_totals_by_market_model_and_hour_are_all_the_same_dollars() -> None:
    made = bill(instance(ended_h=1.5), instance("spot", ended_h=2.0, model="n"), instance("spot", 0.25, 1.0))

    assert made.by_market() == pytest.approx({"on_demand": 5.4, "spot": 3.3})
    assert made.by_model() == pytest.approx({"m": 6.3, "n": 2.4})
    assert made.by("model", "market") == pytest.approx(
        {("m", "on_demand"): 5.4, ("m", "spot"): 0.9, ("n", "spot"): 2.4}
    )
    assert made.of_model("n").usd == pytest.approx(2.4)
    assert made.usd == pytest.approx(8.7)


def test_what_is_alike_is_one_line_and_what_is_free_is_none() -> None:
    taken = replace(instance("spot", 0.1, 0.5), detail=TAKEN_AWAY)

    made = bill(instance(ended_h=0.25), instance(began_h=0.5, ended_h=0.75), taken)

    assert [line.offering for line in made.lines] == ["small"]
    assert made.usd == pytest.approx(1.8)


def test_bills_add_up_line_by_line() -> None:
    first, second = bill(instance(ended_h=1.5)), bill(instance(began_h=1.0, ended_h=2.5))

    assert (first + second).by_hour() == pytest.approx({0: 3.6, 3600: 5.4, 7200: 1.8})
    assert Bill() + first == first
    assert Bill().usd == 0


def test_the_least_time_may_reach_into_the_next_hour() -> None:
    minute = {"small": replace(SMALL, billed_s_min=60.0)}
    began_h = 1 - 15 / 3600

    made = Bill.of(instance_lines([instance(began_h=began_h)], minute, round(began_h * HOUR_NS), 0))

    assert made.by_hour() == pytest.approx({0: 0.015, 3600: 0.045})


@given(
    st.lists(st.tuples(st.sampled_from(["small", "spot"]), st.floats(0, 50), st.none() | st.floats(0, 50)), max_size=8),
    st.integers(-(10**15), 10**15),
)
def test_a_bill_is_what_the_instances_cost(lives: list[tuple[str, float, float | None]], epoch_ns: int) -> None:
    made = [
        replace(instance(name, began_h, None if lived_h is None else began_h + lived_h), id=InstanceId(str(number)))
        for number, (name, began_h, lived_h) in enumerate(lives)
    ]
    now_ns = 100 * HOUR_NS

    found = bill(*made, now_h=100.0, epoch_ns=epoch_ns)

    assert found.usd == pytest.approx(cost_usd(made, OFFERINGS, now_ns))
    assert sum(found.by_market().values()) == pytest.approx(found.usd)
    assert len({(line.hour_unix_s, line.model, line.offering) for line in found.lines}) == len(found.lines)


@given(st.integers(-(10**18), 10**18), st.integers(0, 10**14), st.floats(0, 1e6))
def test_spreading_loses_nothing_and_no_part_leaves_its_hour(began_ns: int, span_ns: int, usd: float) -> None:
    parts = list(spread(began_ns, began_ns + span_ns, usd))

    assert sum(part for _, part in parts) == pytest.approx(usd)
    hours = [hour for hour, _ in parts]
    assert hours == list(range(hours[0], hours[-1] + 1, 3600))
    assert all(hour % 3600 == 0 and 0 <= part <= usd for hour, part in parts)


def test_dollars_an_hour_are_of_what_runs_and_boots_at_its_own_price() -> None:
    dear = replace(instance("spot"), price_usd_per_hour=2.0)
    booting = replace(instance(began_h=1.0), state=InstanceState.PENDING)

    found = usd_per_hour_by_market([instance(), booting, dear, instance(ended_h=1.0)], OFFERINGS)

    assert found == pytest.approx({"on_demand": 7.2, "spot": 2.0})


def test_the_bill_of_a_simulated_cloud_is_by_the_hours_of_its_clock_surplus_included() -> None:
    clock = ManualClock()
    artifact = ModelArtifact(ModelSignature("m", "1", (), (), 1), "python", "x")
    cloud = SimulatedCloud([SMALL], clock, CloudBehaviour(boot_variation=0.0, billed_s_min=60.0))
    first = cloud.launch("small", artifact, "a")
    clock.advance_s(5400)
    cloud.charge(first.id, 0.5)
    cloud.terminate(first.id)
    second = cloud.launch("small", artifact, "b")
    clock.advance_s(1800)

    assert cloud.bill().by_hour() == pytest.approx({0: 3.6, 3600: 4.1})
    assert cloud.spent_usd() == cloud.bill().usd == pytest.approx(cloud.usd(Market.ON_DEMAND))
    assert second.model == cloud.bill().lines[0].model == "m"
