"""Keeps the plans of one model within what may be spent, and says what is given up for it. Passive."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from mark.domain.budget import SpendingLimits, Spent, Stage, StageChange
from mark.domain.cost import instance_usd_per_hour
from mark.domain.fleet import Instance, InstanceId, InstanceState
from mark.domain.fleet_plan import FleetPlan
from mark.domain.forecast import Forecast
from mark.domain.offering import Offering
from mark.policies.provisioning import Keep, Proposal, Purchase

__all__ = ["Granting", "Planned", "Spending", "SpendingParams", "Terms"]

_EPSILON_USD = 1e-9
# Plans between the largest load that is known to be paid for and the least that is not.
_PROBES = 5
_HOUR_NS = 3_600 * 1_000_000_000
_READ_EVERY_NS = 10 * 1_000_000_000


class Granting(Protocol):
    """What `mark.controlplane.budget.Budget` is to one model."""

    def spent(self, unix_ns: int, usd_today: float) -> None:
        """Take note of what was spent since midnight, UTC."""
        ...

    def ask(self, model: str, wanted_usd_per_hour: float, held_usd_per_hour: float) -> float:
        """What a model may commit from now on."""
        ...


@dataclass(frozen=True, slots=True)
class Terms:
    """What a plan is to do without."""

    spot_first: bool = False
    serverless: bool = True

    @classmethod
    def of(cls, stage: Stage) -> Terms:
        """Those of a stage."""
        return cls(spot_first=stage >= Stage.SPOT_FIRST, serverless=stage < Stage.NO_SERVERLESS)


@dataclass(frozen=True, slots=True)
class Planned:
    """A proposal that was made for a forecast.

    Attributes:
        proposal: what to keep and launch.
        usd_per_hour: what that costs.
        plan: the schedule that it comes from; None without one.
        peak_usd_per_hour: the most that it will cost in any step of the schedule.
        least_usd_per_hour: what one more instance costs at least.
    """

    proposal: Proposal
    usd_per_hour: float
    plan: FleetPlan | None = None
    peak_usd_per_hour: float = 0.0
    least_usd_per_hour: float = 0.0


@dataclass(frozen=True, slots=True)
class SpendingParams:
    """Of one model.

    Attributes:
        stages: that there are to go through, in order; one that would give up nothing is left out.
        calm_s: a stage is left when the one before it would have done for so long.
        spare_share: of what is allowed, that must be left over then.
        window_s: rates are measured over so long.
        sheds: whether there is a lowest priority beside others; with one alone, the door refuses what cannot be
            answered in time all the same.
    """

    stages: tuple[Stage, ...] = tuple(Stage)
    calm_s: float = 300.0
    spare_share: float = 0.05
    window_s: float = 5.0
    sheds: bool = True

    def __post_init__(self) -> None:
        if not self.stages or self.stages[0] is not Stage.FULL or list(self.stages) != sorted(set(self.stages)):
            raise ValueError("stages must begin with FULL and go up")
        if not (self.calm_s >= 0 and 0 <= self.spare_share < 1 and self.window_s > 0):
            raise ValueError("needs calm_s >= 0, 0 <= spare_share < 1 and window_s > 0")


class Spending:
    """What one model may spend, and what it gives up when that does not do.

    Stages are entered one by one, one at a tick, when what the load needs is more than what is allowed; and left in
    reverse, one by one, when the stage before has needed clearly less than that for a while. Whatever the stage is, no
    plan costs more than is allowed: it is made for as much of the load as is paid for.

    Knows no clock, cloud or thread. Thread safety: none.

    Invariant: `stage` is one of the stages of its parameters.
    """

    def __init__(self, budget: Granting, model: str, params: SpendingParams) -> None:
        """Begin with nothing given up."""
        self._budget = budget
        self._model = model
        self._params = params
        self._stage = Stage.FULL
        self._change: StageChange | None = None
        self._calm_since_ns: int | None = None
        self._allowed = 0.0
        self._peak = 0.0  # dollars an hour that the schedule comes to
        self._functions = _FunctionDollars()
        self._rates = _Rates(round(params.window_s * 1e9))

    @property
    def stage(self) -> Stage:
        """How far serving is degraded."""
        return self._stage

    @property
    def allowed_usd_per_hour(self) -> float:
        """What may be committed, as of the last tick."""
        return self._allowed

    def take_change(self) -> StageChange | None:
        """The change of stage that nobody has asked for yet."""
        change, self._change = self._change, None
        return change

    def spent_today(self, unix_ns: int, usd: float) -> None:
        """Take note of what all models have cost since midnight, UTC; before each tick."""
        self._budget.spent(unix_ns, usd)

    def see(self, now_ns: int, spent: Spent) -> None:
        """Take note of what the driver sees; before each tick and between them."""
        self._functions.see(now_ns, spent)
        self._rates.see(now_ns, spent)

    def choose(
        self, now_ns: int, forecast: Forecast, held: float, plan: Callable[[Forecast, Terms], Planned]
    ) -> Planned:
        """The plan for as much of the forecast as is paid for, under the terms of the stage that this leads to.

        Args:
            now_ns: the time.
            forecast: the load to serve.
            held: dollars an hour of all that runs or boots.
            plan: makes a plan; it may be called several times, and what it returned last need not be what is chosen.
        """
        found: dict[Terms, Planned] = {}

        def whole(stage: Stage) -> Planned:
            terms = Terms.of(stage)
            if terms not in found:
                found[terms] = plan(forecast, terms)
            return found[terms]

        def needs(stage: Stage) -> float:
            functions = self._functions.wanted if Terms.of(stage).serverless else self._functions.fixed
            return whole(stage).usd_per_hour + functions

        wanted = needs(self._stage)
        self._allowed = self._budget.ask(self._model, wanted, held + self._functions.spent)
        self._move(now_ns, needs)
        money = self._allowed - (self._functions.spent if self._stage < Stage.NO_SERVERLESS else self._functions.fixed)
        paid = whole(self._stage)
        if paid.usd_per_hour > money + _EPSILON_USD:
            paid = self._paid_for(forecast, money, paid, plan)
        self._peak = min(paid.peak_usd_per_hour, self._allowed)
        return paid

    def afford(
        self, purchases: Iterable[Purchase], alive: Iterable[float], prices: Mapping[str, float]
    ) -> tuple[Purchase, ...]:
        """Those of the purchases that there is money for beside what runs, boots and drains, in their order.

        Args:
            purchases: what is wanted.
            alive: dollars an hour of each instance that is billed now.
            prices: dollars an hour by offering.
        """
        room = self._allowed - sum(alive) - self._functions.spent
        kept = []
        for purchase in purchases:
            if prices[purchase.offering] <= room + _EPSILON_USD:
                kept.append(purchase)
                room -= prices[purchase.offering]
        return tuple(kept)

    def let_go(
        self,
        staying: Sequence[Instance],
        keeps: Iterable[Keep],
        offerings: Mapping[str, Offering],
        capacities: Mapping[str, float],
    ) -> list[InstanceId]:
        """Instances to give back at once, for all together cost more than is allowed.

        Those that the plan does without go first, then those that cost most for what they serve.
        """
        price = {each.id: instance_usd_per_hour(each, offerings[each.offering]) for each in staying}
        over = sum(price.values()) + self._functions.fixed - self._allowed
        kept = {keep.instance for keep in keeps}

        def worth(instance: Instance) -> tuple[bool, float]:
            capacity = capacities.get(instance.offering, 0.0)
            return instance.id in kept, -price[instance.id] / capacity if capacity > 0 else -math.inf

        victims = []
        for instance in sorted(staying, key=worth):
            if over <= _EPSILON_USD:
                break
            victims.append(instance.id)
            over -= price[instance.id]
        return victims

    def limits(
        self, alive: Iterable[Instance], offerings: Mapping[str, Offering], capacities: Mapping[str, float]
    ) -> SpendingLimits:
        """What the driver is to keep to, given all that is billed now; ask again whenever that changes."""
        alive = list(alive)
        held = sum(instance_usd_per_hour(each, offerings[each.offering]) for each in alive)
        ready_per_s = sum(capacities.get(each.offering, 0.0) for each in alive if each.state is InstanceState.READY)
        # What the schedule will need is not for functions: what they cost is gone for an hour.
        functions = max(0.0, self._allowed - max(held, self._peak) - self._functions.fixed)
        return SpendingLimits(
            stage=self._stage,
            functions_usd_per_hour=functions if Terms.of(self._stage).serverless else 0.0,
            shed_share=self._rates.excess_share(ready_per_s)
            if self._params.sheds and self._stage is Stage.SHED
            else 0.0,
        )

    def _move(self, now_ns: int, needs: Callable[[Stage], float]) -> None:
        stages = self._params.stages
        place = stages.index(self._stage)
        if needs(self._stage) > self._allowed + _EPSILON_USD:
            self._calm_since_ns = None
            if place + 1 < len(stages):
                self._enter(stages[place + 1], needs(self._stage))
            return
        if place == 0:
            return
        before = stages[place - 1]
        if needs(before) > self._allowed * (1 - self._params.spare_share):
            self._calm_since_ns = None
            return
        if self._calm_since_ns is None:
            self._calm_since_ns = now_ns
        if now_ns - self._calm_since_ns >= self._params.calm_s * 1e9:
            self._enter(before, needs(before))

    def _enter(self, stage: Stage, needed: float) -> None:
        self._change = StageChange(self._stage, stage, needed, self._allowed)
        self._stage = stage
        self._calm_since_ns = None
        self._functions.stage(stage)

    def _paid_for(
        self, forecast: Forecast, money: float, whole: Planned, plan: Callable[[Forecast, Terms], Planned]
    ) -> Planned:
        """The plan for the largest load that there is money for: whatever exceeds it is not planned for."""
        terms, peak_per_s = Terms.of(self._stage), max(forecast.rates_per_s, default=0.0)
        # Rows per second that are carried, and dollars an hour for them: what nothing can be had for costs nothing.
        low, high = (0.0, 0.0), (peak_per_s - whole.proposal.uncovered_per_s, whole.usd_per_hour)
        best: Planned | None = None
        for _ in range(_PROBES):
            # Dollars grow about as the load does; not quite, so neither end is gone to.
            share = min(0.9, max(0.1, (money - low[1]) / (high[1] - low[1])))
            middle_per_s = low[0] + (high[0] - low[0]) * share
            tried = plan(_clipped(forecast, middle_per_s), terms)
            if tried.usd_per_hour > money + _EPSILON_USD:
                high = (middle_per_s - tried.proposal.uncovered_per_s, tried.usd_per_hour)
                continue
            low, best = (middle_per_s, tried.usd_per_hour), tried
            if money - tried.usd_per_hour < tried.least_usd_per_hour:
                break  # no further instance is paid for
        if best is None:
            best = plan(_clipped(forecast, 0.0), terms)
        uncovered_per_s = best.proposal.uncovered_per_s + peak_per_s - low[0]
        return replace(best, proposal=replace(best.proposal, uncovered_per_s=uncovered_per_s))


def _clipped(forecast: Forecast, most_per_s: float) -> Forecast:
    return replace(forecast, rates_per_s=tuple(min(rate, most_per_s) for rate in forecast.rates_per_s))


class _FunctionDollars:
    """What functions have cost in the last hour, and what of it could not have been stopped.

    Thread safety: none.
    """

    def __init__(self) -> None:
        self._readings: deque[tuple[int, float]] = deque()
        self._seen = Spent()
        self._wanted_before = 0.0
        self._off = False

    def see(self, now_ns: int, spent: Spent) -> None:
        """Take note of the counters."""
        self._seen = spent
        readings = self._readings
        if not readings or now_ns - readings[-1][0] >= _READ_EVERY_NS:
            readings.append((now_ns, spent.functions_usd))
        while len(readings) > 1 and readings[1][0] <= now_ns - _HOUR_NS:
            readings.popleft()

    def stage(self, stage: Stage) -> None:
        """Another stage begins: once functions are off, what they were wanted for is what they cost before that."""
        off = stage >= Stage.NO_SERVERLESS
        if off and not self._off:
            self._wanted_before = self.spent
        self._off = off

    @property
    def spent(self) -> float:
        """Of the last hour, what is under way included."""
        return self._seen.functions_usd_hour + self.fixed

    @property
    def fixed(self) -> float:
        """Of the last hour, what no request has cost: pings."""
        billed = self._seen.functions_usd - self._readings[0][1] if self._readings else 0.0
        return max(0.0, billed - self._seen.functions_usd_hour)

    @property
    def wanted(self) -> float:
        """What they would cost in an hour if they were on."""
        return max(self.spent, self._wanted_before) if self._off else self.spent


class _Rates:
    """Rows per second that are offered, in all and of the lowest priority, over the last window that is whole.

    Thread safety: none.
    """

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._began: tuple[int, Spent] | None = None
        self._per_s = 0.0
        self._lowest_per_s = 0.0

    def see(self, now_ns: int, spent: Spent) -> None:
        """Take note of the counters."""
        if self._began is None:
            self._began = (now_ns, spent)
            return
        began_ns, before = self._began
        if now_ns - began_ns >= self._window_ns:
            seconds = (now_ns - began_ns) / 1e9
            self._per_s = (spent.rows - before.rows) / seconds
            self._lowest_per_s = (spent.rows_lowest - before.rows_lowest) / seconds
            self._began = (now_ns, spent)

    def excess_share(self, carried_per_s: float) -> float:
        """Of the lowest priority, what is offered beyond a rate."""
        if self._lowest_per_s <= 0:
            return 0.0
        return min(1.0, max(0.0, (self._per_s - carried_per_s) / self._lowest_per_s))
