"""What a simulated run notes at the edges of its bins."""

from __future__ import annotations

import pytest

from mark.domain.forecast import Forecast
from mark.domain.plan import Decision
from mark.sim.history import History


def decision(*rates_per_s: float) -> Decision:
    return Decision(0, (), Forecast(60.0, rates_per_s, "test"), 0.0, 0.0, "")


def noted() -> History:
    """Three bins: what was decided before the first note is the warm-up's."""
    history = History(60.0, {"small": 10.0, "large": 40.0})
    history.decided(decision(1.0))
    history.note({"spot": 5.0, "serverless": 0.0}, {"small": 9, "gone": 1})
    history.decided(decision(20.0, 99.0))
    history.note({"spot": 6.0, "serverless": 0.5}, {"small": 2})
    history.decided(decision(30.0))
    history.note({"spot": 6.0, "serverless": 2.0}, {"small": 1, "large": 2, "unknown": 5})
    history.note({"spot": 7.5, "serverless": 2.0}, {})
    return history


def test_a_bin_has_the_forecast_of_when_it_began() -> None:
    # Nothing was decided where the third began: the forecast before that still holds.
    assert noted().forecast_per_s().tolist() == [20.0, 30.0, 30.0]


def test_a_bin_has_the_fleet_and_its_capacity_of_when_it_ended() -> None:
    history = noted()

    assert history.capacity_per_s().tolist() == [20.0, 90.0, 0.0]
    fleet = {name: counts.tolist() for name, counts in history.fleet().items()}
    assert fleet == {"small": [2, 1, 0], "large": [0, 2, 0], "unknown": [0, 5, 0]}


def test_a_bin_has_what_was_spent_in_it_by_market() -> None:
    usd = {market: spent.tolist() for market, spent in noted().usd_by_market().items()}

    assert usd == {"spot": pytest.approx([1.0, 0.0, 1.5]), "serverless": pytest.approx([0.5, 1.5, 0.0])}


def test_what_was_noted_is_not_changed_afterwards() -> None:
    usd, fleet = {"spot": 0.0}, {"small": 1}
    history = History(60.0, {"small": 10.0})
    history.note(usd, fleet)
    history.note(usd, fleet)
    fleet["small"] = 7
    usd["spot"] = 7.0

    assert history.capacity_per_s().tolist() == [10.0]
    assert history.usd_by_market()["spot"].tolist() == [0.0]


@pytest.mark.parametrize("notes", [0, 1])
def test_before_a_bin_is_over_there_is_none(notes: int) -> None:
    history = History(60.0, {"small": 10.0})
    for _ in range(notes):
        history.note({"spot": 1.0}, {"small": 1})

    assert history.bin_s == 60.0
    assert (history.forecast_per_s().tolist(), history.capacity_per_s().tolist(), history.fleet()) == ([], [], {})
    assert [spent.tolist() for spent in history.usd_by_market().values()] == [[]] * notes


def test_a_decision_without_a_forecast_counts_as_none() -> None:
    history = History(60.0, {})
    history.note({}, {})
    history.decided(decision(5.0))
    history.decided(decision())
    history.note({}, {})

    assert history.forecast_per_s().tolist() == [0.0]
