"""What can be rented: prices, capacities, and what cannot be had for a while."""

from __future__ import annotations

import pytest

from mark.controlplane.catalogue import Catalogue
from mark.domain.fleet import Instance, InstanceId, InstanceState
from mark.domain.offering import Market, Offering
from mark.domain.plan import Action, Launch, Retire

SMALL = Offering("small", Market.ON_DEMAND, price_usd_per_hour=0.1, boot_s=1.0, max_count=4)
SPOT = Offering("spot", Market.SPOT, price_usd_per_hour=0.03, boot_s=1.0, max_count=4)
SECOND_NS = 1_000_000_000


def catalogue() -> Catalogue:
    return Catalogue([SMALL, SPOT], {"small": 100.0, "spot": 80.0})


def instance(name: str, offering: str, price: float | None = None) -> Instance:
    return Instance(InstanceId(name), offering, "m", InstanceState.READY, 0, price_usd_per_hour=price)


def test_prices_are_renewed_and_nothing_else_of_an_offering() -> None:
    known = catalogue()

    known.reprice([Offering("spot", Market.ON_DEMAND, 0.05, boot_s=9.0, max_count=1), SMALL])

    assert known.prices == {"small": 0.1, "spot": 0.05}
    assert known.offerings[1].market is Market.SPOT
    assert (known.offerings[1].boot_s, known.offerings[1].max_count) == (1.0, 4)


def test_prices_of_unknown_offerings_are_ignored() -> None:
    known = catalogue()

    known.reprice([Offering("other", Market.SPOT, 7.0, boot_s=1.0, max_count=1)])

    assert known.offerings == (SMALL, SPOT)


def test_what_is_refused_cannot_be_had_until_its_time_has_come() -> None:
    known = catalogue()

    known.refused("spot", 10 * SECOND_NS)

    assert known.unavailable(4 * SECOND_NS) == {"spot"}
    assert known.unavailable_for_s("spot", 4 * SECOND_NS) == pytest.approx(6.0)
    assert known.unavailable(10 * SECOND_NS) == set()
    assert known.unavailable_for_s("small", SECOND_NS) <= 0


def test_what_was_left_out_says_why() -> None:
    known = catalogue()
    known.refused("spot", 10 * SECOND_NS)

    found = {each.what: each.reason for each in known.left_out({"small", "spot"}, 4 * SECOND_NS)}

    assert found == {
        "a new spot": "it was refused; it is tried again in 6 s",
        "a new small": "all that may exist do, until those that leave are gone",
    }


def test_an_instance_costs_what_it_was_bought_at_or_the_price_of_now() -> None:
    assert catalogue().usd_per_hour([instance("i-1", "small"), instance("i-2", "spot", 0.02)]) == [0.1, 0.02]


def test_the_capacity_after_actions_counts_what_comes_and_not_what_goes() -> None:
    known = catalogue()
    known.correct("small", 2.0)
    running = [instance("i-1", "small"), instance("i-2", "spot"), instance("i-3", "unknown")]
    actions: list[Action] = [Launch("small", "c/m/1/0", "load"), Retire(InstanceId("i-2"), "not needed")]

    assert known.capacity_after(actions, running) == pytest.approx(100.0)
    assert known.capacity_after([], running) == pytest.approx(130.0)
