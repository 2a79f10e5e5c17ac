"""Drives one model's controller: watches the cloud, ticks on time, and carries its actions out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from mark._core import Distribution, LatencyHistogram, WorkerSpec
from mark.controlplane.corrections import corrections_of
from mark.controlplane.fleet_rules import FleetRules
from mark.controlplane.fleet_view import FleetChange
from mark.controlplane.spending import Spending
from mark.domain.artifact import ModelArtifact
from mark.domain.fleet import Instance, InstanceId
from mark.domain.plan import Decision, Launch, Retire
from mark.errors import CloudError, InsufficientCapacity, ModelLoadError, QuotaExceeded
from mark.live.launching import launch_all
from mark.live.request_path import RequestPath, WorkerAddress
from mark.live.tally import tally_of
from mark.ports import Clock, Cloud, Led, SecuresLinks

__all__ = ["ControlLoop", "ControlLoopParams"]

_log = logging.getLogger(__name__)

_GIVE_BACK_AGAIN_S = 1.0
_GIVE_BACK_AGAIN_MAX_S = 30.0


@dataclass(frozen=True, slots=True)
class ControlLoopParams:
    """Rhythm of the loop.

    Attributes:
        step_s: the planner runs once in this time.
        observe_s: the load is sampled, and the cloud looked at, at least once in this time.
    """

    step_s: float
    observe_s: float


class ControlLoop:
    """The control path of one model, live.

    Thread safety: belongs to one event loop; calls to the cloud and ticks of the controller run on threads, one at a
    time, and are awaited.

    Invariants:
        - an instance is linked to the dispatch loop from when it is seen ready until it is seen gone or was drained;
        - an instance that is being drained, or that the cloud will take away, is never planned with again.
    """

    def __init__(
        self,
        artifact: ModelArtifact,
        fleet: FleetRules,
        cloud: Cloud,
        dispatch: RequestPath,
        specs: Mapping[str, WorkerSpec],
        worker_ids: Callable[[], int],
    ) -> None:
        """Make the loop of one model, which is linked to workers under the numbers that `worker_ids` gives."""
        self._artifact = artifact
        self._model = artifact.signature.name
        self._cloud = cloud
        self._tls = cloud.link_tls if isinstance(cloud, SecuresLinks) else None
        self._leads = cloud.leads if isinstance(cloud, Led) else lambda: True
        self._dispatch = dispatch
        self._specs = specs
        self._worker_ids = worker_ids
        self._fleet = fleet
        self._linked: dict[InstanceId, int] = {}
        self._instances_usd = 0.0
        self._bought: set[InstanceId] = set()  # before any was ready
        self._tasks: set[asyncio.Task[None]] = set()
        self._planning = LatencyHistogram()

    @property
    def capacities(self) -> Mapping[str, float]:
        """Rows per second that one instance of each offering serves under the SLO."""
        return self._fleet.capacities

    @property
    def instances(self) -> list[Instance]:
        """Every instance ever rented for this model, as last seen."""
        return self._fleet.instances

    @property
    def draining(self) -> frozenset[InstanceId]:
        """Instances that take no more batches: about to be given back, or to be taken away."""
        return self._fleet.draining

    @property
    def planning_s(self) -> Distribution:
        """How long plans took, forecast included, in seconds."""
        return self._planning.distribution_s()

    @property
    def spending(self) -> Spending | None:
        """What the fleet is kept to; None without a budget."""
        return self._fleet.spending

    async def run(
        self, clock: Clock, params: ControlLoopParams, served: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        """Observe until cancelled, and tick while this router leads.

        Args:
            clock: the time.
            params: rhythm.
            served: what the decision log is to say of the model and what it is served on.

        Raises:
            CloudError: another router has taken the lead over.
            ModelLoadError: the first instance ended before it ever answered; its own words are in the message. One that
                ran already does not count: another router may have known it well.
        """
        next_tick_ns, changes = clock.now_ns(), 0
        self._fleet.begin(next_tick_ns, served)
        try:
            while True:
                leads = self._leads()
                await self._observe(clock, leads)
                if leads:
                    await self._watch(clock)
                    if clock.now_ns() >= next_tick_ns:
                        await self._tick(clock)
                        next_tick_ns += round(params.step_s * 1e9)
                else:
                    next_tick_ns = clock.now_ns() + round(params.observe_s * 1e9)
                wait_s = min(params.observe_s, max(0.0, (next_tick_ns - clock.now_ns()) / 1e9))
                changes = await asyncio.to_thread(self._cloud.wait_for_change, changes, wait_s)
        finally:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._reckon(clock)
            self._fleet.end(clock.now_ns())

    async def _observe(self, clock: Clock, leads: bool) -> None:
        self._fleet.observe(clock.now_ns(), self._dispatch.statistics().submitted_rows)
        await self._end_hung()
        for instance in self._fleet.drain_now(clock.now_ns()):
            self._start(self._drain(instance))
        try:
            seen = await asyncio.to_thread(self._cloud.list_instances)
        except CloudError as error:
            _log.warning("%s: the cloud does not say what runs, so what was seen last holds: %s", self._model, error)
            return
        news = self._fleet.see(seen, clock.now_ns(), leads=leads)
        self._account(clock.now_ns())
        for change in news.changes:
            await self._moved(change, clock)
        for launch in news.launches:
            _log.info("%s: launch %s at once: %s", self._model, launch.offering, launch.reason)
        await self._launch(news.launches, clock)
        self._keep_to_budget(clock)

    def _keep_to_budget(self, clock: Clock) -> None:
        """Set request path and functions the limits that follow from what was spent; nothing without a budget."""
        if self._fleet.spending is None:
            return
        limits = self._fleet.limits(clock.now_ns(), self._dispatch.spent())
        if limits is not None:
            self._dispatch.keep_to(limits)

    def _account(self, now_ns: int) -> None:
        self._fleet.account(now_ns, tally_of(self._dispatch, self._instances_usd))

    async def _reckon(self, clock: Clock) -> None:
        """Account with the dollars of now: once for each plan, for a bill takes a while."""
        bill = await asyncio.to_thread(self._cloud.bill)
        self._instances_usd = bill.of_model(self._model).usd
        self._account(clock.now_ns())

    async def _moved(self, change: FleetChange, clock: Clock) -> None:
        after = change.instance
        if change.is_ready and after.address is not None and after.id not in self._fleet.draining:
            worker = self._linked[after.id] = self._worker_ids()
            signature = self._artifact.signature
            at = WorkerAddress(after.address, signature.name, signature.version, self._tls)
            self._dispatch.connect_worker(worker, at, self._specs[after.offering])
        if change.is_noticed and after.taken_at_ns is not None:
            left_s = (after.taken_at_ns - clock.now_ns()) / 1e9
            _log.warning("%s: the cloud takes instance %s away in %.1f s", self._model, after.id, left_s)
        if change.is_lost:
            if change.failed_to_boot and not self._fleet.ever_ready and after.id in self._bought:
                raise ModelLoadError(f"model {self._model} does not start on offering {after.offering}: {after.detail}")
            _log.warning("%s: instance %s (%s) is gone: %s", self._model, after.id, after.offering, after.detail)
            worker_or_none = self._linked.pop(after.id, None)
            if worker_or_none is not None:
                await self._dispatch.remove_worker(worker_or_none)

    async def _end_hung(self) -> None:
        """Give instances back whose worker takes batches and does not answer; the next tick replaces them."""
        hung = self._dispatch.hung_workers
        for instance, worker in [pair for pair in self._linked.items() if pair[1] in hung]:
            _log.warning("%s: instance %s does not answer its batches; giving it back", self._model, instance)
            self._linked.pop(instance)
            await self._dispatch.remove_worker(worker)
            self._retire(instance)

    async def _watch(self, clock: Clock) -> None:
        decision = self._fleet.watch(clock.now_ns(), self._dispatch.attained())
        if decision is not None:
            if not decision.actions:
                _log.warning("%s: %s", self._model, decision.reason)
            await self._apply(decision, clock)

    async def _tick(self, clock: Clock) -> None:
        self._fleet.priced(self._cloud.offerings())
        self._keep_to_budget(clock)
        await self._reckon(clock)
        # A plan takes milliseconds, without the interpreter's lock: requests need not wait for it.
        began_ns = clock.now_ns()
        decision = await asyncio.to_thread(self._fleet.tick, began_ns, self._corrections())
        self._planning.record(clock.now_ns() - began_ns)
        await self._apply(decision, clock)

    def _corrections(self) -> dict[str, float]:
        offerings = {instance.id: instance.offering for instance in self._fleet.instances}
        linked = {worker: offerings[instance] for instance, worker in self._linked.items()}
        return corrections_of(self._dispatch.statistics().workers, linked)

    async def _apply(self, decision: Decision, clock: Clock) -> None:
        # Launches come first in every decision.
        await self._launch([action for action in decision.actions if isinstance(action, Launch)], clock)
        for action in decision.actions:
            if isinstance(action, Retire):
                self._retire(action.instance)
        self._keep_to_budget(clock)

    async def _launch(self, launches: Sequence[Launch], clock: Clock) -> None:
        if not launches:
            return
        refused: dict[str, CloudError] = {}
        for launch, outcome in await asyncio.to_thread(launch_all, self._cloud, self._artifact, launches):
            if isinstance(outcome, CloudError):
                refused.setdefault(launch.offering, outcome)
            else:
                self._fleet.launched(outcome)
                if not self._fleet.ever_ready:
                    self._bought.add(outcome.id)
        for offering, error in refused.items():
            if isinstance(error, (InsufficientCapacity, QuotaExceeded)):
                _log.warning("%s: no %s to be had: %s", self._model, offering, error)
            else:
                _log.error("%s: launching %s failed: %s", self._model, offering, error)
            self._fleet.refused(offering, clock.now_ns(), error)

    def _retire(self, instance: InstanceId) -> None:
        self._fleet.retired(instance)
        self._start(self._give_back(instance))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drain(self, instance: InstanceId) -> None:
        worker = self._linked.pop(instance, None)
        if worker is not None:
            await self._dispatch.drain_worker(worker)

    async def _give_back(self, instance: InstanceId) -> None:
        await self._drain(instance)
        pause_s = _GIVE_BACK_AGAIN_S
        while not await self._terminate(instance):
            await asyncio.sleep(pause_s)
            pause_s = min(_GIVE_BACK_AGAIN_MAX_S, 2 * pause_s)

    async def _terminate(self, instance: InstanceId) -> bool:
        try:
            await asyncio.to_thread(self._cloud.terminate, instance)
        except CloudError as error:
            # It is billed until it is gone: never give up.
            _log.error("%s: instance %s is not given back yet: %s", self._model, instance, error)
            return False
        return True
