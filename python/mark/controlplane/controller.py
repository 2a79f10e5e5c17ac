"""The control path of one model as a passive object: observe, tick, act."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mark.controlplane.arrivals import Arrivals
from mark.controlplane.catalogue import Catalogue
from mark.controlplane.controller_params import ControllerParams
from mark.controlplane.planner import Ground, Planner
from mark.controlplane.reconciler import Reconciler
from mark.controlplane.slo_monitor import SloMonitor
from mark.controlplane.snapshot import Snapshot
from mark.controlplane.spending import Spending
from mark.domain.budget import Stage
from mark.domain.fleet import Instance, InstanceState
from mark.domain.forecast import Forecast
from mark.domain.offering import Offering, Serverless
from mark.domain.plan import Action, Alternative, Decision, Launch, Retire
from mark.policies.alternatives import Considered
from mark.policies.interruption import bridge
from mark.policies.provisioning import Keep, Proposal, Purchase, lead_steps_of
from mark.policies.reinforcement import ReinforcementInputs, reinforce
from mark.ports import Forecaster

__all__ = ["STEPS_KEPT", "Controller"]

# History for the forecaster: three weeks of one-minute steps. With one, what is trained on it costs 4 to 7 % more.
STEPS_KEPT = 21 * 24 * 60


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
        self._catalogue = Catalogue(offerings, capacities)
        self._planner = Planner(self._catalogue, params, serverless)
        self._spending: Spending | None = None
        self._forecaster = forecaster
        self._params = params
        self._arrivals = Arrivals(params.step_s, params.window_s, STEPS_KEPT)
        self._reconciler = Reconciler(*deployment, params.cooldown_s, params.min_instances)
        self._monitor = None if params.monitor is None else SloMonitor(params.monitor)
        self._forecast: Forecast | None = None  # of the last tick

    @property
    def capacities(self) -> Mapping[str, float]:
        """Rows per second that one instance of each offering serves under the SLO, as far as it is known by now."""
        return self._catalogue.capacities

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
        self._catalogue.correct(offering, factor)

    def priced(self, offerings: Sequence[Offering]) -> None:
        """Plan from now on at the prices of these offerings; unknown ones are ignored, and so is all else of them."""
        self._catalogue.reprice(offerings)

    def offering_unavailable(self, offering: str, until_ns: int) -> None:
        """Plan without an offering until then: it was sold out, or its instances die while they boot."""
        self._catalogue.refused(offering, until_ns)
        if self._monitor is not None:
            self._monitor.refused(offering)

    def tick(self, snapshot: Snapshot) -> Decision:
        """Decide what to launch and what to retire now."""
        params, catalogue, now_ns = self._params, self._catalogue, snapshot.now_ns
        forecast = self._forecaster.forecast(self._arrivals.maxima_per_s(), params.step_s, params.horizon_steps)
        self._forecast = forecast
        unavailable = catalogue.unavailable(now_ns) | params.standbys
        occupied = Counter(instance.offering for instance in snapshot.draining)
        full = {offering.name for offering in catalogue.offerings if offering.max_count <= occupied[offering.name]}
        unavailable |= full
        offerings = [
            offering
            if offering.name in unavailable
            else replace(offering, max_count=offering.max_count - occupied[offering.name])
            for offering in catalogue.offerings
        ]
        # A standby is not there for the plan: what it stands in for is bought anew, and serves before it goes.
        planned = tuple(each for each in snapshot.instances if each.offering not in params.standbys)
        proposal = self._planner.propose(Ground(snapshot, planned, offerings, unavailable), forecast, self._spending)
        proposal = replace(proposal, keeps=proposal.keeps + self._standing_in(proposal, snapshot.instances))
        if self._monitor is not None:
            added = self._monitor.kept(snapshot.instances, now_ns)
            keeps = tuple(Keep(each, "added for the promise a moment ago") for each in added)
            proposal = replace(proposal, keeps=proposal.keeps + keeps)
        load_per_s = self._arrivals.last_per_s()
        afforded = replace(proposal, purchases=self._afforded(proposal.purchases, snapshot))
        actions = self._reconciler.reconcile(afforded, snapshot.instances, now_ns, load_per_s, catalogue.capacities)
        actions += self._let_go(actions, proposal, snapshot)
        return Decision(
            at_ns=now_ns,
            actions=actions,
            forecast=forecast,
            load_per_s=load_per_s,
            capacity_per_s=catalogue.capacity_after(actions, snapshot.instances),
            reason=_reason(actions, forecast, load_per_s, proposal.uncovered_per_s)
            + self._budget_words(len(proposal.purchases) - len(afforded.purchases)),
            alternatives=(
                *_to_keep(actions, proposal, snapshot.instances),
                *proposal.alternatives,
                *(catalogue.left_out(full, now_ns) if _launches(actions) else ()),
            ),
        )

    def bridge(self, snapshot: Snapshot) -> Decision:
        """What to launch at once because the cloud will take instances away; the next tick plans for good."""
        names, catalogue = self._params.standbys, self._catalogue
        standbys = [offering for offering in catalogue.offerings if offering.name in names]
        unavailable, load_per_s = catalogue.unavailable(snapshot.now_ns), self._load_soon()
        found = bridge(standbys, catalogue.capacities, snapshot.instances, snapshot.draining, load_per_s, unavailable)
        found = replace(found, purchases=self._afforded(found.purchases, snapshot))
        launches = self._reconciler.launches(found.purchases)
        alive = Counter(each.offering for each in (*snapshot.instances, *snapshot.draining))
        considered = Considered(catalogue.offerings, catalogue.capacities, alive, unavailable)
        return Decision(
            at_ns=snapshot.now_ns,
            actions=launches,
            forecast=self._last_forecast(load_per_s),
            load_per_s=self._arrivals.last_per_s(),
            capacity_per_s=catalogue.capacity_after(launches, snapshot.instances),
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
        monitor, catalogue, now_ns = self._monitor, self._catalogue, snapshot.now_ns
        broken = None if monitor is None else monitor.look(now_ns, self._arrivals.rows, ended, in_time)
        if monitor is None or broken is None:
            return None
        load_per_s = max(self._arrivals.last_per_s(), monitor.load_per_s)
        inputs = ReinforcementInputs(
            offerings=catalogue.offerings,
            capacities=catalogue.capacities,
            staying=snapshot.instances,
            leaving=snapshot.draining,
            load_per_s=load_per_s,
            unavailable=catalogue.unavailable(now_ns),
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
            monitor.added(now_ns, {each.name: each.boot_s for each in catalogue.offerings if counts[each.name]})
        return Decision(
            at_ns=now_ns,
            actions=launches,
            forecast=self._last_forecast(load_per_s),
            load_per_s=load_per_s,
            capacity_per_s=catalogue.capacity_after(launches, snapshot.instances),
            reason=f"{broken}; added at once: {_counted(more.purchases)} ({more.reason})",
            alternatives=more.alternatives,
        )

    def _standing_in(self, proposal: Proposal, instances: Sequence[Instance]) -> tuple[Keep, ...]:
        """The standbys that are still needed: they carry what the plan's instances do not, until those are ready."""
        names, capacities = self._params.standbys, self._catalogue.capacities
        planned = [instance for instance in instances if instance.offering not in names]
        ready = [instance for instance in planned if instance.state is InstanceState.READY]
        if len(ready) == len(planned) and not proposal.purchases and proposal.uncovered_per_s <= 0:
            return ()
        missing_per_s = self._load_soon() - sum(capacities.get(each.offering, 0.0) for each in ready)
        keeps = []
        # Those that serve come before those that boot.
        standbys = [instance for instance in instances if instance.offering in names]
        for instance in sorted(standbys, key=lambda each: each.state is not InstanceState.READY):
            if missing_per_s <= 0:
                break
            keeps.append(Keep(instance.id, "stands in until others serve"))
            missing_per_s -= capacities.get(instance.offering, 0.0)
        return tuple(keeps)

    def _last_forecast(self, load_per_s: float) -> Forecast:
        return self._forecast or Forecast(self._params.step_s, (load_per_s,), "nothing")

    def _load_soon(self) -> float:
        """The highest load until what is planned now serves."""
        if self._forecast is None:
            return self._arrivals.last_per_s()
        return max(self._forecast.rates_per_s[: 1 + lead_steps_of(self._catalogue.offerings, self._params.step_s)])

    def _afforded(self, purchases: Sequence[Purchase], snapshot: Snapshot) -> tuple[Purchase, ...]:
        """Those that there is money for."""
        if self._spending is None or not purchases:
            return tuple(purchases)
        held = self._catalogue.usd_per_hour(snapshot.alive)
        return self._spending.afford(purchases, held, self._catalogue.prices)

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
        offerings = {offering.name: offering for offering in self._catalogue.offerings}
        gone = self._spending.let_go(staying, proposal.keeps, offerings, self._catalogue.capacities)
        if gone or retired or len(_launches(actions)) == len(proposal.purchases):
            return tuple(Retire(each, "the budget does not pay for it") for each in gone)
        overdue = self._reconciler.overdue(snapshot.now_ns)[:1]
        return tuple(Retire(each, "makes room in the budget for what the plan has instead of it") for each in overdue)


def _launches(actions: Sequence[Action]) -> list[Launch]:
    return [action for action in actions if isinstance(action, Launch)]


def _to_keep(actions: Sequence[Action], proposal: Proposal, instances: Sequence[Instance]) -> list[Alternative]:
    """What it would cost to keep what is retired; where something is launched, what that costs matters more."""
    if _launches(actions):
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
    launches = _launches(actions)
    for offering, count in Counter(launch.offering for launch in launches).items():
        first = next(launch.reason for launch in launches if launch.offering == offering)
        parts.append(f"launch {count} x {offering} ({first})")
    for action in actions:
        if isinstance(action, Retire):
            parts.append(f"retire {action.instance} ({action.reason})")
    if not actions:
        parts.append("nothing to do")
    if uncovered_per_s > 0:
        parts.append(f"{uncovered_per_s:.0f} rows/s uncovered: nothing more can be had")
    return "; ".join(parts)
