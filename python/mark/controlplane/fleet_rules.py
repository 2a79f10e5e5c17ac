"""What a control loop does about what it sees of its fleet; shared by the live loop and the simulated one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mark.controlplane.chronicle import Chronicle, Entry, Scene
from mark.controlplane.fleet_events import FleetEvents
from mark.controlplane.fleet_view import FleetChange, FleetView
from mark.controlplane.snapshot import Snapshot
from mark.controlplane.spending import Spending
from mark.controlplane.tallies import Tallies, Tally
from mark.domain.budget import SpendingLimits, Spent
from mark.domain.fleet import Instance, InstanceId
from mark.domain.offering import Offering
from mark.domain.plan import Decision, Launch
from mark.domain.record import RecordKind
from mark.errors import CloudError

__all__ = ["FleetController", "FleetNews", "FleetRuleParams", "FleetRules"]


_QUIET_S_MIN = 5.0


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

    def bridge(self, snapshot: Snapshot) -> Decision | None:
        """What to launch at once because the cloud will take instances away; None for nothing."""
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
        quiet_s: refusals of requests are one burst as long as no more than this lies between them.
    """

    drain_lead_s: float
    unavailable_s: float = 30.0
    quiet_s: float = 5.0

    @classmethod
    def for_loop(cls, rt_max_ms: float, observe_s: float, unavailable_s: float = 30.0) -> FleetRuleParams:
        """Of a loop that looks once in `observe_s`: what a drained instance has is answered before it goes."""
        return cls(
            drain_lead_s=rt_max_ms / 1e3 + 2 * observe_s,
            unavailable_s=unavailable_s,
            quiet_s=max(_QUIET_S_MIN, 2 * observe_s),
        )


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
        self,
        model: str,
        controller: FleetController,
        params: FleetRuleParams,
        chronicle: Chronicle | None = None,
        spending: Spending | None = None,
    ) -> None:
        """Make the rules of one model; what happens is written down in the chronicle, if there is one.

        With a budget, `spending` is what the controller keeps to, too.
        """
        self._controller = controller
        self._spending = spending
        self._offerings: dict[str, Offering] = {}  # at their prices of now
        self._chronicle = chronicle or Chronicle((model, ""))
        self._events = FleetEvents(self._chronicle)
        self._tallies = Tallies(self._chronicle, params.quiet_s)
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
    def spending(self) -> Spending | None:
        """What is kept to; None without a budget."""
        return self._spending

    @property
    def ever_ready(self) -> bool:
        """Whether any instance was ever ready."""
        return self._view.ever_ready

    def snapshot(self, now_ns: int) -> Snapshot:
        """What the controller looks at."""
        return self._view.snapshot(now_ns)

    def begin(self, now_ns: int, details: Mapping[str, Any]) -> None:
        """The model is served from now on; `details` say what it is and on what."""
        self._chronicle.write(Entry(RecordKind.START, "the model is served", details=details), self._scene(now_ns))

    def end(self, now_ns: int) -> None:
        """The model is not served any more."""
        scene = self._scene(now_ns)
        self._tallies.end(scene)
        entry = Entry(RecordKind.STOP, "the model is not served any more", details=self._tallies.details())
        self._chronicle.write(entry, scene)

    def observe(self, now_ns: int, submitted_rows: int) -> None:
        """Take note of the offered load: rows submitted in all until now, refused ones included."""
        self._controller.observe(now_ns, submitted_rows)
        self._tallies.observe(now_ns, submitted_rows)

    def account(self, now_ns: int, tally: Tally) -> None:
        """Take note of what became of the requests until now, and what it cost."""
        self._tallies.look(tally, self._scene(now_ns))

    def see(self, instances: Iterable[Instance], now_ns: int, *, leads: bool = True) -> FleetNews:
        """Take note of instances as the cloud sees them now.

        Standbys are launched as soon as the cloud says that it will take something away: the next plan, which replaces
        it for good, may be far off. Where another router `leads`, that is for it to do.
        """
        changes = self._view.see(instances)
        for change in changes:
            self._take_note(change, now_ns)
        noticed = [change.instance for change in changes if change.is_noticed]
        decision = self._bridge(noticed, now_ns, leads=leads) if noticed else None
        launches = () if decision is None else decision.actions
        return FleetNews(tuple(changes), tuple(each for each in launches if isinstance(each, Launch)))

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
        scene = self._scene(now_ns)
        decision = self._controller.tick(scene.snapshot)
        self._note_stage(scene)
        self._events.planned(decision, scene, self._tallies.details())
        self._tallies.planned_for(decision.forecast, scene)
        return decision

    def limits(self, now_ns: int, spent: Spent) -> SpendingLimits | None:
        """What request path and functions are to keep to from now on; None without a budget, and before the first tick.

        Tell it what was spent before each tick, and ask again after each launch.
        """
        if self._spending is None or not self._offerings:
            return None
        self._spending.see(now_ns, spent)
        alive = self._view.snapshot(now_ns).alive
        return self._spending.limits(alive, self._offerings, self.capacities)

    def priced(self, offerings: Sequence[Offering]) -> None:
        """Plan at the prices that the cloud's offerings have now; tell it before each tick."""
        self._controller.priced(offerings)
        self._offerings = {offering.name: offering for offering in offerings}
        self._chronicle.priced(offerings)

    def watch(self, now_ns: int, attained: tuple[int, int]) -> Decision | None:
        """What to launch at once because the last requests broke the promise; None for nothing.

        Args:
            now_ns: the time.
            attained: requests that ended until now and that more capacity could have answered, and how many of them
                were answered in time.
        """
        scene = self._scene(now_ns)
        decision = self._controller.watch(scene.snapshot, *attained)
        if decision is not None:
            self._events.added(decision, scene)
        return decision

    def launched(self, instance: Instance) -> None:
        """An instance was rented."""
        self._view.launched(instance)
        self._events.launched(instance)

    def retired(self, instance: InstanceId) -> None:
        """An instance is being given back: it is never planned with again."""
        self._view.drain(instance)

    def refused(self, offering: str, now_ns: int, why: CloudError | None = None) -> None:
        """An offering was not to be had, for the reason that the cloud gave: it is left alone for a while.

        However many of it were wanted at that instant, that is one failure.
        """
        if self._refused_at_ns.get(offering) == now_ns:
            return
        self._refused_at_ns[offering] = now_ns
        until_ns = now_ns + round(self._view.refused(offering, self._params.unavailable_s) * 1e9)
        self._controller.offering_unavailable(offering, until_ns)
        self._events.refused(offering, why, until_ns, self._scene(now_ns))

    def _bridge(self, noticed: Sequence[Instance], now_ns: int, *, leads: bool) -> Decision | None:
        scene = self._scene(now_ns)
        self._events.noticed(noticed, scene)
        decision = self._controller.bridge(scene.snapshot) if leads else None
        if decision is not None:
            self._events.bridged(decision, scene)
        return decision

    def _scene(self, now_ns: int) -> Scene:
        return Scene(self._view.snapshot(now_ns), self.capacities)

    def _note_stage(self, scene: Scene) -> None:
        change = None if self._spending is None else self._spending.take_change()
        if change is None:
            return
        details = {
            "before": change.before.name.lower(),
            "after": change.after.name.lower(),
            "needed_usd_per_hour": change.needed_usd_per_hour,
            "allowed_usd_per_hour": change.allowed_usd_per_hour,
        }
        self._chronicle.write(Entry(RecordKind.BUDGET, change.reason, details=details), scene)

    def _take_note(self, change: FleetChange, now_ns: int) -> None:
        after = change.instance
        if change.is_noticed and after.taken_at_ns is not None:
            lead_ns = min(round(self._params.drain_lead_s * 1e9), (after.taken_at_ns - now_ns) // 2)
            self._drain_at_ns[after.id] = after.taken_at_ns - lead_ns
        if after.ended_at_ns is not None:
            self._drain_at_ns.pop(after.id, None)
            self._let_go.discard(after.id)
            self._events.ended(change, self._scene(now_ns))
        if change.failed_to_boot:
            pause_s = self._view.died_booting(after.offering, self._params.unavailable_s)
            until_ns = now_ns + round(pause_s * 1e9)
            self._controller.offering_unavailable(after.offering, until_ns)
            self._events.left_alone(after.offering, until_ns)
