"""MArk's Algorithm 1 as the plan of a whole fleet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from mark import _core
from mark.domain.fleet_plan import FleetPlan, PlannedChange, RunningGroup
from mark.domain.offering import Offering
from mark.errors import PlanningError
from mark.policies.planning_inputs import PlanningInputs, available, planning_problem
from mark.policies.provisioning import lead_steps_of

__all__ = ["greedy_plan"]


def greedy_plan(inputs: PlanningInputs) -> FleetPlan:
    """What Algorithm 1 decides now; its cost over the horizon goes on as it would, step by step.

    Raises:
        PlanningError: no offering meets the SLO, or an input makes no sense.
    """
    unavailable_s = inputs.options.unavailable_s
    order = {name: index for index, name in enumerate(inputs.names)}
    alive = dict.fromkeys(inputs.names, 0)
    fleet: list[_core.PlanningInstance] = []
    group_of: dict[int, int] = {}
    for number, group in enumerate(inputs.running):
        alive[group.offering] += group.count
        for _ in range(group.count):
            identity = len(fleet) + 1
            group_of[identity] = number
            fleet.append(_core.PlanningInstance(identity, order[group.offering], group.ready_in_s))
    try:
        plan = _core.provision_greedily(
            [
                _core.PlanningOffering(
                    each.name,
                    price_usd_per_hour=each.price_usd_per_hour,
                    capacity_rows_per_s=inputs.capacities.get(each.name, 0.0),
                    launch_overhead_s=each.billed_boot_s,
                    available=0 if unavailable_s.get(each.name, 0.0) > 0 else available(each, alive[each.name]),
                )
                for each in inputs.offerings
            ],
            fleet,
            np.asarray(inputs.forecast.rates_per_s, dtype=np.float64),
            step_s=inputs.forecast.step_s,
            lead_steps=lead_steps_of(inputs.offerings, inputs.forecast.step_s),
        )
    except ValueError as error:
        raise PlanningError(str(error)) from error
    return _greedy_plan(inputs, plan, group_of)


def _greedy_plan(inputs: PlanningInputs, plan: _core.Plan, group_of: Mapping[int, int]) -> FleetPlan:
    launch = _counted((choice for choice in plan.choices if not choice.instance), inputs, group_of)
    keep = _counted((choice for choice in plan.choices if choice.instance), inputs, group_of)
    retired: dict[int, int] = {}
    for identity in plan.retire:
        retired[group_of[identity]] = retired.get(group_of[identity], 0) + 1
    retire = tuple(
        PlannedChange(
            inputs.running[group].offering, group, count, -1, 0.0, "", 0.0,
            "no step needs it",
        )
        for group, count in retired.items()
    )  # fmt: skip
    by_name = {offering.name: offering for offering in inputs.offerings}
    after = [
        *(RunningGroup(change.offering, change.count, inputs.running[change.group].ready_in_s) for change in keep),
        *(RunningGroup(change.offering, change.count, by_name[change.offering].boot_s) for change in launch),
    ]
    problem = planning_problem(inputs.offerings, inputs.capacities, after, inputs.forecast, inputs.options)
    usd, missed_rows = _core.greedy_cost(problem)
    started_usd = sum(
        change.count * (_start_usd(by_name[change.offering]) + inputs.options.switching_usd) for change in launch
    )
    return FleetPlan(
        policy="greedy",
        launch=launch,
        retire=retire,
        keep=keep,
        cost_usd_per_hour=sum(by_name[c.offering].price_usd_per_hour * c.count for c in (*launch, *keep)),
        cost_usd_horizon=usd + started_usd,
        missed_rows=missed_rows,
        counts={
            name: (sum(c.count for c in (*launch, *keep) if c.offering == name),) * len(inputs.forecast.rates_per_s)
            for name in inputs.names
        },
    )


def _start_usd(offering: Offering) -> float:
    return offering.price_usd_per_hour * offering.billed_boot_s / 3600


def _counted(
    choices: Iterable[_core.Choice], inputs: PlanningInputs, group_of: Mapping[int, int]
) -> tuple[PlannedChange, ...]:
    """Choices of the same kind together, explained by the first of them."""
    first: dict[tuple[int, int], _core.Choice] = {}
    counts: dict[tuple[int, int], int] = {}
    for choice in choices:
        key = (choice.offering, group_of[choice.instance] if choice.instance else -1)
        first.setdefault(key, choice)
        counts[key] = counts.get(key, 0) + 1
    return tuple(_explained_choice(first[key], key[1], count, inputs) for key, count in counts.items())


def _explained_choice(choice: _core.Choice, group: int, count: int, inputs: PlanningInputs) -> PlannedChange:
    name = inputs.names[choice.offering]
    reason = f"the least per row, ${choice.usd_per_million_rows:.3f} per million"
    if choice.rejected_offering >= 0:
        kind = "running" if choice.rejected_running else "new"
        name_rejected = inputs.names[choice.rejected_offering]
        reason += f", before a {kind} {name_rejected} at ${choice.rejected_usd_per_million_rows:.3f}"
    usd = count * inputs.offerings[choice.offering].price_usd_per_hour * _horizon_s(inputs) / 3600
    return PlannedChange(name, group, count, choice.binding_step, usd, "", 0.0, reason)


def _horizon_s(inputs: PlanningInputs) -> float:
    return inputs.forecast.step_s * len(inputs.forecast.rates_per_s)
