"""Counters of dollars that become bills."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mark.controlplane.meter import Meter

HOUR_NS = 3600 * 10**9
FUNCTION = ("m", "serverless", "function")


def test_what_came_between_two_readings_is_spread_over_the_hours_between_them() -> None:
    meter = Meter(0)
    meter.read(*FUNCTION, at=(HOUR_NS // 2, 1.0))
    meter.read(*FUNCTION, at=(HOUR_NS * 2, 4.0))

    assert meter.bill().by_hour() == pytest.approx({0: 2.0, 3600: 2.0})


def test_a_reading_that_brings_nothing_new_is_no_line() -> None:
    meter = Meter(0)
    meter.read(*FUNCTION, at=(HOUR_NS * 5, 0.0))

    assert meter.bill().lines == ()


def test_dollars_that_are_told_at_once_add_up_beside_those_of_other_counters() -> None:
    meter = Meter(0)
    meter.add("m", "serverless", "measuring", (10, 0.25))
    meter.add("m", "serverless", "measuring", (20, 0.5))
    meter.read(*FUNCTION, at=(30, 1.0))

    assert meter.bill().by("offering") == pytest.approx({("function",): 1.0, ("measuring",): 0.75})


def test_a_reading_of_a_time_that_is_over_is_billed_all_the_same() -> None:
    meter = Meter(HOUR_NS)
    meter.read(*FUNCTION, at=(HOUR_NS, 1.0))
    meter.read(*FUNCTION, at=(HOUR_NS, 3.0))

    assert meter.bill().by_hour() == {3600: 3.0}


@given(st.lists(st.tuples(st.integers(0, HOUR_NS), st.floats(0, 100)), min_size=1))
def test_a_bill_is_what_was_read_last(steps: list[tuple[int, float]]) -> None:
    meter, at_ns, usd = Meter(0), 0, 0.0
    for later_ns, more_usd in steps:
        at_ns, usd = at_ns + later_ns, usd + more_usd
        meter.read(*FUNCTION, at=(at_ns, usd))

    assert meter.bill().usd == pytest.approx(usd)
