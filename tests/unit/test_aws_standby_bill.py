"""What standbys cost: each run by itself, at least a minute."""

from __future__ import annotations

import pytest
from unit.aws_machines import machine

from mark.cloud.aws import tags
from mark.cloud.aws.standby_bill import StandbyBill


def bill(began_at_s: float = 0.0) -> StandbyBill:
    return StandbyBill(lambda _: 3600.0, began_at_s)


def test_a_run_is_billed_until_it_stops_and_then_no_more() -> None:
    made = bill()
    made.see([machine(role=tags.STANDBY, launched_at_s=100.0)], 110.0)
    assert made.usd(300.0) == pytest.approx(200.0)

    made.see([machine(state="stopped", role=tags.STANDBY, launched_at_s=100.0, changed_at_s=400.0)], 450.0)

    assert made.usd(9999.0) == pytest.approx(300.0)


def test_each_start_is_a_minute_at_least() -> None:
    made = bill()
    for start_s in (100.0, 200.0, 300.0):
        made.see([machine(role=tags.STANDBY, launched_at_s=start_s)], start_s)
        stopped = machine(state="stopping", role=tags.STANDBY, launched_at_s=start_s, changed_at_s=start_s + 5)
        made.see([stopped], start_s + 6)

    assert made.usd(9999.0) == pytest.approx(180.0)


def test_a_run_between_two_looks_is_billed_once() -> None:
    made = bill()
    ended = machine(state="terminated", role=tags.STANDBY, launched_at_s=100.0, changed_at_s=200.0)
    made.see([ended], 300.0)
    made.see([ended], 301.0)

    assert made.usd(9999.0) == pytest.approx(100.0)


def test_a_stop_that_nobody_saw_ends_with_the_next_start() -> None:
    made = bill()
    made.see([machine(role=tags.STANDBY, launched_at_s=100.0)], 110.0)
    made.see([machine(role=tags.STANDBY, launched_at_s=200.0)], 210.0)

    assert made.usd(300.0) == pytest.approx(200.0)


def test_what_ended_before_this_router_and_what_is_no_standby_is_not_on_the_bill() -> None:
    made = bill(began_at_s=500.0)
    made.see([machine(state="stopped", role=tags.STANDBY, launched_at_s=100.0, changed_at_s=200.0)], 510.0)
    made.see([machine("i-2")], 510.0)

    assert made.usd(9999.0) == 0.0


def test_lines_say_the_model_the_offering_and_the_hours() -> None:
    made = bill()
    made.see([machine(role=tags.STANDBY, launched_at_s=3000.0)], 3010.0)

    lines = list(made.lines(4200.0))

    assert [(line.hour_unix_s, line.market, line.model, line.offering) for line in lines] == [
        (0, "burstable", "m", "o"),
        (3600, "burstable", "m", "o"),
    ]
    assert [line.usd for line in lines] == pytest.approx([600.0, 600.0])
