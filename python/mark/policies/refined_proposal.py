"""The refined plan for live instances: which to keep by name, and what to launch beside them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mark.domain.fleet import Instance
from mark.domain.fleet_plan import FleetPlan, PlannedChange, RunningGroup
from mark.domain.forecast import Forecast
from mark.domain.offering import Offering
from mark.domain.plan import Alternative
from mark.errors import PlanningError
from mark.policies.planning import plan_fleet
from mark.policies.planning_inputs import PlanningOptions
from mark.policies.provisioning import Keep, Proposal, Purchase, lead_steps_of, ready_in_s

__all__ = ["RefinedProposal", "moved_on", "propose_refined"]


@dataclass(frozen=True, slots=True)
class RefinedProposal:
    """A proposal, and the plan that it comes from; None when no plan could be made."""

    proposal: Proposal
    plan: FleetPlan | None


def moved_on(plan: FleetPlan, steps: int) -> FleetPlan | None:
    """The plan as it looks so many steps later; None when nothing of it is left."""
    if steps >= min((len(counts) for counts in plan.counts.values()), default=0):
        return None
    counts = {name: counts[steps:] + counts[-1:] * steps for name, counts in plan.counts.items()}
    return replace(plan, counts=counts)


def propose_refined(
    offerings: Sequence[Offering],
    capacities: Mapping[str, float],
    instances: Sequence[Instance],
    forecast: Forecast,
    now_ns: int,
    options: PlanningOptions,
) -> RefinedProposal:
    """Choose the cheapest schedule for a forecast; of alike instances the oldest are kept.

    Args:
        offerings: what can be rented.
        capacities: rows per second that one instance of each offering serves under the SLO; 0 where it cannot.
        instances: those that run or boot, and are not being drained.
        forecast: the load to serve.
        now_ns: the time.
        options: prices, what cannot be launched now, and the plan before.
    """
    groups = _groups(offerings, instances, forecast.step_s, now_ns)
    running = [RunningGroup(offering, len(alike), left_s) for (offering, left_s), alike in groups.items()]
    try:
        plan = plan_fleet(offerings, capacities, running, forecast, options)
    except PlanningError as error:
        # Most likely nothing runs and nothing can be launched. Whatever it is, what runs is not given up for it.
        everything = tuple(Keep(instance.id, f"no plan can be made: {error}") for instance in instances)
        uncovered_per_s = max(forecast.rates_per_s, default=0.0)
        return RefinedProposal(Proposal(everything, (), uncovered_per_s), None)
    alike = list(groups.values())
    keeps = [Keep(instance.id, change.why) for change in plan.keep for instance in alike[change.group][: change.count]]
    purchases = [Purchase(change.offering, change.why) for change in plan.launch for _ in range(change.count)]
    uncovered_per_s = _uncovered_per_s(plan, offerings, capacities, forecast)
    if options.serverless is not None:
        uncovered_per_s = max(0.0, uncovered_per_s - options.serverless.requests_per_s_max)
    to_keep = {
        change.offering: _alternative(change, f" ({change.count} x {change.offering})") for change in plan.retire
    }
    proposal = Proposal(tuple(keeps), tuple(purchases), uncovered_per_s, tuple(_rejected(plan)), to_keep)
    return RefinedProposal(proposal, plan)


def _rejected(plan: FleetPlan) -> Iterator[Alternative]:
    """The best that was rejected for each change of a plan: for launches first, and the dearest last."""
    for changes, kind in ((plan.launch, "new"), (plan.keep, "running")):
        found = (
            _alternative(change, f" instead of {change.count} {kind} {change.offering}")
            for change in changes
            if change.alternative
        )
        yield from sorted(found, key=lambda each: each.extra_usd or 0.0)


def _alternative(change: PlannedChange, words: str) -> Alternative:
    why = "no step needs it"
    if change.binding_step >= 0:
        why = f"the schedule with it costs more: needed most at step {change.binding_step}"
    return Alternative(change.alternative + words, change.alternative_extra_usd, why)


def _uncovered_per_s(
    plan: FleetPlan, offerings: Sequence[Offering], capacities: Mapping[str, float], forecast: Forecast
) -> float:
    """The most load that the schedule leaves, from the step on in which whatever is launched now serves."""
    lead = min(lead_steps_of(offerings, forecast.step_s), len(forecast.rates_per_s) - 1)
    left_per_s = [
        forecast.rates_per_s[step]
        - sum(capacities.get(name, 0.0) * counts[step] for name, counts in plan.counts.items())
        for step in range(lead, len(forecast.rates_per_s))
    ]
    return max(0.0, *left_per_s)


def _groups(
    offerings: Sequence[Offering], instances: Sequence[Instance], step_s: float, now_ns: int
) -> dict[tuple[str, float], list[Instance]]:
    """Instances that are alike, by offering and the step in which they are ready; oldest first."""
    boot_s = {offering.name: offering.boot_s for offering in offerings}
    groups: dict[tuple[str, float], list[Instance]] = {}
    for instance in sorted(instances, key=lambda instance: (instance.launched_at_ns, instance.id)):
        left_s = ready_in_s(instance, boot_s[instance.offering], now_ns)
        groups.setdefault((instance.offering, math.ceil(left_s / step_s) * step_s), []).append(instance)
    return groups
