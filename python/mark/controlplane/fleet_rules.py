"""What a control loop does about what it sees of its fleet; shared by the live loop and the simulated one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mark.controlplane.chronicle import Chronicle
from mark.controlplane.controller import Snapshot
from mark.controlplane.fleet_view import FleetChange, FleetView
from mark.domain.fleet import Instance, InstanceId
from mark.domain.offering import Offering
from mark.domain.plan import Decision, Launch
from mark.domain.record import RecordKind

__all__ = ["FleetController", "FleetNews", "FleetRuleParams", "FleetRules"]


class FleetController(Protocol):
    """Sizes the fleet of one model: `mark.controlplane.Controller`, or one to compare with."""

    @property
    def capacities(self) -> Mapping[str, float]:
        """Rows per second that one instance of each offering serves under the SLO."""
        ...

    def observe(self, now_ns: int, submitted_rows: int) -> None:
        """Take note of the offered load."""
        ...

    def correct(self, offering: str, factor: float) -> None:
        """Reckon with a capacity of an offering that is divided by `factor`."""
        ...

    def priced(self, offerings: Sequence[Offering]) -> None:
        """Plan at the prices of these offerings."""
        ...

    def offering_unavailable(self, offering: str, until_ns: int) -> None:
        """Plan without an offering until then."""
        ...

    def tick(self, snapshot: Snapshot) -> Decision:
        """Decide what to launch and what to retire now."""
        ...

    def bridge(self, snapshot: Snapshot) -> tuple[Launch, ...]:
        """What to launch at once because the cloud will take instances away."""
        ...

    def watch(self, snapshot: Snapshot, ended: int, in_time: int) -> Decision | None:
        """What to launch at once because the last requests broke the promise; None for nothing."""
        ...


@dataclass(frozen=True, slots=True)
class FleetRuleParams:
    """When to let go.

    Attributes:
        drain_lead_s: an instance that the cloud takes away gets no more batches this long before; at most half of the
            notice, so that a short one is still used.
        unavailable_s: an offering that was refused, or whose instances die while they boot, is left alone this long;
            longer after each further failure (`FleetView.refused`, `FleetView.died_booting`).
    """

    drain_lead_s: float
    unavailable_s: float = 30.0

    @classmethod
    def for_loop(cls, rt_max_ms: float, observe_s: float, unavailable_s: float = 30.0) -> FleetRuleParams:
        """Of a loop that looks once in `observe_s`: what a drained instance has is answered before it goes."""
        return cls(drain_lead_s=rt_max_ms / 1e3 + 2 * observe_s, unavailable_s=unavailable_s)


@dataclass(frozen=True, slots=True)
class FleetNews:
    """What moved on, and what to launch at once because of it."""

    changes: tuple[FleetChange, ...]
    launches: tuple[Launch, ...]


class FleetRules:
    """Between a cloud's list of instances and a controller: what is news, what is bridged, drained and left alone.

    Knows no clock, cloud or thread; the loop that owns it carries out what it says.

    Thread safety: none.

    Invariant: `_drain_at_ns` and `_let_go` together hold exactly the instances that live and that the cloud will take
    away: those that still serve, and those that are drained.
    """

    def __init__(
        self, model: str, controller: FleetController, params: FleetRuleParams, chronicle: Chronicle | None = None
    ) -> None:
        """Make the rules of one model; what happens is written down in the chronicle, if there is one."""
        self._controller = controller
        self._chronicle = chronicle
        self._params = params
        self._view = FleetView(model)
        self._drain_at_ns: dict[InstanceId, int] = {}
        self._let_go: set[InstanceId] = set()
        self._refused_at_ns: dict[str, int] = {}

    @property
    def capacities(self) -> Mapping[str, float]:
        """Rows per second that one instance of each offering serves under the SLO."""
        return self._controller.capacities

    @property
    def instances(self) -> list[Instance]:
        """Every instance ever rented for the model, as last seen."""
        return self._view.instances

    @property
    def draining(self) -> frozenset[InstanceId]:
        """Instances that take no more batches: about to be given back, or to be taken away."""
        return self._view.draining | self._let_go

    @property
    def ever_ready(self) -> bool:
        """Whether any instance was ever ready."""
        return self._view.ever_ready

    def snapshot(self, now_ns: int) -> Snapshot:
        """What the controller looks at."""
        return self._view.snapshot(now_ns)

    def observe(self, now_ns: int, submitted_rows: int) -> None:
        """Take note of the offered load: rows submitted in all until now, refused ones included."""
        self._controller.observe(now_ns, submitted_rows)

    def see(self, instances: Iterable[Instance], now_ns: int) -> FleetNews:
        """Take note of instances as the cloud sees them now.

        Standbys are launched as soon as the cloud says that it will take something away: the next plan, which replaces
        it for good, may be far off.
        """
        changes = self._view.see(instances)
        for change in changes:
            self._take_note(change, now_ns)
        noticed = any(change.is_noticed for change in changes)
        return FleetNews(tuple(changes), self._controller.bridge(self._view.snapshot(now_ns)) if noticed else ())

    def drain_now(self, now_ns: int) -> list[InstanceId]:
        """Instances to send nothing more to, for the cloud takes them away soon; each is named once."""
        due = [instance for instance, at_ns in self._drain_at_ns.items() if at_ns <= now_ns]
        for instance in due:
            del self._drain_at_ns[instance]
        self._let_go.update(due)
        return due

    def tick(self, now_ns: int, corrections: Mapping[str, float]) -> Decision:
        """What to launch and what to retire now.

        Args:
            now_ns: the time.
            corrections: by how much the capacity of each offering is to be divided, as far as its instances tell.
        """
        for offering, factor in corrections.items():
            self._controller.correct(offering, factor)
        seen = self._view.snapshot(now_ns)
        decision = self._controller.tick(seen)
        if self._chronicle is not None:
            self._chronicle.decided(RecordKind.PLAN, decision, seen, self.capacities)
        return decision

    def priced(self, offerings: Sequence[Offering]) -> None:
        """Plan at the prices that the cloud's offerings have now; tell it before each tick."""
        self._controller.priced(offerings)
        if self._chronicle is not None:
            self._chronicle.priced(offerings)

    def watch(self, now_ns: int, attained: tuple[int, int]) -> Decision | None:
        """What to launch at once because the last requests broke the promise; None for nothing.

        Args:
            now_ns: the time.
            attained: requests that ended until now and that more capacity could have answered, and how many of them
                were answered in time.
        """
        seen = self._view.snapshot(now_ns)
        decision = self._controller.watch(seen, *attained)
        if decision is not None and self._chronicle is not None:
            self._chronicle.decided(RecordKind.ADDITION, decision, seen, self.capacities)
        return decision

    def launched(self, instance: Instance) -> None:
        """An instance was rented."""
        self._view.launched(instance)

    def retired(self, instance: InstanceId) -> None:
        """An instance is being given back: it is never planned with again."""
        self._view.drain(instance)

    def refused(self, offering: str, now_ns: int) -> None:
        """An offering was not to be had: it is left alone for a while.

        However many of it were wanted at that instant, that is one failure.
        """
        if self._refused_at_ns.get(offering) == now_ns:
            return
        self._refused_at_ns[offering] = now_ns
        pause_s = self._view.refused(offering, self._params.unavailable_s)
        self._controller.offering_unavailable(offering, now_ns + round(pause_s * 1e9))

    def _take_note(self, change: FleetChange, now_ns: int) -> None:
        after = change.instance
        if change.is_noticed and after.taken_at_ns is not None:
            lead_ns = min(round(self._params.drain_lead_s * 1e9), (after.taken_at_ns - now_ns) // 2)
            self._drain_at_ns[after.id] = after.taken_at_ns - lead_ns
        if after.ended_at_ns is not None:
            self._drain_at_ns.pop(after.id, None)
            self._let_go.discard(after.id)
        if change.failed_to_boot:
            pause_s = self._view.died_booting(after.offering, self._params.unavailable_s)
            self._controller.offering_unavailable(after.offering, now_ns + round(pause_s * 1e9))
