"""What the planner learns of workers that are off their profile."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from mark.controlplane.controller import Controller
from mark.controlplane.controller_params import ControllerParams
from mark.controlplane.corrections import corrections_of
from mark.domain.offering import Market, Offering
from mark.forecast.baselines import MovingMaximum

OFFERING = Offering("small", Market.ON_DEMAND, price_usd_per_hour=0.1, boot_s=1.0, max_count=4)


@dataclass
class Worker:
    worker: int
    correction: float
    batches: int = 100


def controller() -> Controller:
    forecaster = MovingMaximum(window_steps=1, headroom=1.0)
    return Controller(("c", "m"), [OFFERING], {"small": 100.0, "none": 0.0}, forecaster, ControllerParams())


def test_speeds_are_averaged_by_offering() -> None:
    workers = [Worker(1, 1.0), Worker(2, 4.0), Worker(3, 2.0)]

    found = corrections_of(workers, {1: "small", 2: "small", 3: "large"})

    assert found == {"small": pytest.approx(1.6), "large": pytest.approx(2.0)}


def test_a_worker_of_few_batches_or_of_no_offering_tells_nothing() -> None:
    assert corrections_of([Worker(1, 5.0, batches=3), Worker(9, 5.0)], {1: "small"}) == {}


def test_a_capacity_is_divided_by_what_was_learned_and_comes_back() -> None:
    planned = controller()

    planned.correct("small", 2.0)
    assert planned.capacities["small"] == 50.0
    planned.correct("small", 1.0)
    assert planned.capacities["small"] == 100.0


def test_a_breath_changes_no_plan() -> None:
    planned = controller()

    planned.correct("small", 1.04)

    assert planned.capacities["small"] == 100.0


def test_an_unknown_offering_is_ignored_and_one_that_cannot_serve_stays_so() -> None:
    planned = controller()

    planned.correct("other", 2.0)
    planned.correct("none", 2.0)

    assert planned.capacities == {"small": 100.0, "none": 0.0}


@pytest.mark.parametrize("factor", [0.0, -1.0, float("inf"), float("nan")])
def test_a_factor_that_is_none_is_refused(factor: float) -> None:
    with pytest.raises(ValueError, match="small"):
        controller().correct("small", factor)
