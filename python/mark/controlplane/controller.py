"""The control path of one model as a passive object: observe, tick, act."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from mark.controlplane.arrivals import Arrivals
from mark.controlplane.reconciler import Reconciler
from mark.controlplane.slo_monitor import SloMonitor, SloMonitorParams
from mark.controlplane.spending import Planned, Spending, Terms
from mark.domain.budget import Stage
from mark.domain.cost import instance_usd_per_hour
from mark.domain.fleet import Instance, InstanceState
from mark.domain.fleet_plan import FleetPlan
from mark.domain.forecast import Forecast
from mark.domain.offering import Offering, Serverless
from mark.domain.plan import Action, Alternative, Decision, Launch, Retire
from mark.policies.alternatives import Considered
from mark.policies.interruption import bridge
from mark.policies.least_fleet import at_least
from mark.policies.planning import PlanningOptions
from mark.policies.provisioning import Keep, Proposal, Purchase, lead_steps_of, propose
from mark.policies.refined_proposal import moved_on, propose_refined
from mark.policies.reinforcement import ReinforcementInputs, reinforce
from mark.policies.spot_first import spot_first
from mark.ports import Forecaster

__all__ = ["STEPS_KEPT", "Controller", "ControllerParams", "Snapshot"]

# History for the forecaster: three weeks of one-minute steps. With one, what is trained on it costs 4 to 7 % more.
STEPS_KEPT = 21 * 24 * 60
# As a share of what it was.
_CORRECTION_TOLD = 0.05


@dataclass(frozen=True, slots=True)
class ControllerParams:
    """How the fleet of one model is sized.

    Attributes:
        step_s: length of a planning step; a whole number of windows.
        window_s: the load of a step is the maximum over windows of this length.
        horizon_steps: how far the forecast reaches.
        cooldown_s: an instance is retired when it was not needed for this long.
        min_instances: kept even without load.
        standbys: offerings that only bridge interruptions, and are not planned with otherwise.
        policy: "refined" searches for the cheapest schedule over the horizon, "greedy" is MArk's Algorithm 1.
        monitor: what is done between two steps when the promise is broken; None for nothing.
    """

    step_s: float = 60.0
    window_s: float = 5.0
    horizon_steps: int = 60
    cooldown_s: float = 300.0
    min_instances: int = 1
    standbys: frozenset[str] = frozenset()
    policy: Literal["greedy", "refined"] = "refined"
    monitor: SloMonitorParams | None = None

    def __post_init__(self) -> None:
        if not (0 < self.window_s <= self.step_s < math.inf and self.cooldown_s < math.inf):
            raise ValueError("0 < window_s <= step_s must hold, and both and cooldown_s must be finite")
        if self.horizon_steps < 1 or self.cooldown_s < 0 or self.min_instances < 0:
            raise ValueError("horizon_steps must be positive, cooldown_s and min_instances not negative")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the driver sees at a tick.

    Attributes:
        now_ns: the time.
        instances: those of this model that run or boot, and stay.
        draining: those that are being drained, or that the cloud will take away: they are not planned with, but still
            count towards max_count.
    """

    now_ns: int
    instances: tuple[Instance, ...]
    draining: tuple[Instance, ...] = ()

    @property
    def alive(self) -> tuple[Instance, ...]:
        """All that is billed."""
        return (*self.instances, *self.draining)


@dataclass(frozen=True, slots=True)
class _Ground:
    """What a plan is made on: the fleet, those of it that are planned with, what can be rented and what cannot now."""

    snapshot: Snapshot
    planned: tuple[Instance, ...]
    offerings: Sequence[Offering]
    unavailable: set[str]


class Controller:
    """Forecasts, plans and reconciles for one model. Knows no clock, cloud or thread.

    Thread safety: none.
    """

    def __init__(
        self,
        deployment: tuple[str, str],
        offerings: Sequence[Offering],
        capacities: Mapping[str, float],
        forecaster: Forecaster,
        params: ControllerParams,
        serverless: Serverless | None = None,
    ) -> None:
        """Make a controller.

        Args:
            deployment: names of the cluster and of the model; they make launch tokens unique.
            offerings: what can be rented.
            capacities: rows per second that one instance of each offering serves under the SLO; 0 where it cannot.
            forecaster: turns the load that was seen into the load to provision for.
            params: rhythm and bounds.
            serverless: takes what instances do not serve, at its price; None for nothing. `greedy` knows none.
        """
        self._spending: Spending | None = None
        self._serverless = serverless
        self._offerings = tuple(offerings)
        self._by_profile = dict(capacities)
        self._corrections: dict[str, float] = {}
        self._capacities = dict(capacities)
        self._forecaster = forecaster
        self._params = params
        self._arrivals = Arrivals(params.step_s, params.window_s, STEPS_KEPT)
        self._reconciler = Reconciler(*deployment, params.cooldown_s, params.min_instances)
        self._monitor = None if params.monitor is None else SloMonitor(params.monitor)
        self._unavailable_until_ns: dict[str, int] = {}
        self._forecast: Forecast | None = None  # of the last tick
        self._last: tuple[int, FleetPlan] | None = None  # when the last plan was made, and the plan

    @property
    def capacities(self) -> Mapping[str, float]:
        """Rows per second that one instance of each offering serves under the SLO, as far as it is known by now."""
        return self._capacities

    def keep_to(self, spending: Spending) -> None:
        """Plan within what may be spent, from the next tick on; without it whatever the load needs."""
        self._spending = spending

    def remember(self, maxima_per_s: npt.NDArray[np.float64]) -> None:
        """Take note of the highest rate of each step before the first observation, oldest first."""
        self._arrivals.remember(maxima_per_s)

    def observe(self, now_ns: int, submitted_rows: int) -> None:
        """Take note of the offered load: rows submitted in all until now, refused ones included."""
        self._arrivals.observe(now_ns, submitted_rows)

    def correct(self, offering: str, factor: float) -> None:
        """Reckon from now on with a capacity of an offering that is divided by `factor`; unknown offerings are ignored.

        A factor that is close to the one before changes nothing: a plan that follows every breath costs launches.
        """
        if not 0 < factor < math.inf:
            raise ValueError(f"offering {offering}: a correction must be positive and finite, not {factor}")
        known = self._corrections.get(offering, 1.0)
        if offering in self._by_profile and abs(factor - known) >= _CORRECTION_TOLD * known:
            self._corrections[offering] = factor
            self._capacities[offering] = self._by_profile[offering] / factor

    def priced(self, offerings: Sequence[Offering]) -> None:
        """Plan from now on at the prices of these offerings; unknown ones are ignored, and so is all else of them."""
        prices = {each.name: each.price_usd_per_hour for each in offerings}
        if any(prices.get(each.name, each.price_usd_per_hour) != each.price_usd_per_hour for each in self._offerings):
            self._offerings = tuple(
                replace(each, price_usd_per_hour=prices.get(each.name, each.price_usd_per_hour))
                for each in self._offerings
            )

    def offering_unavailable(self, offering: str, until_ns: int) -> None:
        """Plan without an offering until then: it was sold out, or its instances die while they boot."""
        self._unavailable_until_ns[offering] = until_ns
        if self._monitor is not None:
            self._monitor.refused(offering)

    def tick(self, snapshot: Snapshot) -> Decision:
        """Decide what to launch and what to retire now."""
        params, now_ns = self._params, snapshot.now_ns
        forecast = self._forecaster.forecast(self._arrivals.maxima_per_s(), params.step_s, params.horizon_steps)
        self._forecast = forecast
        unavailable = self._unavailable(now_ns) | params.standbys
        occupied = Counter(instance.offering for instance in snapshot.draining)
        full = {offering.name for offering in self._offerings if offering.max_count <= occupied[offering.name]}
        unavailable |= full
        offerings = [
            offering
            if offering.name in unavailable
            else replace(offering, max_count=offering.max_count - occupied[offering.name])
            for offering in self._offerings
        ]
        # A standby is not there for the plan: what it stands in for is bought anew, and serves before it goes.
        planned = tuple(each for each in snapshot.instances if each.offering not in params.standbys)
        proposal = self._planned(_Ground(snapshot, planned, offerings, unavailable), forecast)
        proposal = replace(proposal, keeps=proposal.keeps + self._standing_in(proposal, snapshot.instances))
        if self._monitor is not None:
            added = self._monitor.kept(snapshot.instances, now_ns)
            keeps = tuple(Keep(each, "added for the promise a moment ago") for each in added)
            proposal = replace(proposal, keeps=proposal.keeps + keeps)
        load_per_s = self._arrivals.last_per_s()
        afforded = replace(proposal, purchases=self._afforded(proposal.purchases, snapshot))
        actions = self._reconciler.reconcile(afforded, snapshot.instances, now_ns, load_per_s, self._capacities)
        actions += self._let_go(actions, proposal, snapshot)
        return Decision(
            at_ns=now_ns,
            actions=actions,
            forecast=forecast,
            load_per_s=load_per_s,
            capacity_per_s=self._capacity_after(actions, snapshot.instances),
            reason=_reason(actions, forecast, load_per_s, proposal.uncovered_per_s)
            + self._budget_words(len(proposal.purchases) - len(afforded.purchases)),
            alternatives=(
                *_to_keep(actions, proposal, snapshot.instances),
                *proposal.alternatives,
                *self._left_out(actions, full, now_ns),
            ),
        )

    def bridge(self, snapshot: Snapshot) -> Decision:
        """What to launch at once because the cloud will take instances away; the next tick plans for good."""
        names = self._params.standbys
        standbys = [offering for offering in self._offerings if offering.name in names]
        unavailable, load_per_s = self._unavailable(snapshot.now_ns), self._load_soon()
        found = bridge(standbys, self._capacities, snapshot.instances, snapshot.draining, load_per_s, unavailable)
        found = replace(found, purchases=self._afforded(found.purchases, snapshot))
        launches = self._reconciler.launches(found.purchases)
        alive = Counter(each.offering for each in (*snapshot.instances, *snapshot.draining))
        considered = Considered(self._offerings, self._capacities, alive, unavailable)
        return Decision(
            at_ns=snapshot.now_ns,
            actions=launches,
            forecast=self._last_forecast(load_per_s),
            load_per_s=self._arrivals.last_per_s(),
            capacity_per_s=self._capacity_after(launches, snapshot.instances),
            reason=f"launched at once: {_counted(found.purchases)} ({found.reason})",
            alternatives=found.alternatives(considered, names),
        )

    def watch(self, snapshot: Snapshot, ended: int, in_time: int) -> Decision | None:
        """What to launch at once because the last requests broke the promise; None when they kept it.

        Call it as often as the monitor looks, or more. Its launches are part of what the next plan finds running.

        Args:
            snapshot: as for `tick`.
            ended: requests that ended in all until now and that more capacity could have answered.
            in_time: how many of them were answered in time.
        """
        monitor, now_ns = self._monitor, snapshot.now_ns
        broken = None if monitor is None else monitor.look(now_ns, self._arrivals.rows, ended, in_time)
        if monitor is None or broken is None:
            return None
        load_per_s = max(self._arrivals.last_per_s(), monitor.load_per_s)
        inputs = ReinforcementInputs(
            offerings=self._offerings,
            capacities=self._capacities,
            staying=snapshot.instances,
            leaving=snapshot.draining,
            load_per_s=load_per_s,
            unavailable=self._unavailable(now_ns),
            load_factor_max=monitor.params.load_factor_max,
        )
        more = reinforce(inputs, now_ns)
        wanted = len(more.purchases)
        more = replace(more, purchases=self._afforded(more.purchases, snapshot))
        more = replace(more, reason=more.reason + self._budget_words(wanted - len(more.purchases)))
        if not more.purchases and not monitor.nothing_added(now_ns):
            return None
        launches = self._reconciler.launches(more.purchases)
        counts = Counter(purchase.offering for purchase in more.purchases)
        if counts:
            monitor.added(now_ns, {each.name: each.boot_s for each in self._offerings if counts[each.name]})
        return Decision(
            at_ns=now_ns,
            actions=launches,
            forecast=self._last_forecast(load_per_s),
            load_per_s=load_per_s,
            capacity_per_s=self._capacity_after(launches, snapshot.instances),
            reason=f"{broken}; added at once: {_counted(more.purchases)} ({more.reason})",
            alternatives=more.alternatives,
        )

    def _standing_in(self, proposal: Proposal, instances: Sequence[Instance]) -> tuple[Keep, ...]:
        """The standbys that are still needed: they carry what the plan's instances do not, until those are ready."""
        names = self._params.standbys
        planned = [instance for instance in instances if instance.offering not in names]
        ready = [instance for instance in planned if instance.state is InstanceState.READY]
        if len(ready) == len(planned) and not proposal.purchases and proposal.uncovered_per_s <= 0:
            return ()
        missing_per_s = self._load_soon() - sum(self._capacities.get(each.offering, 0.0) for each in ready)
        keeps = []
        # Those that serve come before those that boot.
        standbys = [instance for instance in instances if instance.offering in names]
        for instance in sorted(standbys, key=lambda each: each.state is not InstanceState.READY):
            if missing_per_s <= 0:
                break
            keeps.append(Keep(instance.id, "stands in until others serve"))
            missing_per_s -= self._capacities.get(instance.offering, 0.0)
        return tuple(keeps)

    def _unavailable(self, now_ns: int) -> set[str]:
        return {name for name, until_ns in self._unavailable_until_ns.items() if now_ns < until_ns}

    def _left_out(self, actions: Sequence[Action], full: Collection[str], now_ns: int) -> Iterator[Alternative]:
        """What could not be planned with, where something was launched: refused, or all there until others are gone."""
        if not any(isinstance(action, Launch) for action in actions):
            return
        refused = self._unavailable(now_ns)
        for name in sorted(refused):
            left_s = (self._unavailable_until_ns[name] - now_ns) / 1e9
            yield Alternative(f"a new {name}", None, f"it was refused; it is tried again in {left_s:.0f} s")
        for name in sorted(set(full) - refused):
            yield Alternative(f"a new {name}", None, "all that may exist do, until those that leave are gone")

    def _last_forecast(self, load_per_s: float) -> Forecast:
        return self._forecast or Forecast(self._params.step_s, (load_per_s,), "nothing")

    def _load_soon(self) -> float:
        """The highest load until what is planned now serves."""
        if self._forecast is None:
            return self._arrivals.last_per_s()
        return max(self._forecast.rates_per_s[: 1 + lead_steps_of(self._offerings, self._params.step_s)])

    def _planned(self, ground: _Ground, forecast: Forecast) -> Proposal:
        """What the load needs or, with a budget, as much of it as is paid for."""
        now_ns = ground.snapshot.now_ns
        if self._spending is None:
            made = self._draft(ground, forecast, Terms())
        else:
            held = sum(self._usd_per_hour(ground.snapshot.alive))
            made = self._spending.choose(now_ns, forecast, held, lambda load, terms: self._draft(ground, load, terms))
        self._last = None if made.plan is None else (now_ns, made.plan)
        return made.proposal

    def _draft(self, ground: _Ground, forecast: Forecast, terms: Terms) -> Planned:
        offerings, unavailable, waiting = ground.offerings, ground.unavailable, frozenset[str]()
        if terms.spot_first:
            offerings, waiting = spot_first(offerings, self._capacities, unavailable)
        ground = replace(ground, offerings=offerings)
        proposal, plan = self._propose(ground, forecast, waiting, terms)
        if waiting and proposal.uncovered_per_s > 0:  # spot alone does not do
            other, other_plan = self._propose(ground, forecast, frozenset(), terms)
            if other.uncovered_per_s < proposal.uncovered_per_s:
                proposal, plan, waiting = other, other_plan, frozenset()
        least, planned = self._params.min_instances, ground.planned
        proposal = at_least(least, proposal, planned, offerings, self._capacities, unavailable | waiting)
        prices = {each.name: each.price_usd_per_hour for each in offerings}
        kept = {each.instance for each in proposal.keeps}
        costs = self._usd_per_hour([each for each in planned if each.id in kept])
        usd_per_hour = sum([*costs, *(prices[each.offering] for each in proposal.purchases)])
        peak = max(usd_per_hour, _peak_usd_per_hour(plan, prices))
        return Planned(proposal, usd_per_hour, plan, peak, min(prices.values(), default=0.0))

    def _propose(
        self, ground: _Ground, forecast: Forecast, waiting: frozenset[str], terms: Terms
    ) -> tuple[Proposal, FleetPlan | None]:
        now_ns, instances, offerings = ground.snapshot.now_ns, ground.planned, ground.offerings
        unavailable = ground.unavailable | waiting
        if self._params.policy == "greedy":
            return propose(offerings, self._capacities, instances, forecast, now_ns, unavailable=unavailable), None
        # What is not to be had now may be at the next tick; how much later is known only of what was refused.
        unavailable_s = {
            name: max(self._params.step_s, (self._unavailable_until_ns.get(name, 0) - now_ns) / 1e9)
            for name in unavailable
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
        refined = propose_refined(offerings, self._capacities, instances, forecast, now_ns, options)
        return refined.proposal, refined.plan

    def _usd_per_hour(self, instances: Sequence[Instance]) -> list[float]:
        offerings = {offering.name: offering for offering in self._offerings}
        return [instance_usd_per_hour(each, offerings[each.offering]) for each in instances]

    def _afforded(self, purchases: Sequence[Purchase], snapshot: Snapshot) -> tuple[Purchase, ...]:
        """Those that there is money for."""
        if self._spending is None or not purchases:
            return tuple(purchases)
        prices = {offering.name: offering.price_usd_per_hour for offering in self._offerings}
        return self._spending.afford(purchases, self._usd_per_hour(snapshot.alive), prices)

    def _budget_words(self, waiting: int) -> str:
        """What of a decision is the budget's doing; `waiting` launches are left out for it."""
        if self._spending is None or (not waiting and self._spending.stage is Stage.FULL):
            return ""
        words = f"; budget: {self._spending.stage.words}, ${self._spending.allowed_usd_per_hour:.4f} an hour allowed"
        return words + (f", {waiting} launches wait for room" if waiting else "")

    def _let_go(self, actions: Sequence[Action], proposal: Proposal, snapshot: Snapshot) -> tuple[Retire, ...]:
        """What is given back beside these actions, for what stays costs more than is allowed.

        And one that was not needed for long, where there is no money for what the plan would have instead of it: what
        is cheaper can only be launched after it.
        """
        if self._spending is None:
            return ()
        retired = {action.instance for action in actions if isinstance(action, Retire)}
        staying = [instance for instance in snapshot.instances if instance.id not in retired]
        offerings = {offering.name: offering for offering in self._offerings}
        gone = self._spending.let_go(staying, proposal.keeps, offerings, self._capacities)
        if gone or retired or sum(isinstance(action, Launch) for action in actions) == len(proposal.purchases):
            return tuple(Retire(each, "the budget does not pay for it") for each in gone)
        overdue = self._reconciler.overdue(snapshot.now_ns)[:1]
        return tuple(Retire(each, "makes room in the budget for what the plan has instead of it") for each in overdue)

    def _last_plan(self, now_ns: int) -> FleetPlan | None:
        if self._last is None:
            return None
        made_ns, plan = self._last
        return moved_on(plan, round((now_ns - made_ns) / 1e9 / self._params.step_s))

    def _capacity_after(self, actions: Sequence[Action], instances: Sequence[Instance]) -> float:
        retired = {action.instance for action in actions if isinstance(action, Retire)}
        names = [instance.offering for instance in instances if instance.id not in retired]
        names += [action.offering for action in actions if isinstance(action, Launch)]
        return sum(self._capacities.get(name, 0.0) for name in names)


def _peak_usd_per_hour(plan: FleetPlan | None, prices: Mapping[str, float]) -> float:
    """The most that the schedule costs an hour in any of its steps; 0 without one."""
    if plan is None:
        return 0.0
    steps = zip(*([prices[name] * count for count in counts] for name, counts in plan.counts.items()), strict=True)
    return max((sum(step) for step in steps), default=0.0)


def _to_keep(actions: Sequence[Action], proposal: Proposal, instances: Sequence[Instance]) -> list[Alternative]:
    """What it would cost to keep what is retired; where something is launched, what that costs matters more."""
    if any(isinstance(action, Launch) for action in actions):
        return []
    retired = {action.instance for action in actions if isinstance(action, Retire)}
    offerings = dict.fromkeys(each.offering for each in instances if each.id in retired)
    return [proposal.to_keep[name] for name in offerings if name in proposal.to_keep]


def _counted(purchases: Sequence[Purchase]) -> str:
    counts = Counter(purchase.offering for purchase in purchases)
    return ", ".join(f"{count} x {name}" for name, count in counts.items()) or "nothing"


def _reason(actions: Sequence[Action], forecast: Forecast, load_per_s: float, uncovered_per_s: float) -> str:
    high = max(forecast.rates_per_s, default=0.0)
    parts = [f"load {load_per_s:.0f}, forecast {high:.0f} rows/s by {forecast.forecaster}"]
    for offering, count in Counter(action.offering for action in actions if isinstance(action, Launch)).items():
        first = next(action.reason for action in actions if isinstance(action, Launch) and action.offering == offering)
        parts.append(f"launch {count} x {offering} ({first})")
    for action in actions:
        if isinstance(action, Retire):
            parts.append(f"retire {action.instance} ({action.reason})")
    if not actions:
        parts.append("nothing to do")
    if uncovered_per_s > 0:
        parts.append(f"{uncovered_per_s:.0f} rows/s uncovered: nothing more can be had")
    return "; ".join(parts)
