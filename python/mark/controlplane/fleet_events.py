"""What happens to a fleet, written down as it happens, and what of it belongs to one interruption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mark.controlplane.chronicle import Chronicle, Entry, Scene
from mark.controlplane.fleet_view import FleetChange
from mark.domain.cost import instance_cost_usd
from mark.domain.fleet import TAKEN_AWAY, Instance, InstanceId
from mark.domain.offering import Market
from mark.domain.plan import Decision, Launch, Retire
from mark.domain.record import RecordKind
from mark.errors import CloudError
from mark.policies.alternatives import HURRY_HORIZON_S

__all__ = ["FleetEvents"]

_SETTLED_WITHIN_S = 900.0  # a load that never rests is not the interruption's doing


class FleetEvents:
    """Turns notices, losses, refusals and decisions into records. Knows no clock, cloud or thread.

    From a notice until what it takes is gone and a plan has nothing left to do, a quarter of an hour at most, all that
    is launched, refused or lost carries the id of that interruption under `details.interruption`; so does the
    retirement of what stood in.

    Thread safety: none.

    Invariant: `_leaving` and `_standing_in` hold instances that live; `_standing_in` those launched by bridges.
    """

    def __init__(self, chronicle: Chronicle) -> None:
        self._chronicle = chronicle
        self._interruption: str | None = None  # the last one's record, while the fleet is not settled again
        self._settled_by_ns = 0
        self._leaving: set[InstanceId] = set()
        self._bridging: set[str] = set()  # offerings of the last bridge
        self._standing_in: dict[InstanceId, str] = {}  # and the interruption that they stand in for

    def noticed(self, instances: Sequence[Instance], scene: Scene) -> None:
        """The cloud gave notice that it takes instances away."""
        now_ns = scene.snapshot.now_ns
        staying = [each for each in scene.snapshot.instances if self._is_spot(each)]
        left_s = {each.id: ((each.taken_at_ns or now_ns) - now_ns) / 1e9 for each in instances}
        lost_per_s = sum(scene.capacities.get(each.offering, 0.0) for each in instances)
        usd_per_hour = sum(self._chronicle.usd_per_hour(each) for each in instances)
        reason = (
            f"the cloud takes {len(instances)} of {len(instances) + len(staying)} spot instances away "
            f"in {min(left_s.values()):.1f} s: {', '.join(left_s)}; they serve {lost_per_s:.0f} rows/s "
            f"for ${usd_per_hour:.4f} an hour"
        )
        details = {
            "instances": [
                {"id": each.id, "offering": each.offering, "notice_s": round(left_s[each.id], 3)} for each in instances
            ],
            "share": len(instances) / (len(instances) + len(staying)),
            "lost_per_s": round(lost_per_s, 3),
            "lost_usd_per_hour": usd_per_hour,
        }
        self._interruption = self._chronicle.write(Entry(RecordKind.INTERRUPTION, reason, details=details), scene)
        self._leaving.update(left_s)
        self._settled_by_ns = now_ns + round((max(left_s.values()) + _SETTLED_WITHIN_S) * 1e9)

    def bridged(self, decision: Decision, scene: Scene) -> None:
        """Something was launched at once for it, or nothing had to be."""
        self._bridging = {action.offering for action in decision.actions if isinstance(action, Launch)}
        self._decided(RecordKind.BRIDGE, decision, scene, {"horizon_s": HURRY_HORIZON_S})

    def added(self, decision: Decision, scene: Scene) -> None:
        """Something was added at once, for the promise was being broken."""
        self._decided(RecordKind.ADDITION, decision, scene, {"horizon_s": HURRY_HORIZON_S})

    def planned(self, decision: Decision, scene: Scene, details: Mapping[str, Any]) -> None:
        """The controller planned for a step."""
        horizon_s = decision.forecast.step_s * len(decision.forecast.rates_per_s)
        self._decided(RecordKind.PLAN, decision, scene, {"horizon_s": horizon_s, **details})
        settled = not decision.actions or scene.snapshot.now_ns >= self._settled_by_ns
        if settled and not self._leaving:
            self._interruption = None

    def launched(self, instance: Instance) -> None:
        """An instance was rented."""
        if self._interruption is not None and instance.offering in self._bridging:
            self._standing_in.setdefault(instance.id, self._interruption)

    def ended(self, change: FleetChange, scene: Scene) -> None:
        """An instance is gone; a loss if nobody asked for that."""
        instance, offerings = change.instance, self._chronicle.offerings
        if change.is_lost:
            offering = offerings.get(instance.offering)
            now_ns = scene.snapshot.now_ns
            details = {
                "instance": instance.id,
                "offering": instance.offering,
                "detail": instance.detail,
                "ready": change.booted,
                "taken": instance.taken_at_ns is not None or instance.detail == TAKEN_AWAY,
                "lived_s": round(((instance.ended_at_ns or now_ns) - instance.launched_at_ns) / 1e9, 3),
                "usd": 0.0 if offering is None else instance_cost_usd(instance, offering, now_ns),
            }
            reason = f"instance {instance.id} ({instance.offering}) is gone: {instance.detail or 'nobody says why'}"
            link = self._link(instance.id in self._leaving)
            self._chronicle.write(Entry(RecordKind.LOSS, reason, details=details | link), scene)
        self._leaving.discard(instance.id)
        self._standing_in.pop(instance.id, None)

    def refused(self, offering: str, why: CloudError | None, until_ns: int, scene: Scene) -> None:
        """The cloud did not sell an offering; it is left alone until then."""
        self.left_alone(offering, until_ns)
        pause_s = (until_ns - scene.snapshot.now_ns) / 1e9
        reason = f"no {offering} to be had: {why or 'the cloud refused it'}; left alone for {pause_s:.0f} s"
        kind, words = ("", "") if why is None else (type(why).__name__, str(why))
        details = {"offering": offering, "error": kind, "words": words, "pause_s": round(pause_s, 3)}
        details |= self._link(during=True)
        self._chronicle.write(Entry(RecordKind.REFUSAL, reason, details=details), scene)

    def left_alone(self, offering: str, until_ns: int) -> None:
        """An offering is not tried again until then."""
        self._chronicle.left_alone(offering, until_ns)

    def _decided(self, kind: RecordKind, decision: Decision, scene: Scene, details: Mapping[str, Any]) -> None:
        retired = [action.instance for action in decision.actions if isinstance(action, Retire)]
        stood_in = next((self._standing_in[each] for each in retired if each in self._standing_in), None)
        link = self._link(bool(decision.actions) or kind is RecordKind.BRIDGE)
        if not link and stood_in is not None:
            link = {"interruption": stood_in}
        self._chronicle.decided(kind, decision, scene, {**details, **link})

    def _link(self, during: bool) -> dict[str, str]:
        return {"interruption": self._interruption} if during and self._interruption is not None else {}

    def _is_spot(self, instance: Instance) -> bool:
        offering = self._chronicle.offerings.get(instance.offering)
        return offering is not None and offering.market is Market.SPOT
