"""A cloud in memory, with faults on request."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from mark.domain.artifact import ModelArtifact
from mark.domain.bill import Bill, instance_lines
from mark.domain.fleet import TAKEN_AWAY, Instance, InstanceId, InstanceState
from mark.domain.offering import Market, Offering
from mark.errors import CloudError, InsufficientCapacity, QuotaExceeded
from mark.ports import Clock

__all__ = ["FakeCloud"]

_NOTICE_S = 120.0


class FakeCloud:
    """Implements `mark.ports.Cloud` in virtual time: an instance is ready `boot_s` after its launch.

    Thread safety: none.
    """

    def __init__(self, offerings: Sequence[Offering], clock: Clock) -> None:
        self._offerings = {offering.name: offering for offering in offerings}
        self._clock = clock
        self._instances: dict[InstanceId, Instance] = {}
        self._tokens: dict[str, InstanceId] = {}
        self._numbers = itertools.count(1)
        self._changes = 0
        self._closed = False
        self._faults: dict[str, list[CloudError]] = {}
        self._sold_out_until_ns: dict[str, int] = {}
        self.launched_tokens: list[str] = []

    def fail_next_launch(self, offering: str, error: CloudError | None = None, times: int = 1) -> None:
        """Make the next launches of an offering raise: InsufficientCapacity unless told otherwise."""
        fault = InsufficientCapacity(f"offering {offering}: sold out") if error is None else error
        self._faults.setdefault(offering, []).extend([fault] * times)

    def sell_out(self, offering: str, until_ns: int) -> None:
        """Make every launch of an offering raise InsufficientCapacity until that time."""
        self._sold_out_until_ns[offering] = until_ns

    def crash(self, instance: InstanceId, detail: str = "killed by SIGKILL") -> None:
        """Let an instance end by itself, as a crash or a spot interruption does."""
        self._end(instance, detail)

    def give_notice(self, instance: InstanceId, notice_s: float) -> None:
        """Say that an instance will be taken away: it ends when the notice is over."""
        taken_at_ns = self._clock.now_ns() + round(notice_s * 1e9)
        self._instances[instance] = replace(self._seen(instance), taken_at_ns=taken_at_ns)
        self._changes += 1

    def interrupt_spot(self, share: float, model: str = "", notice_s: float | None = None) -> Sequence[Instance]:
        """Give notice to a share of the spot instances; see `mark.ports.Interruptible`."""
        spot = [
            each
            for each in self.list_instances()
            if each.state is not InstanceState.GONE
            and each.taken_at_ns is None
            and model in {"", each.model}
            and self._offerings[each.offering].market is Market.SPOT
        ]
        hit = spot[: math.ceil(share * len(spot) - 1e-9)]
        for instance in hit:
            self.give_notice(instance.id, _NOTICE_S if notice_s is None else notice_s)
        return [self._instances[instance.id] for instance in hit]

    def offerings(self) -> Sequence[Offering]:
        """What can be rented."""
        return tuple(self._offerings.values())

    def open(self) -> None:
        """Nothing to do."""

    def launch(self, offering: str, artifact: ModelArtifact, token: str) -> Instance:
        """Rent an instance; see `mark.ports.Cloud.launch`."""
        self.launched_tokens.append(token)
        if token in self._tokens:
            return self._seen(self._tokens[token])
        if self._closed:
            raise CloudError("the cloud is closed")
        if offering not in self._offerings:
            raise CloudError(f"no offering {offering!r}; there are {', '.join(self._offerings)}")
        if self._faults.get(offering):
            raise self._faults[offering].pop(0)
        if self._clock.now_ns() < self._sold_out_until_ns.get(offering, self._clock.now_ns()):
            raise InsufficientCapacity(f"offering {offering}: sold out")
        alive = Counter(known.offering for known in self.list_instances() if known.state is not InstanceState.GONE)
        if alive[offering] >= self._offerings[offering].max_count:
            raise QuotaExceeded(f"offering {offering}: max_count {self._offerings[offering].max_count} is reached")
        identity = InstanceId(f"{offering}-{next(self._numbers)}")
        self._tokens[token] = identity
        self._instances[identity] = Instance(
            id=identity,
            offering=offering,
            model=artifact.signature.name,
            state=InstanceState.PENDING,
            launched_at_ns=self._clock.now_ns(),
        )
        self._changes += 1
        return self._instances[identity]

    def prepare(self, artifact: ModelArtifact) -> None:
        """Nothing to do: instances boot in `boot_s` all the same."""

    def terminate(self, instance: InstanceId) -> None:
        """Give an instance back; see `mark.ports.Cloud.terminate`."""
        if instance in self._instances:
            self._end(instance, "terminated")

    def list_instances(self) -> Sequence[Instance]:
        """Every instance ever rented, oldest first."""
        return tuple(self._seen(identity) for identity in self._instances)

    def bill(self) -> Bill:
        """What every instance has cost so far, by hours of the clock."""
        return Bill.of(instance_lines(self.list_instances(), self._offerings, self._clock.now_ns(), epoch_ns=0))

    def spent_usd(self) -> float:
        """What every instance has cost so far."""
        return self.bill().usd

    def wait_for_change(self, since: int, timeout_s: float) -> int:  # noqa: ARG002 - virtual time does not block
        """The number of changes so far, at once."""
        for identity in self._instances:
            self._seen(identity)  # those that booted since the last look have changed
        return self._changes

    def close(self, grace_s: float | None = None) -> None:  # noqa: ARG002 - nothing takes time to end
        """Give everything back."""
        for identity in self._instances:
            self._end(identity, "terminated")
        self._closed = True

    def _seen(self, identity: InstanceId) -> Instance:
        instance = self._instances[identity]
        ready_at_ns = instance.launched_at_ns + round(self._offerings[instance.offering].boot_s * 1e9)
        if instance.state is InstanceState.PENDING and self._clock.now_ns() >= ready_at_ns:
            instance = self._instances[identity] = replace(
                instance, state=InstanceState.READY, ready_at_ns=ready_at_ns, address=f"fake:{identity}"
            )
            self._changes += 1
        taken_at_ns = instance.taken_at_ns
        if taken_at_ns is not None and taken_at_ns <= self._clock.now_ns() and instance.state is not InstanceState.GONE:
            instance = self._gone(instance, TAKEN_AWAY, taken_at_ns)
        return instance

    def _end(self, identity: InstanceId, detail: str) -> None:
        instance = self._seen(identity)
        if instance.state is not InstanceState.GONE:
            self._gone(instance, detail, self._clock.now_ns())

    def _gone(self, instance: Instance, detail: str, at_ns: int) -> Instance:
        gone = replace(instance, state=InstanceState.GONE, ended_at_ns=at_ns, detail=detail)
        self._instances[instance.id] = gone
        self._changes += 1
        return gone
