"""Controllers to compare with: they know neither forecast nor price."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

from mark.controlplane.snapshot import Snapshot
from mark.domain.fleet import Instance
from mark.domain.forecast import Forecast
from mark.domain.offering import Offering
from mark.domain.plan import Action, Decision, Launch, Retire
from mark.policies.target_tracking import TargetTracking

__all__ = ["CountController", "CountPolicy", "FixedCounts", "TrackedCount"]


class CountPolicy(Protocol):
    """Says how many instances of each offering there should be."""

    def counts(self, load_per_s: float) -> Mapping[str, int]:
        """By offering, after a step with this mean load."""
        ...


class FixedCounts:
    """The same fleet for ever. Implements `CountPolicy`."""

    def __init__(self, fleet: Mapping[str, int]) -> None:
        self._fleet = dict(fleet)

    def counts(self, load_per_s: float) -> Mapping[str, int]:  # noqa: ARG002 - the load is none of its business
        """The fleet."""
        return self._fleet


class TrackedCount:
    """One offering whose count follows a target. Implements `CountPolicy`."""

    def __init__(self, offering: str, tracking: TargetTracking) -> None:
        self._offering = offering
        self._tracking = tracking

    def counts(self, load_per_s: float) -> Mapping[str, int]:
        """The count that the target asks for."""
        return {self._offering: self._tracking.desired(load_per_s)}


class CountController:
    """Rents and returns instances until there are as many as a policy says: newest go first.

    Thread safety: none.
    """

    def __init__(self, policy: CountPolicy, capacities: Mapping[str, float], step_s: float) -> None:
        self._policy = policy
        self._capacities = dict(capacities)
        self._step_s = step_s
        self._seen: tuple[int, int] = (0, 0)  # the time and the counter of rows of the last observation
        self._ticked: tuple[int, int] | None = None  # those of the last tick
        self._ticks = 0

    @property
    def capacities(self) -> Mapping[str, float]:
        """Rows per second that one instance of each offering serves under the SLO."""
        return self._capacities

    def observe(self, now_ns: int, submitted_rows: int) -> None:
        """Take note of the offered load: rows submitted in all until now, refused ones included."""
        self._seen = (now_ns, submitted_rows)

    def correct(self, offering: str, factor: float) -> None:
        """Nothing is done about it: the counts are what they are compared for."""

    def priced(self, offerings: Sequence[Offering]) -> None:
        """Its fleet does not hang on prices."""

    def offering_unavailable(self, offering: str, until_ns: int) -> None:
        """It tries again at every tick all the same."""

    def bridge(self, snapshot: Snapshot) -> Decision | None:  # noqa: ARG002 - it rents nothing that is taken away
        """Nothing: the next tick replaces what is gone."""
        return None

    def watch(self, snapshot: Snapshot, ended: int, in_time: int) -> Decision | None:  # noqa: ARG002 - nor hurries
        """Nothing: it looks at the load alone."""
        return None

    def tick(self, snapshot: Snapshot) -> Decision:
        """Decide what to launch and what to retire now."""
        load_per_s = self._mean_load_per_s()
        wanted = self._policy.counts(load_per_s)
        self._ticks += 1
        actions = (*self._launches(wanted, snapshot.instances), *_retirements(wanted, snapshot.instances))
        words = ", ".join(f"{count} {name}" for name, count in wanted.items())
        return Decision(
            at_ns=snapshot.now_ns,
            actions=actions,
            forecast=Forecast(self._step_s, (load_per_s,), "last minute"),
            load_per_s=load_per_s,
            capacity_per_s=sum(self._capacities.get(name, 0.0) * count for name, count in wanted.items()),
            reason=f"load {load_per_s:.0f} rows/s: {words}",
        )

    def _mean_load_per_s(self) -> float:
        now_ns, rows = self._seen
        then_ns, then_rows = self._ticked or (0, 0)
        self._ticked = self._seen
        return (rows - then_rows) / ((now_ns - then_ns) / 1e9) if now_ns > then_ns else 0.0

    def _launches(self, wanted: Mapping[str, int], instances: Sequence[Instance]) -> list[Action]:
        alive = Counter(instance.offering for instance in instances)
        return [
            Launch(name, token=f"baseline/{self._ticks}/{name}/{ordinal}", reason=f"{count} are wanted")
            for name, count in wanted.items()
            for ordinal in range(count - alive[name])
        ]


def _retirements(wanted: Mapping[str, int], instances: Sequence[Instance]) -> list[Action]:
    kept: Counter[str] = Counter()
    retired: list[Action] = []
    for instance in sorted(instances, key=lambda each: (each.launched_at_ns, each.id)):
        kept[instance.offering] += 1
        if kept[instance.offering] > wanted.get(instance.offering, 0):
            retired.append(Retire(instance.id, f"{wanted.get(instance.offering, 0)} are wanted"))
    return retired
