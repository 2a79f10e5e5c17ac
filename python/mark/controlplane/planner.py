"""From a forecast to what to keep and launch: a policy's proposal, within what may be spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mark.controlplane.catalogue import Catalogue
from mark.controlplane.controller_params import ControllerParams
from mark.controlplane.snapshot import Snapshot
from mark.controlplane.spending import Planned, Spending, Terms
from mark.domain.fleet import Instance
from mark.domain.fleet_plan import FleetPlan
from mark.domain.forecast import Forecast
from mark.domain.offering import Offering, Serverless
from mark.policies.least_fleet import at_least
from mark.policies.planning import PlanningOptions
from mark.policies.provisioning import Proposal, propose
from mark.policies.refined_proposal import moved_on, propose_refined
from mark.policies.spot_first import spot_first

__all__ = ["Ground", "Planner"]


@dataclass(frozen=True, slots=True)
class Ground:
    """What a plan is made on.

    Attributes:
        snapshot: the fleet.
        planned: those of it that are planned with.
        offerings: what can be rented, and how many more of each.
        unavailable: what of that cannot be had now.
    """

    snapshot: Snapshot
    planned: tuple[Instance, ...]
    offerings: Sequence[Offering]
    unavailable: set[str]


class Planner:
    """Asks the policy what the load needs and, with a budget, how much of it is paid for.

    Thread safety: none.
    """

    def __init__(self, catalogue: Catalogue, params: ControllerParams, serverless: Serverless | None = None) -> None:
        """Make a planner.

        Args:
            catalogue: the capacities that it plans with.
            params: policy and bounds.
            serverless: takes what instances do not serve, at its price; None for nothing. `greedy` knows none.
        """
        self._catalogue = catalogue
        self._params = params
        self._serverless = serverless
        self._last: tuple[int, FleetPlan] | None = None  # when the last plan was made, and the plan

    def propose(self, ground: Ground, forecast: Forecast, spending: Spending | None) -> Proposal:
        """What the load needs or, with a budget, as much of it as is paid for."""
        now_ns = ground.snapshot.now_ns
        if spending is None:
            made = self._draft(ground, forecast, Terms())
        else:
            held = sum(self._catalogue.usd_per_hour(ground.snapshot.alive))
            made = spending.choose(now_ns, forecast, held, lambda load, terms: self._draft(ground, load, terms))
        self._last = None if made.plan is None else (now_ns, made.plan)
        return made.proposal

    def _draft(self, ground: Ground, forecast: Forecast, terms: Terms) -> Planned:
        offerings, unavailable, waiting = ground.offerings, ground.unavailable, frozenset[str]()
        if terms.spot_first:
            offerings, waiting = spot_first(offerings, self._catalogue.capacities, unavailable)
        ground = replace(ground, offerings=offerings)
        proposal, plan = self._ask(ground, forecast, waiting, terms)
        if waiting and proposal.uncovered_per_s > 0:  # spot alone does not do
            other, other_plan = self._ask(ground, forecast, frozenset(), terms)
            if other.uncovered_per_s < proposal.uncovered_per_s:
                proposal, plan, waiting = other, other_plan, frozenset()
        least, planned = self._params.min_instances, ground.planned
        proposal = at_least(least, proposal, planned, offerings, self._catalogue.capacities, unavailable | waiting)
        prices = {each.name: each.price_usd_per_hour for each in offerings}
        kept = {each.instance for each in proposal.keeps}
        costs = self._catalogue.usd_per_hour(each for each in planned if each.id in kept)
        usd_per_hour = sum([*costs, *(prices[each.offering] for each in proposal.purchases)])
        peak = max(usd_per_hour, _peak_usd_per_hour(plan, prices))
        return Planned(proposal, usd_per_hour, plan, peak, min(prices.values(), default=0.0))

    def _ask(
        self, ground: Ground, forecast: Forecast, waiting: frozenset[str], terms: Terms
    ) -> tuple[Proposal, FleetPlan | None]:
        """What the policy says; `waiting` is what it is to do without."""
        now_ns, instances, offerings = ground.snapshot.now_ns, ground.planned, ground.offerings
        unavailable, capacities = ground.unavailable | waiting, self._catalogue.capacities
        if self._params.policy == "greedy":
            return propose(offerings, capacities, instances, forecast, now_ns, unavailable=unavailable), None
        # What is not to be had now may be at the next tick; how much later is known only of what was refused.
        unavailable_s = {
            name: max(self._params.step_s, self._catalogue.unavailable_for_s(name, now_ns)) for name in unavailable
        }
        never = self._params.standbys | waiting
        unavailable_s |= dict.fromkeys(never, self._params.step_s * self._params.horizon_steps)
        # The cool-down keeps instances for longer than any cloud bills at least.
        options = PlanningOptions(
            serverless=self._serverless if terms.serverless else None,
            min_life_s=0.0,
            unavailable_s=unavailable_s,
            last=self._last_plan(now_ns),
        )
        refined = propose_refined(offerings, capacities, instances, forecast, now_ns, options)
        return refined.proposal, refined.plan

    def _last_plan(self, now_ns: int) -> FleetPlan | None:
        if self._last is None:
            return None
        made_ns, plan = self._last
        return moved_on(plan, round((now_ns - made_ns) / 1e9 / self._params.step_s))


def _peak_usd_per_hour(plan: FleetPlan | None, prices: Mapping[str, float]) -> float:
    """The most that the schedule costs an hour in any of its steps; 0 without one."""
    if plan is None:
        return 0.0
    steps = zip(*([prices[name] * count for count in counts] for name, counts in plan.counts.items()), strict=True)
    return max((sum(step) for step in steps), default=0.0)
