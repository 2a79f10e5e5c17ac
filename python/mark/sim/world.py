"""A model, its fleet and its control loop in virtual time."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mark import _core
from mark.controlplane.chronicle import Chronicle
from mark.controlplane.corrections import corrections_of
from mark.controlplane.fleet_rules import FleetController, FleetRuleParams, FleetRules
from mark.controlplane.fleet_view import FleetChange
from mark.controlplane.meter import Meter
from mark.controlplane.spending import Spending
from mark.domain.artifact import ModelArtifact
from mark.domain.bill import SERVERLESS
from mark.domain.budget import Spent
from mark.domain.fleet import InstanceId
from mark.domain.offering import Market
from mark.domain.plan import Launch
from mark.domain.signature import ModelSignature
from mark.errors import CloudError
from mark.sim.history import History
from mark.sim.roles import Feed, MovableClock, VirtualCloud
from mark.sim.tally import attained, tally_of

__all__ = ["World", "WorldParams"]

_TELL_EVERY_S = 0.1
# Live, an instance goes as soon as its last batch is answered; here within this time.
_DRAINED_WITHIN_NS = 20_000_000
_MODEL = ModelArtifact(ModelSignature("simulated", "1", (), (), 1), "python", "simulated")


@dataclass(frozen=True, slots=True)
class WorldParams:
    """What a world runs on.

    Attributes:
        dispatcher: bounds of the request path.
        rt_max_ms: the longest response that keeps the promise.
        specs: how workers of each offering may be used, by offering.
        capacities: requests per second of one instance under the SLO, by offering.
        credits: how burstable offerings run on credits, by offering.
        surplus_usd_per_s: price of a second at full speed without credits, by offering; for unlimited ones.
        functions: what takes single requests; None for nothing.
        burst_limits: what the bouncer keeps to.
        service_variation: of batch times, about their standard deviation over their mean.
        step_s: the controller ticks once in this time; the report has a bin for each.
        window_s: the load is observed once in this time.
        warmup_s: simulated before what is counted; a whole number of steps.
        unavailable_s: an offering that was refused is left alone this long.
        watch_s: the controller is told once in this time how requests ended; None: never.
        spending: the budget, which the controller keeps to; None for none.
        lowest_share: of the requests, that are of the lowest priority; all others are of the highest.
        seed: of arrivals and service times.
        served: what a decision log is to say of the model and what it is served on.
    """

    dispatcher: _core.DispatcherParams
    rt_max_ms: float
    specs: Mapping[str, _core.WorkerSpec]
    capacities: Mapping[str, float]
    credits: Mapping[str, _core.CreditParams] = field(default_factory=dict)
    surplus_usd_per_s: Mapping[str, float] = field(default_factory=dict)
    functions: _core.FunctionPoolParams | None = None
    burst_limits: _core.BurstLimits = field(default_factory=_core.BurstLimits)
    service_variation: float = 0.0
    step_s: float = 60.0
    window_s: float = 5.0
    warmup_s: float = 1800.0
    unavailable_s: float = 30.0
    watch_s: float | None = None
    spending: Spending | None = None
    lowest_share: float = 0.0
    seed: int = 0
    served: Mapping[str, Any] = field(default_factory=dict)


class World:
    """The control loop of live serving, driven by a clock that it moves itself.

    Thread safety: none.

    Invariants:
        - an instance has a worker in the engine from when it is seen ready until it is seen gone or was drained;
        - clock, engine and cloud are at the same instant whenever a decision is taken.
    """

    def __init__(
        self,
        params: WorldParams,
        feed: Feed,
        cloud: VirtualCloud,
        clock: MovableClock,
        controller: FleetController,
        chronicle: Chronicle | None = None,
    ) -> None:
        """Make a world; what happens in it is written down in the chronicle, if there is one."""
        self._params = params
        self._is_written = chronicle is not None
        self._cloud = cloud
        self._clock = clock
        rules = FleetRuleParams.for_loop(params.rt_max_ms, params.window_s, params.unavailable_s)
        self._fleet = FleetRules(_MODEL.signature.name, controller, rules, chronicle, params.spending)
        self._engine = _core.Simulation(
            params.dispatcher,
            seed=params.seed,
            service_variation=params.service_variation,
            bin_ns=round(params.step_s * 1e9),
            counted_from_ns=round(params.warmup_s * 1e9),
            functions=params.functions,
            burst_limits=params.burst_limits,
            lowest_share=params.lowest_share,
        )
        self._functions_meter = Meter(0)
        self._feed = feed
        self._workers: dict[InstanceId, int] = {}
        self._offerings: dict[InstanceId, str] = {}  # of those that have a worker
        self._surplus_s: dict[InstanceId, float] = {}  # that was billed
        self._workers_ever = 0
        self._giving_back: list[InstanceId] = []
        self._watch_ns: float = math.inf if params.watch_s is None else 0
        self.history = History(params.step_s, params.capacities)

    @property
    def engine(self) -> _core.Simulation:
        """The request path, for its results."""
        return self._engine

    def run(self, duration_s: float | None = None, on_progress: Callable[[float], None] | None = None) -> float:
        """Simulate until the load ends, or for `duration_s` of it; returns how much was simulated, in seconds.

        `on_progress` is told how much that is so far, now and then.
        """
        window_ns, step_ns = round(self._params.window_s * 1e9), round(self._params.step_s * 1e9)
        warmup_ns = round(self._params.warmup_s * 1e9)
        end_ns = math.inf if duration_s is None else warmup_ns + round(duration_s * 1e9)
        told_s = time.monotonic()
        self._fleet.begin(self._clock.now_ns(), self._params.served)
        while True:
            now_ns = self._clock.now_ns()
            self._feed.feed(self._engine, (now_ns + window_ns) / 1e9)
            if self._feed.ended_s is not None:
                end_ns = min(end_ns, round(self._feed.ended_s * 1e9))
            self._observe()
            if now_ns >= warmup_ns and (now_ns % step_ns == 0 or now_ns >= end_ns):
                self._note()
            if now_ns >= end_ns:
                self._fleet.end(now_ns)
                return max(0, now_ns - warmup_ns) / 1e9
            if now_ns % step_ns == 0:
                self._tick()
            self._advance(min(now_ns + window_ns, end_ns))
            if on_progress is not None and time.monotonic() - told_s > _TELL_EVERY_S:
                told_s = time.monotonic()
                on_progress(max(0, self._clock.now_ns() - warmup_ns) / 1e9)

    def settle(self) -> None:
        """Let what is under way end; call when the run is over and the cost was read."""
        params = self._params
        self._engine.run_until(self._engine.now_ns + round(params.rt_max_ms * 3e6) + 60_000_000_000)

    @property
    def rt_max_ms(self) -> float:
        """The longest response that keeps the promise."""
        return self._params.rt_max_ms

    @property
    def interrupted(self) -> int:
        """Spot instances that were taken away, or are about to be."""
        return self._cloud.interrupted

    def _advance(self, until_ns: float) -> None:
        """Let time pass; what the cloud does on the way happens at its own instant."""
        while True:
            change_ns, now_ns = self._cloud.next_change_ns(), self._clock.now_ns()
            until_next_ns = min(until_ns, max(self._watch_ns, now_ns))
            next_ns = int(until_next_ns if change_ns is None else min(until_next_ns, max(change_ns, now_ns)))
            if self._giving_back:
                next_ns = min(next_ns, now_ns + _DRAINED_WITHIN_NS)
            self._engine.run_until(next_ns)
            self._clock.advance_s((next_ns - now_ns) / 1e9)
            self._see()
            self._give_back()
            self._watch()
            self._keep_to_budget()
            if next_ns >= until_ns:
                return

    def _observe(self) -> None:
        now_ns = self._clock.now_ns()
        self._fleet.observe(now_ns, self._engine.arrived)
        self._see()
        if self._is_written:  # it is not cheap
            functions = self._params.functions is not None
            self._fleet.account(now_ns, tally_of(self._engine, self._cloud, functions=functions))
        for instance in self._fleet.drain_now(now_ns):
            if instance in self._workers:
                self._engine.worker_drain(self._workers[instance])

    def _see(self) -> None:
        news = self._fleet.see(self._cloud.take_changed(), self._clock.now_ns())
        for change in news.changes:
            self._moved(change)
        for launch in news.launches:
            self._launch(launch)

    def _moved(self, change: FleetChange) -> None:
        after = change.instance
        if change.is_ready and after.id not in self._fleet.draining:
            self._workers_ever += 1
            worker = self._workers[after.id] = self._workers_ever
            self._offerings[after.id] = after.offering
            self._engine.worker_up(
                worker, self._params.specs[after.offering], credits=self._params.credits.get(after.offering)
            )
        if change.is_lost:
            self._drop_worker(after.id)

    def _tick(self) -> None:
        offerings = {worker: self._offerings[instance] for instance, worker in self._workers.items()}
        corrections = corrections_of(self._engine.statistics().workers, offerings)
        self._fleet.priced(self._cloud.offerings())
        self._tell_spent()
        self._keep_to_budget()
        decision = self._fleet.tick(self._clock.now_ns(), corrections)
        self.history.decided(decision)
        for action in decision.actions:
            if isinstance(action, Launch):
                self._launch(action)
            else:
                self._retire(action.instance)
        self._keep_to_budget()

    def _tell_spent(self) -> None:
        """Tell what this day has cost so far."""
        spending, now_ns = self._params.spending, self._clock.now_ns()
        if spending is not None:
            at = (now_ns, self._engine.functions_usd)
            self._functions_meter.read(_MODEL.signature.name, SERVERLESS, "function", at)
            bill = self._cloud.bill() + self._functions_meter.bill()
            spending.spent_today(now_ns, bill.of_day(now_ns).usd)

    def _keep_to_budget(self) -> None:
        """Set request path and functions the limits that follow from what was spent."""
        engine, now_ns = self._engine, self._clock.now_ns()
        if self._params.spending is None:
            return
        rows_lowest = engine.statistics().submitted_rows_lowest
        spent = Spent(engine.functions_usd, engine.bursts_usd, engine.arrived, rows_lowest)
        limits = self._fleet.limits(now_ns, spent)
        if limits is not None:
            engine.limit_bursts(limits.functions_usd_per_hour)
            engine.shed(limits.shed_share)

    def _watch(self) -> None:
        now_ns, watch_s = self._clock.now_ns(), self._params.watch_s
        if watch_s is None or now_ns < self._watch_ns:
            return
        self._watch_ns = now_ns + round(watch_s * 1e9)
        self._fleet.observe(now_ns, self._engine.arrived)
        decision = self._fleet.watch(now_ns, attained(self._engine))
        for action in () if decision is None else decision.actions:
            if isinstance(action, Launch):
                self._launch(action)

    def _launch(self, action: Launch) -> None:
        try:
            self._fleet.launched(self._cloud.launch(action.offering, _MODEL, action.token))
        except CloudError as error:
            self._fleet.refused(action.offering, self._clock.now_ns(), error)

    def _retire(self, instance: InstanceId) -> None:
        self._fleet.retired(instance)
        if instance in self._workers:
            self._engine.worker_drain(self._workers[instance])
        self._giving_back.append(instance)
        self._give_back()

    def _give_back(self) -> None:
        """Return those that are being drained and have nothing left to do."""
        waiting = []
        for instance in self._giving_back:
            worker = self._workers.get(instance)
            if worker is not None and self._engine.worker_busy(worker):
                waiting.append(instance)
                continue
            self._drop_worker(instance)
            self._cloud.terminate(instance)
        self._giving_back = waiting

    def _drop_worker(self, instance: InstanceId) -> None:
        worker = self._workers.pop(instance, None)
        if worker is None:
            return
        self._bill_surplus(instance, worker)
        self._engine.worker_down(worker)

    def _bill_surplus(self, instance: InstanceId, worker: int) -> None:
        """Bill what an unlimited burstable used without credits since it was billed for that last."""
        usd_per_s = self._params.surplus_usd_per_s.get(self._offerings[instance], 0.0)
        if usd_per_s > 0:
            surplus_s = self._engine.surplus_s(worker)
            self._cloud.charge(instance, (surplus_s - self._surplus_s.get(instance, 0.0)) * usd_per_s)
            self._surplus_s[instance] = surplus_s

    def _note(self) -> None:
        for instance, worker in self._workers.items():
            self._bill_surplus(instance, worker)
        usd = {market.value: self._cloud.usd(market) for market in Market}
        usd["serverless"] = self._engine.functions_usd
        instances = self._fleet.snapshot(self._clock.now_ns()).instances
        fleet = Counter(each.offering for each in instances if each.id in self._workers)
        answered = int(self._engine.latency_buckets.sum()), self._engine.latency_sum_ns
        self.history.note(usd, fleet, answered)
