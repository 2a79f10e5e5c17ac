"""From what the load needs and what there is to what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mark.domain.fleet import Instance, InstanceId, InstanceState
from mark.domain.plan import Action, Launch, Retire
from mark.policies.provisioning import Proposal

__all__ = ["Reconciler"]


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What keeps an instance from being retired in this tick."""

    min_instances: int
    load_per_s: float
    capacities: Mapping[str, float]


class Reconciler:
    """Turns proposals into actions: launches at once, retires after a cool-down and only behind a safe fleet.

    An instance is retired when no proposal asked for it for `cooldown_s`. Launches come first, and a ready instance
    stays while the ready ones without it would not serve the present load: make before break.

    Thread safety: none.

    Invariant: `_unneeded_since` holds exactly the instances that the last proposal left out.
    """

    def __init__(self, cluster: str, model: str, cooldown_s: float, min_instances: int) -> None:
        self._cluster = cluster
        self._model = model
        self._cooldown_ns = round(cooldown_s * 1e9)
        self._min_instances = min_instances
        self._unneeded_since: dict[InstanceId, int] = {}
        self._decisions = 0

    def reconcile(
        self,
        proposal: Proposal,
        instances: Sequence[Instance],
        now_ns: int,
        load_per_s: float,
        capacities: Mapping[str, float],
    ) -> tuple[Action, ...]:
        """Decide what to do now.

        Args:
            proposal: what the load needs.
            instances: those that run or boot, and are not being drained.
            now_ns: the time.
            load_per_s: rows per second that are offered now.
            capacities: rows per second of one instance, by offering.
        """
        self._decisions += 1
        launches: list[Action] = [
            Launch(
                purchase.offering,
                token=f"{self._cluster}/{self._model}/{self._decisions}/{ordinal}",
                reason=purchase.reason,
            )
            for ordinal, purchase in enumerate(proposal.purchases)
        ]
        kept = {keep.instance for keep in proposal.keeps}
        self._unneeded_since = {
            instance.id: self._unneeded_since.get(instance.id, now_ns)
            for instance in instances
            if instance.id not in kept
        }
        bounds = _Bounds(max(0, self._min_instances - len(launches)), load_per_s, capacities)
        return (*launches, *self._retire(instances, now_ns, bounds))

    def _retire(self, instances: Sequence[Instance], now_ns: int, bounds: _Bounds) -> list[Retire]:
        staying = {instance.id: instance for instance in instances}
        ready_per_s = sum(
            bounds.capacities.get(instance.offering, 0.0)
            for instance in instances
            if instance.state is InstanceState.READY
        )
        retired = []
        for identity, since_ns in sorted(self._unneeded_since.items(), key=lambda item: item[1]):
            instance = staying[identity]
            capacity_per_s = bounds.capacities.get(instance.offering, 0.0)
            is_ready = instance.state is InstanceState.READY
            if now_ns - since_ns < self._cooldown_ns or len(staying) <= bounds.min_instances:
                continue
            if is_ready and ready_per_s - capacity_per_s < bounds.load_per_s:
                continue
            del staying[identity]
            ready_per_s -= capacity_per_s if is_ready else 0.0
            unneeded_s = (now_ns - since_ns) / 1e9
            retired.append(Retire(identity, reason=f"not needed for {unneeded_s:.0f} s"))
        return retired
