"""What a control loop knows of the instances of its model: those that it saw, drains, and could not get."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mark.controlplane.snapshot import Snapshot
from mark.domain.fleet import TAKEN_AWAY, Instance, InstanceId, InstanceState

__all__ = ["FleetChange", "FleetView"]

_PAUSES_MAX = 10


@dataclass(frozen=True, slots=True)
class FleetChange:
    """An instance that moved on.

    Attributes:
        before: as it was seen last; None when it is new.
        instance: as it is now.
        wanted: nobody drains it: when it is gone, that is news.
    """

    before: Instance | None
    instance: Instance
    wanted: bool

    @property
    def booted(self) -> bool:
        """It had been ready before."""
        return self.before is not None and self.before.state is InstanceState.READY

    @property
    def is_ready(self) -> bool:
        """It serves from now on."""
        return self.instance.state is InstanceState.READY and not self.booted

    @property
    def is_lost(self) -> bool:
        """It is gone, and nobody asked for it."""
        return self.instance.state is InstanceState.GONE and self.wanted

    @property
    def failed_to_boot(self) -> bool:
        """It is lost and was never ready, and not because the cloud took it away: its offering is to be left alone."""
        # Of an adopted instance the notice may have gone to the router before.
        taken = self.instance.taken_at_ns is not None or self.instance.detail == TAKEN_AWAY
        return self.is_lost and not self.booted and not taken

    @property
    def is_noticed(self) -> bool:
        """It lives, and the cloud has said that it will take it away."""
        noticed_before = self.before is not None and self.before.taken_at_ns is not None
        return self.instance.taken_at_ns is not None and not noticed_before and self.instance.ended_at_ns is None


class FleetView:
    """Turns what a cloud lists into news, and news into what the controller looks at.

    Shared by the live control loop and the simulator's. Knows no clock, cloud or thread.

    Thread safety: none.

    Invariant: `_alive` holds exactly the instances that were last seen pending or ready.
    """

    def __init__(self, model: str) -> None:
        """Make a view of the instances of one model; others' are none of its business."""
        self._model = model
        self._instances: dict[InstanceId, Instance] = {}
        self._alive: dict[InstanceId, Instance] = {}
        self._draining: set[InstanceId] = set()
        self._failures: dict[str, int] = {}
        self._ever_ready = False

    @property
    def instances(self) -> list[Instance]:
        """Every instance ever rented for the model, as last seen."""
        return list(self._instances.values())

    @property
    def draining(self) -> frozenset[InstanceId]:
        """Instances that take no more batches and are about to be given back."""
        return frozenset(self._draining)

    @property
    def ever_ready(self) -> bool:
        """Whether any instance was ever ready."""
        return self._ever_ready

    def see(self, instances: Iterable[Instance]) -> list[FleetChange]:
        """Take note of instances as the cloud sees them now: those that moved on, or are about to be taken."""
        changes = []
        for instance in instances:
            before = self._instances.get(instance.id)
            if instance.model != self._model or instance == before:
                continue
            self._keep(instance)
            same = before is not None and before.state is instance.state and before.taken_at_ns == instance.taken_at_ns
            if not same:
                changes.append(FleetChange(before, instance, wanted=instance.id not in self._draining))
        return changes

    def launched(self, instance: Instance) -> None:
        """Take note of an instance that was just rented; whether it is news is for `see` to say.

        A token that bought before is answered with that instance, which may have moved on: `see` tells of it.
        """
        if instance.state is InstanceState.PENDING and instance.id not in self._instances:
            self._keep(instance)

    def drain(self, instance: InstanceId) -> None:
        """It is never planned with again."""
        self._draining.add(instance)

    def refused(self, offering: str, pause_s: float) -> float:
        """The offering was not to be had: how long to leave it alone.

        `pause_s`, twice as long after each further failure, up to ten times; from the beginning once one was ready.
        """
        return self._pause_s(offering, pause_s, forgiven=0)

    def died_booting(self, offering: str, pause_s: float) -> float:
        """An instance of the offering died while it booted: how long to leave it alone.

        Not at all the first time since one was ready: that may be the machine's fault, and there may be no other
        offering. From the second on as `refused`.
        """
        return self._pause_s(offering, pause_s, forgiven=1)

    def snapshot(self, now_ns: int) -> Snapshot:
        """What the controller looks at."""
        staying: list[Instance] = []
        leaving: list[Instance] = []
        for instance in self._alive.values():
            leaves = instance.id in self._draining or instance.taken_at_ns is not None
            (leaving if leaves else staying).append(instance)
        return Snapshot(now_ns, tuple(staying), tuple(leaving))

    def _pause_s(self, offering: str, pause_s: float, forgiven: int) -> float:
        self._failures[offering] = self._failures.get(offering, 0) + 1
        failures = self._failures[offering] - forgiven
        return pause_s * min(_PAUSES_MAX, 1 << min(failures - 1, 8)) if failures > 0 else 0.0

    def _keep(self, instance: Instance) -> None:
        self._instances[instance.id] = instance
        if instance.state is InstanceState.GONE:
            self._alive.pop(instance.id, None)
            return
        self._alive[instance.id] = instance
        if instance.state is InstanceState.READY:
            self._ever_ready = True
            self._failures.pop(instance.offering, None)
