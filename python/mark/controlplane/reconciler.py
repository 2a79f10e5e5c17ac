"""From what the load needs and what there is to what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mark.domain.fleet import Instance, InstanceId, InstanceState
from mark.domain.plan import Action, Launch, Retire
from mark.policies.provisioning import Proposal, Purchase

__all__ = ["Reconciler"]


class Reconciler:
    """Turns proposals into actions: launches at once, retires after a cool-down and only behind a safe fleet.

    An instance is retired when no proposal asked for it for `cooldown_s`, and never so that fewer than `min_instances`
    remain. Launches come first, and a ready instance stays while the ready ones without it would not serve the present
    load or would be fewer than `min_instances`: make before break. A launch may fail and a boot may take long, so
    neither stands in for an instance that answers.

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
        launches = self.launches(proposal.purchases)
        kept = {keep.instance for keep in proposal.keeps}
        self._unneeded_since = {
            instance.id: self._unneeded_since.get(instance.id, now_ns)
            for instance in instances
            if instance.id not in kept
        }
        return (*launches, *self._retire(instances, now_ns, load_per_s, capacities))

    def launches(self, purchases: Sequence[Purchase]) -> tuple[Launch, ...]:
        """Launches with tokens of their own."""
        self._decisions += 1
        return tuple(
            Launch(
                purchase.offering,
                token=f"{self._cluster}/{self._model}/{self._decisions}/{ordinal}",
                reason=purchase.reason,
            )
            for ordinal, purchase in enumerate(purchases)
        )

    def overdue(self, now_ns: int) -> list[InstanceId]:
        """Those that no proposal has asked for longer than the cool-down, and that stay all the same; longest first."""
        overdue = [item for item in self._unneeded_since.items() if now_ns - item[1] >= self._cooldown_ns]
        return [identity for identity, _ in sorted(overdue, key=lambda item: item[1])]

    def _retire(
        self, instances: Sequence[Instance], now_ns: int, load_per_s: float, capacities: Mapping[str, float]
    ) -> list[Retire]:
        staying = {instance.id: instance for instance in instances}
        ready = {instance.id for instance in instances if instance.state is InstanceState.READY}
        ready_per_s = sum(capacities.get(instance.offering, 0.0) for instance in instances if instance.id in ready)
        retired = []
        for identity, since_ns in sorted(self._unneeded_since.items(), key=lambda item: item[1]):
            is_ready = identity in ready
            if now_ns - since_ns < self._cooldown_ns or len(ready if is_ready else staying) <= self._min_instances:
                continue
            capacity_per_s = capacities.get(staying[identity].offering, 0.0) if is_ready else 0.0
            if is_ready and ready_per_s - capacity_per_s < load_per_s:
                continue
            del staying[identity]
            ready.discard(identity)
            ready_per_s -= capacity_per_s
            unneeded_s = (now_ns - since_ns) / 1e9
            retired.append(Retire(identity, reason=f"not needed for {unneeded_s:.0f} s"))
        return retired
