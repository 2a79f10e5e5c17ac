"""The bill: by the second, from launch to the end."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mark.domain.cost import cost_usd, instance_cost_usd
from mark.domain.fleet import TAKEN_AWAY, Instance, InstanceId, InstanceState
from mark.domain.offering import Market, Offering

HOUR_NS = 3_600 * 10**9
CHEAP = Offering("cheap", Market.SPOT, price_usd_per_hour=0.5, boot_s=0.0, max_count=9)
DEAR = Offering("dear", Market.ON_DEMAND, price_usd_per_hour=2.0, boot_s=0.0, max_count=9)
OFFERINGS = {"cheap": CHEAP, "dear": DEAR}


def instance(offering: str, launched_at_ns: int, ended_at_ns: int | None = None) -> Instance:
    state = InstanceState.READY if ended_at_ns is None else InstanceState.GONE
    return Instance(InstanceId("i"), offering, "m", state, launched_at_ns, ended_at_ns=ended_at_ns)


def test_an_instance_that_lives_is_billed_until_now() -> None:
    assert instance_cost_usd(instance("cheap", HOUR_NS), CHEAP, 3 * HOUR_NS) == pytest.approx(1.0)


def test_an_instance_that_is_gone_is_billed_until_its_end() -> None:
    assert instance_cost_usd(instance("dear", 0, HOUR_NS // 4), DEAR, 100 * HOUR_NS) == pytest.approx(0.5)


def test_a_cloud_may_bill_a_least_time_and_an_instance_may_have_a_price_of_its_own() -> None:
    minute = replace(DEAR, billed_s_min=60.0)
    short = instance("dear", 0, 10**9)

    assert instance_cost_usd(short, minute, HOUR_NS) == pytest.approx(2.0 / 60)
    assert instance_cost_usd(replace(short, price_usd_per_hour=6.0), minute, HOUR_NS) == pytest.approx(6.0 / 60)
    assert instance_cost_usd(instance("dear", 0, HOUR_NS), minute, HOUR_NS) == pytest.approx(2.0)


def test_what_the_cloud_took_away_soon_may_cost_nothing() -> None:
    free = replace(CHEAP, billed_s_min=60.0, free_when_taken_s=3600.0)
    soon = replace(instance("cheap", 0, HOUR_NS - 1), detail=TAKEN_AWAY)

    assert instance_cost_usd(soon, free, HOUR_NS) == 0.0
    assert instance_cost_usd(replace(soon, detail="terminated"), free, HOUR_NS) == pytest.approx(0.5)
    assert instance_cost_usd(replace(soon, ended_at_ns=HOUR_NS), free, HOUR_NS) == pytest.approx(0.5)
    assert instance_cost_usd(soon, CHEAP, HOUR_NS) == pytest.approx(0.5)


def test_booting_is_billed() -> None:
    booting = Instance(InstanceId("i"), "dear", "m", InstanceState.PENDING, launched_at_ns=0)

    assert instance_cost_usd(booting, DEAR, HOUR_NS) == pytest.approx(2.0)


def test_before_its_launch_an_instance_costs_nothing() -> None:
    assert instance_cost_usd(instance("dear", 5 * HOUR_NS), DEAR, HOUR_NS) == 0.0


def test_a_fleet_costs_the_sum_each_at_its_own_price() -> None:
    fleet = [instance("cheap", 0), instance("dear", 0), instance("dear", 0, HOUR_NS)]

    assert cost_usd(fleet, OFFERINGS, 2 * HOUR_NS) == pytest.approx(1.0 + 4.0 + 2.0)
    assert cost_usd([], OFFERINGS, HOUR_NS) == 0.0


@given(st.integers(0, 10**15), st.integers(0, 10**15), st.integers(0, 10**15))
def test_the_bill_never_shrinks_and_stops_at_the_end(launched_at_ns: int, lived_ns: int, later_ns: int) -> None:
    end_ns = launched_at_ns + lived_ns
    living, gone = instance("dear", launched_at_ns), instance("dear", launched_at_ns, end_ns)

    at_end_usd = instance_cost_usd(living, DEAR, end_ns)

    assert instance_cost_usd(living, DEAR, end_ns + later_ns) >= at_end_usd >= 0
    assert instance_cost_usd(gone, DEAR, end_ns + later_ns) == at_end_usd
