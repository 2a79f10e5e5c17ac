"""What a plan is made from, and the same in the core's terms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from mark import _core
from mark.domain.fleet_plan import FleetPlan, RunningGroup
from mark.domain.forecast import Forecast
from mark.domain.offering import Offering, Serverless
from mark.errors import PlanningError

__all__ = ["PlanningInputs", "PlanningOptions", "available", "check_inputs", "planning_problem"]

# What the core counts with.
_COUNT_MAX = 2**30


@dataclass(frozen=True, slots=True)
class PlanningOptions:
    """What a plan minimises beside the price of its instances, and how.

    Attributes:
        policy: "greedy" is MArk's Algorithm 1, "refined" searches for the cheapest schedule over the horizon.
        serverless: takes what instances do not serve, at its price; None: nothing does.
        min_life_s: an instance lives at least as long once it is launched.
        switching_usd: counted for each launch, against plans that flap.
        miss_usd_per_million_rows: price of load that nobody serves; None: whatever can be covered is.
        moves_max: launches and retirements in one plan; None: as many as it takes.
        unavailable_s: seconds from now until an offering can be launched again; those not in it can now.
        last: the plan before, moved on to now; it is kept unless another is better by more than a little.
    """

    policy: Literal["greedy", "refined"] = "refined"
    serverless: Serverless | None = None
    min_life_s: float = 60.0
    switching_usd: float = 0.0
    miss_usd_per_million_rows: float | None = None
    moves_max: int | None = None
    unavailable_s: Mapping[str, float] = field(default_factory=dict)
    last: FleetPlan | None = None


@dataclass(frozen=True, slots=True)
class PlanningInputs:
    """What a plan is made from."""

    offerings: Sequence[Offering]
    capacities: Mapping[str, float]
    running: Sequence[RunningGroup]
    forecast: Forecast
    options: PlanningOptions

    @property
    def names(self) -> list[str]:
        """Of the offerings, in their order: the core knows them by it."""
        return [offering.name for offering in self.offerings]


def planning_problem(
    offerings: Sequence[Offering],
    capacities: Mapping[str, float],
    running: Sequence[RunningGroup],
    forecast: Forecast,
    options: PlanningOptions,
) -> _core.PlanningProblem:
    """The problem in the core's terms; what `mark.policies.optimum` solves too.

    Raises:
        PlanningError: as `plan_fleet`.
    """
    order = {offering.name: index for index, offering in enumerate(offerings)}
    alive: dict[str, int] = {}
    for group in running:
        alive[group.offering] = alive.get(group.offering, 0) + group.count
    serverless = options.serverless
    try:
        return _core.PlanningProblem(
            [
                _core_offering(each, capacities, alive.get(each.name, 0), options.unavailable_s.get(each.name, 0.0))
                for each in offerings
            ],
            [_core_group(group, order[group.offering]) for group in running],
            np.asarray(forecast.rates_per_s, dtype=np.float64),
            _core.PlanningParams(
                step_s=forecast.step_s,
                min_life_s=options.min_life_s,
                switching_usd=options.switching_usd,
                serverless_usd_per_million_rows=0.0 if serverless is None else serverless.usd_per_million_requests,
                serverless_rows_per_s_max=0.0 if serverless is None else serverless.requests_per_s_max,
                miss_usd_per_million_rows=options.miss_usd_per_million_rows or 0.0,
            ),
        )
    except ValueError as error:
        raise PlanningError(str(error)) from error


def _core_offering(
    offering: Offering, capacities: Mapping[str, float], alive: int, unavailable_s: float
) -> _core.PlanningOffering:
    made = _core.PlanningOffering(
        offering.name,
        price_usd_per_hour=offering.price_usd_per_hour,
        capacity_rows_per_s=capacities.get(offering.name, 0.0),
        launch_overhead_s=offering.billed_boot_s,
        available=available(offering, alive),
    )
    made.set_life(
        boot_s=offering.boot_s,
        unavailable_until_s=unavailable_s,
        interruptions_per_hour=offering.interruptions_per_hour,
    )
    made.set_pool(offering.pool, offering.pool_share_max)
    made.set_credits(baseline_share=offering.baseline_share, credits_s=offering.credits_s)
    return made


def available(offering: Offering, alive: int) -> int:
    """How many more may be launched, in numbers that the core can hold."""
    return max(0, min(offering.max_count, _COUNT_MAX) - alive)


def _core_group(group: RunningGroup, offering: int) -> _core.InstanceGroup:
    return _core.InstanceGroup(
        offering,
        group.count,
        ready_in_s=group.ready_in_s,
        kept_for_s=group.kept_for_s,
        credits_s=math.inf if group.credits_s is None else group.credits_s,
    )


def check_inputs(inputs: PlanningInputs) -> None:
    """Refuse what no policy can plan with: the core refuses the rest.

    Raises:
        PlanningError: naming what is wrong, and the offering that it is wrong with.
    """
    step_s, moves_max = inputs.forecast.step_s, inputs.options.moves_max
    if not 0 < step_s < math.inf:
        raise PlanningError(f"step_s must be positive and finite, not {step_s}")
    if moves_max is not None and moves_max < 0:
        raise PlanningError(f"moves_max is {moves_max}; it must not be negative")
    for each in inputs.offerings:
        if not each.boot_s < math.inf:
            raise PlanningError(f"offering {each.name}: boot_s must be finite, not {each.boot_s}")
    _check_running(inputs)


def _check_running(inputs: PlanningInputs) -> None:
    """Refuse names that are given twice or unknown, and more running instances than may exist."""
    names = inputs.names
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise PlanningError(f"offering {doubles[0]!r} is given twice")
    known = {offering.name: offering for offering in inputs.offerings}
    totals: dict[str, int] = {}
    for group in inputs.running:
        offering = known.get(group.offering)
        if offering is None:
            raise PlanningError(f"running {group.offering!r} is no offering; known are {', '.join(names) or 'none'}")
        if group.count < 0:
            raise PlanningError(f"running {group.offering}: a count of {group.count} makes no sense")
        totals[group.offering] = totals.get(group.offering, 0) + group.count
        if totals[group.offering] > min(offering.max_count, _COUNT_MAX):
            raise PlanningError(
                f"running {group.offering}: {totals[group.offering]} is more than exist: max_count is "
                f"{min(offering.max_count, _COUNT_MAX)}"
            )
