"""Plans for a whole fleet: MArk's Algorithm 1 or the refined search, both in C++, in domain values and explained.

`mark._core.refined_plan` minimises dollars over the horizon; `mark._core.provision_greedily` is Algorithm 1 (USENIX
ATC'19, section 4.4). What the search does and how far it is from the optimum is in docs/decisions/0010.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mark import _core
from mark.domain.fleet_plan import FleetPlan, PlannedChange, RunningGroup
from mark.domain.forecast import Forecast
from mark.domain.offering import Offering
from mark.policies.greedy_planning import greedy_plan
from mark.policies.planning_inputs import PlanningInputs, PlanningOptions, check_inputs, planning_problem

__all__ = ["PlanningOptions", "plan_fleet", "planning_problem"]


def plan_fleet(
    offerings: Sequence[Offering],
    capacities: Mapping[str, float],
    running: Sequence[RunningGroup],
    forecast: Forecast,
    options: PlanningOptions | None = None,
) -> FleetPlan:
    """Decide what to launch, retire and keep now.

    Args:
        offerings: what can be rented.
        capacities: rows per second that one instance of each offering serves under the SLO; 0 where it cannot.
        running: the instances that run or boot, alike ones together.
        forecast: the load to serve; index 0 is the step that runs now.
        options: policy, prices, and what there was before.

    Raises:
        PlanningError: nothing could serve the load, or an input makes no sense; the message names which and why.
    """
    options = options or PlanningOptions()
    inputs = PlanningInputs(offerings, capacities, running, forecast, options)
    check_inputs(inputs)
    if options.policy == "greedy":
        return greedy_plan(inputs)
    problem = planning_problem(offerings, capacities, running, forecast, options)
    last_counts = [] if options.last is None else [list(options.last.counts.get(name, ())) for name in inputs.names]
    found = _core.refined_plan(problem, last_counts, **_moves(options))
    return FleetPlan(
        policy="refined",
        launch=tuple(_explained(change, "launch", inputs) for change in found.launch),
        retire=tuple(_explained(change, "retire", inputs) for change in found.retire),
        keep=tuple(_explained(change, "keep", inputs) for change in found.keep),
        cost_usd_per_hour=_usd_per_hour(inputs, [*found.launch, *found.keep]),
        cost_usd_horizon=found.usd,
        missed_rows=found.missed_rows,
        counts={name: tuple(counts) for name, counts in zip(inputs.names, found.counts, strict=False)},
    )


def _moves(options: PlanningOptions) -> dict[str, int]:
    return {} if options.moves_max is None else {"moves_max": options.moves_max}


def _usd_per_hour(inputs: PlanningInputs, changes: Iterable[_core.PlannedChange]) -> float:
    return sum(change.count * inputs.offerings[change.offering].price_usd_per_hour for change in changes)


def _explained(change: _core.PlannedChange, action: str, inputs: PlanningInputs) -> PlannedChange:
    name = inputs.names[change.offering]
    alternative = ""
    if change.has_alternative:
        alternative = _alternative(change, action, inputs)
    reason = (
        "no step needs it" if action == "retire" else f"in the cheapest schedule, ${change.usd:.4f} over the horizon"
    )
    return PlannedChange(
        offering=name,
        group=change.group,
        count=change.count,
        binding_step=change.binding_step,
        usd=change.usd,
        alternative=alternative,
        alternative_extra_usd=change.alternative_extra_usd if change.has_alternative else 0.0,
        reason=reason,
    )


def _alternative(change: _core.PlannedChange, action: str, inputs: PlanningInputs) -> str:
    if action == "retire":
        return "to keep it"
    if change.alternative_offering < 0:
        return "to do without"
    kind = "running" if change.alternative_runs else "new"
    return f"{change.alternative_count} {kind} {inputs.names[change.alternative_offering]}"
