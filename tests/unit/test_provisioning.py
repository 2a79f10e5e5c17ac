"""Plans in domain words: what is kept and launched, and why."""

from __future__ import annotations

import pytest

from mark.domain.fleet import Instance, InstanceId, InstanceState
from mark.domain.forecast import Forecast
from mark.domain.offering import Market, Offering
from mark.policies.provisioning import lead_steps_of, peak_sized_fleet, propose

S = 1_000_000_000
SMALL = Offering("small", Market.ON_DEMAND, price_usd_per_hour=0.1, boot_s=60, max_count=10)
LARGE = Offering("large", Market.ON_DEMAND, price_usd_per_hour=0.35, boot_s=60, max_count=3)
SPOT = Offering("spot", Market.SPOT, price_usd_per_hour=0.03, boot_s=120, max_count=2)
OFFERINGS = (SMALL, LARGE, SPOT)
CAPACITIES = {"small": 10.0, "large": 40.0, "spot": 10.0}


def forecast(*rates: float) -> Forecast:
    return Forecast(60.0, rates, "test")


def instance(name: str, offering: str, *, age_s: float = 1000.0, ready: bool = True) -> Instance:
    state = InstanceState.READY if ready else InstanceState.PENDING
    return Instance(InstanceId(name), offering, "m", state, launched_at_ns=round((1000 - age_s) * S))


def test_the_lead_is_the_slowest_boot_in_steps() -> None:
    assert lead_steps_of(OFFERINGS, 60.0) == 2
    assert lead_steps_of(OFFERINGS, 1.0) == 120
    assert lead_steps_of((), 60.0) == 1


def test_the_cheapest_offering_is_launched_and_the_next_best_is_named() -> None:
    proposal = propose(OFFERINGS, CAPACITIES, (), forecast(10.0, 10.0, 10.0), 0)

    assert [purchase.offering for purchase in proposal.purchases] == ["spot"]
    assert "launched for step 2 at $" in proposal.purchases[0].reason
    assert "next best was a new" in proposal.purchases[0].reason
    assert proposal.uncovered_per_s == 0


def test_what_runs_is_kept_by_its_id() -> None:
    fleet = (instance("a", "small"), instance("b", "small"))

    proposal = propose((SMALL,), CAPACITIES, fleet, forecast(15.0, 15.0, 15.0), 1000 * S)

    assert {keep.instance for keep in proposal.keeps} == {"a", "b"}
    assert proposal.purchases == ()


def test_a_much_cheaper_offering_replaces_what_runs_but_not_before_it_is_ready() -> None:
    fleet = (instance("a", "small"),)

    proposal = propose(OFFERINGS, CAPACITIES, fleet, forecast(10.0, *[10.0] * 10), 1000 * S)

    assert [purchase.offering for purchase in proposal.purchases] == ["spot"]
    assert [keep.instance for keep in proposal.keeps] == ["a"]
    assert proposal.keeps[0].reason.startswith("kept for step 0")


def test_an_unavailable_offering_is_not_planned_with() -> None:
    proposal = propose(OFFERINGS, CAPACITIES, (), forecast(10.0, 10.0, 10.0), 0, unavailable={"spot", "large"})

    assert [purchase.offering for purchase in proposal.purchases] == ["small"]
    assert "there was no alternative" in proposal.purchases[0].reason


def test_instances_that_exist_use_up_max_count() -> None:
    fleet = (instance("a", "spot"), instance("b", "spot"))

    proposal = propose((SPOT,), CAPACITIES, fleet, forecast(50.0, 50.0, 50.0), 1000 * S)

    assert len(proposal.keeps) == 2
    assert proposal.purchases == ()
    assert proposal.uncovered_per_s == pytest.approx(30.0)


def test_a_booting_instance_counts_from_when_it_is_ready() -> None:
    fleet = (instance("a", "small", age_s=10, ready=False),)

    proposal = propose((SMALL,), CAPACITIES, fleet, forecast(10.0, 10.0, 10.0), 1000 * S)

    assert [keep.instance for keep in proposal.keeps] == ["a"]
    assert proposal.purchases == ()


def test_an_offering_of_unknown_capacity_cannot_be_planned_with() -> None:
    with pytest.raises(ValueError, match="no offering meets the SLO by itself: small"):
        propose((SMALL,), {}, (), forecast(1.0), 0)


class TestPeakSizedFleet:
    def test_it_is_the_cheapest_that_covers_the_rate(self) -> None:
        assert peak_sized_fleet((SMALL, LARGE), CAPACITIES, 80.0) == {"large": 2}
        assert peak_sized_fleet((SMALL, LARGE), CAPACITIES, 25.0) == {"small": 3}

    def test_max_count_holds(self) -> None:
        fleet = peak_sized_fleet(OFFERINGS, CAPACITIES, 60.0)

        assert fleet["spot"] <= 2
        assert sum(CAPACITIES[name] * count for name, count in fleet.items()) >= 60.0

    def test_one_is_needed_even_without_load(self) -> None:
        assert sum(peak_sized_fleet((SMALL,), CAPACITIES, 0.0).values()) == 1

    def test_what_a_launch_costs_once_does_not_count(self) -> None:
        slow = Offering("slow", Market.ON_DEMAND, price_usd_per_hour=0.100, boot_s=1800, max_count=10)
        quick = Offering("quick", Market.ON_DEMAND, price_usd_per_hour=0.101, boot_s=1, max_count=10)
        half = Offering("half", Market.ON_DEMAND, price_usd_per_hour=0.045, boot_s=1800, max_count=10)

        fleet = peak_sized_fleet((slow, quick, half), {"slow": 10.0, "quick": 10.0, "half": 4.0}, 54.0)

        assert fleet == {"slow": 5, "half": 1}

    def test_a_rate_beyond_all_offerings_is_refused(self) -> None:
        with pytest.raises(ValueError, match="do not cover 1000 rows/s; raise their max_count"):
            peak_sized_fleet(OFFERINGS, CAPACITIES, 1000.0)
