"""The bill of many instances: the same as if each were reckoned anew, and each that has ended is reckoned once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mark.cloud.instance_bill import InstanceBill
from mark.domain.bill import Bill, instance_lines
from mark.domain.fleet import Instance, InstanceId, InstanceState
from mark.domain.offering import Market, Offering

S = 10**9
OFFERINGS = {"o": Offering("o", Market.SPOT, 3600.0, boot_s=1, max_count=9, billed_s_min=60.0)}


def instance(name: str, began_s: int, ended_s: int | None = None) -> Instance:
    state = InstanceState.READY if ended_s is None else InstanceState.GONE
    return Instance(
        InstanceId(name), "o", "m", state, began_s * S, ended_at_ns=None if ended_s is None else ended_s * S
    )


@given(
    st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 9_000)), max_size=8),
    st.lists(st.integers(0, 40_000), max_size=6),
    st.sampled_from([0.0, 3600.0]),
)
def test_it_is_the_bill_of_every_instance_whenever_it_was_asked_before(
    lives: list[tuple[int, int]], looks_s: list[int], settles_after_s: float
) -> None:
    billed = InstanceBill(0, settles_after_s)
    for now_s in sorted(looks_s):
        there = [
            instance(str(number), began_s, began_s + lived_s if began_s + lived_s <= now_s else None)
            for number, (began_s, lived_s) in enumerate(lives)
            if began_s <= now_s
        ]

        found = billed.bill(there, OFFERINGS, now_s * S)

        anew = Bill.of(instance_lines(there, OFFERINGS, now_s * S, 0))
        assert found.by_hour() == pytest.approx(anew.by_hour())


def test_one_that_ended_long_ago_keeps_its_price_and_is_not_asked_for_again() -> None:
    asked: list[str] = []
    price = 1.0

    def as_billed(each: Instance) -> Instance:
        asked.append(each.id)
        return replace(each, price_usd_per_hour=price * 3600.0)

    billed = InstanceBill(0, 100.0, as_billed)
    gone = instance("a", 0, 200)
    assert billed.bill([gone], OFFERINGS, 250 * S).usd == pytest.approx(200.0)
    price = 2.0  # told late, and still in time
    assert billed.bill([gone], OFFERINGS, 300 * S).usd == pytest.approx(400.0)
    price = 3.0

    assert billed.bill([gone], OFFERINGS, 400 * S).usd == pytest.approx(400.0)
    assert asked == ["a", "a"]
