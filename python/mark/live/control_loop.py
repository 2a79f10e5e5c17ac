"""Drives one model's controller: watches the cloud, ticks on time, and carries its actions out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mark._core import WorkerSpec
from mark.controlplane.controller import Controller, Snapshot
from mark.domain.artifact import ModelArtifact
from mark.domain.fleet import Instance, InstanceId, InstanceState
from mark.domain.plan import Decision, Launch
from mark.errors import CloudError, InsufficientCapacity, ModelLoadError, QuotaExceeded
from mark.live.dispatch_loop import DispatchLoop
from mark.live.worker_link import WorkerLink
from mark.ports import Clock, Cloud, Recorder

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
        unavailable_s: an offering that was refused, or whose instance died while it booted, is left alone this long;
            twice as long after each further failure, up to ten times.
    """

    step_s: float
    observe_s: float
    unavailable_s: float = 30.0


class ControlLoop:
    """The control path of one model, live.

    Thread safety: belongs to one event loop; calls to the cloud and ticks of the controller run on threads, one at a
    time, and are awaited.

    Invariants:
        - an instance is linked to the dispatch loop from when it is seen ready until it is seen gone or was drained;
        - an instance that is being drained is never planned with again.
    """

    def __init__(
        self,
        artifact: ModelArtifact,
        controller: Controller,
        cloud: Cloud,
        dispatch: DispatchLoop,
        specs: Mapping[str, WorkerSpec],
        worker_ids: Callable[[], int],
    ) -> None:
        self._artifact = artifact
        self._model = artifact.signature.name
        self._controller = controller
        self._cloud = cloud
        self._dispatch = dispatch
        self._specs = specs
        self._worker_ids = worker_ids
        self._instances: dict[InstanceId, Instance] = {}
        self._linked: dict[InstanceId, int] = {}
        self._draining: set[InstanceId] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: dict[str, int] = {}
        self._changed = asyncio.Event()
        self._ever_ready = False

    @property
    def capacities(self) -> Mapping[str, float]:
        """Rows per second that one instance of each offering serves under the SLO."""
        return self._controller.capacities

    @property
    def instances(self) -> list[Instance]:
        """Every instance ever rented for this model, as last seen."""
        return list(self._instances.values())

    @property
    def draining(self) -> frozenset[InstanceId]:
        """Instances that take no more batches and are about to be given back."""
        return frozenset(self._draining)

    async def run(self, clock: Clock, recorder: Recorder, params: ControlLoopParams) -> None:
        """Observe and tick until cancelled.

        Raises:
            ModelLoadError: the first instance ended before it ever answered; its own words are in the message.
        """
        next_tick_ns, changes = clock.now_ns(), 0
        try:
            while True:
                await self._observe(clock, params)
                if clock.now_ns() >= next_tick_ns:
                    await self._tick(clock, recorder, params)
                    next_tick_ns += round(params.step_s * 1e9)
                wait_s = min(params.observe_s, max(0.0, (next_tick_ns - clock.now_ns()) / 1e9))
                changes = await asyncio.to_thread(self._cloud.wait_for_change, changes, wait_s)
        finally:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _observe(self, clock: Clock, params: ControlLoopParams) -> None:
        self._controller.observe(clock.now_ns(), self._dispatch.statistics().submitted_rows)
        await self._end_hung()
        try:
            seen = await asyncio.to_thread(self._cloud.list_instances)
        except CloudError as error:
            _log.warning("%s: the cloud does not say what runs, so what was seen last holds: %s", self._model, error)
            return
        for instance in seen:
            if instance.model != self._model:
                continue
            before = self._instances.get(instance.id)
            self._instances[instance.id] = instance
            if before is None or before.state is not instance.state:
                await self._moved(before, instance, clock, params)

    async def _moved(self, before: Instance | None, after: Instance, clock: Clock, params: ControlLoopParams) -> None:
        if after.state is InstanceState.READY and after.address is not None:
            self._ever_ready = True
            self._failures.pop(after.offering, None)
            worker = self._linked[after.id] = self._worker_ids()
            signature = self._artifact.signature
            link = WorkerLink(after.address, signature.name, signature.version)
            self._dispatch.add_worker(worker, link, self._specs[after.offering])
        elif after.state is InstanceState.GONE and after.id not in self._draining:
            booted = before is not None and before.state is InstanceState.READY
            if not booted and not self._ever_ready:
                raise ModelLoadError(f"model {self._model} does not start on offering {after.offering}: {after.detail}")
            _log.warning("%s: instance %s (%s) is gone: %s", self._model, after.id, after.offering, after.detail)
            worker_or_none = self._linked.pop(after.id, None)
            if worker_or_none is not None:
                await self._dispatch.remove_worker(worker_or_none)
            if not booted:
                self._refused(after.offering, clock, params)

    async def _end_hung(self) -> None:
        """Give instances back whose worker takes batches and does not answer; the next tick replaces them."""
        hung = self._dispatch.hung_workers
        for instance, worker in [pair for pair in self._linked.items() if pair[1] in hung]:
            _log.warning("%s: instance %s does not answer its batches; giving it back", self._model, instance)
            self._linked.pop(instance)
            await self._dispatch.remove_worker(worker)
            self._retire(instance)

    async def _tick(self, clock: Clock, recorder: Recorder, params: ControlLoopParams) -> None:
        alive = [instance for instance in self._instances.values() if instance.state is not InstanceState.GONE]
        snapshot = Snapshot(
            now_ns=clock.now_ns(),
            instances=tuple(instance for instance in alive if instance.id not in self._draining),
            draining=tuple(instance for instance in alive if instance.id in self._draining),
        )
        # A plan takes milliseconds, without the interpreter's lock: requests need not wait for it.
        decision = await asyncio.to_thread(self._controller.tick, snapshot)
        recorder.record(decision, self._model)
        await self._apply(decision, clock, params)

    async def _apply(self, decision: Decision, clock: Clock, params: ControlLoopParams) -> None:
        for action in decision.actions:
            if isinstance(action, Launch):
                await self._launch(action, clock, params)
            else:
                self._retire(action.instance)

    async def _launch(self, action: Launch, clock: Clock, params: ControlLoopParams) -> None:
        try:
            launched = await asyncio.to_thread(self._cloud.launch, action.offering, self._artifact, action.token)
        except (InsufficientCapacity, QuotaExceeded) as error:
            _log.warning("%s: no %s to be had: %s", self._model, action.offering, error)
            self._refused(action.offering, clock, params)
        except CloudError as error:
            _log.error("%s: launching %s failed: %s", self._model, action.offering, error)
            self._refused(action.offering, clock, params)
        else:
            self._instances.setdefault(launched.id, launched)

    def _refused(self, offering: str, clock: Clock, params: ControlLoopParams) -> None:
        failures = self._failures[offering] = self._failures.get(offering, 0) + 1
        pause_s = params.unavailable_s * min(10, 2 ** (failures - 1))
        self._controller.offering_unavailable(offering, clock.now_ns() + round(pause_s * 1e9))

    def _retire(self, instance: InstanceId) -> None:
        self._draining.add(instance)
        task = asyncio.get_running_loop().create_task(self._give_back(instance))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _give_back(self, instance: InstanceId) -> None:
        worker = self._linked.pop(instance, None)
        if worker is not None:
            await self._dispatch.drain_worker(worker)
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
