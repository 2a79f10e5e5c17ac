"""What the cluster's instances are, made of what was launched and of what EC2 lists. Passive.

EC2 is eventually consistent: a machine that was just launched may not be listed yet, and one that was just started may
be listed as stopped. For `_UNLISTED_S` what this router did itself counts more than what EC2 lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from mark.cloud.aws import tags
from mark.cloud.aws.machines import Machine
from mark.domain.fleet import TAKEN_AWAY, Instance, InstanceId, InstanceState

__all__ = ["FleetState", "Seen"]

_UNLISTED_S = 60.0
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at EC2's list brought.

    Attributes:
        changed: some instance moved on, or is new.
        adopted: instances that another router had launched.
        orphans: machines that belong to the cluster, that nobody here knows and that no configuration asks for; or that
            were given back, and run all the same.
    """

    changed: bool
    adopted: tuple[Instance, ...]
    orphans: tuple[str, ...]


@dataclass(slots=True)
class _Known:
    instance: Instance
    machine: str
    known_ns: int  # since when this router knows of it
    listed_ns: int  # when EC2 listed it last as one that runs, or since when it is known
    starts: bool = False  # EC2 may still list it as stopped
    address: str = ""


class FleetState:
    """Instances by id, oldest first, from their launch until long after their end.

    Thread safety: none.

    Invariants:
        - an instance's state only moves forward, and one that is gone never changes again;
        - a machine is at most one instance that is not gone.
    """

    def __init__(
        self, adoptable: Callable[[Machine], bool], clock_ns: Callable[[float], int], orphan_after_s: float
    ) -> None:
        """Know nothing yet.

        Args:
            adoptable: whether the configuration has the offering and the model of a machine.
            clock_ns: seconds since the epoch -> the router's clock.
            orphan_after_s: a machine that is not adoptable is left alone for so long after its launch.
        """
        self._adoptable = adoptable
        self._clock_ns = clock_ns
        self._orphan_after_ns = round(orphan_after_s * _NS)
        self._known: dict[InstanceId, _Known] = {}
        self._alive: dict[str, InstanceId] = {}  # machine -> its instance
        self._tokens: dict[str, InstanceId] = {}

    @property
    def instances(self) -> tuple[Instance, ...]:
        """All of them, the gone ones included."""
        return tuple(sorted((each.instance for each in self._known.values()), key=lambda each: each.launched_at_ns))

    @property
    def alive(self) -> list[Instance]:
        """Those that are not gone."""
        return [self._known[each].instance for each in self._alive.values()]

    @property
    def moves(self) -> bool:
        """Whether some instance boots."""
        return any(each.state is InstanceState.PENDING for each in self.alive)

    def of_token(self, token: str) -> Instance | None:
        """What a token has bought."""
        found = self._tokens.get(token)
        return None if found is None else self._known[found].instance

    def of_machine(self, machine: str) -> Instance | None:
        """The instance that a machine is now."""
        found = self._alive.get(machine)
        return None if found is None else self._known[found].instance

    def machine_of(self, instance: InstanceId) -> str | None:
        """The machine of an instance that is not gone."""
        known = self._known.get(instance)
        return None if known is None or known.instance.state is InstanceState.GONE else known.machine

    def booting(self) -> dict[InstanceId, str]:
        """Those that run and do not answer yet, and where they will."""
        found = [self._known[each] for each in self._alive.values()]
        return {
            each.instance.id: each.address
            for each in found
            if each.address and each.instance.state is InstanceState.PENDING
        }

    def launched(self, machine: str, offering: str, model: str, token: str, now_ns: int) -> Instance:
        """A machine was bought for a token."""
        identity = InstanceId(machine)
        if identity not in self._known:
            self._add(
                Instance(identity, offering, model, InstanceState.PENDING, self._whole_s(now_ns)), machine, now_ns
            )
        self._tokens[token] = identity
        return self._known[identity].instance

    def rented(self, machine: str, offering: str, model: str, token: str, now_ns: int) -> Instance:
        """A standby was started for a token: a new instance on a machine that was others before."""
        number = now_ns // _NS
        while (identity := InstanceId(f"{machine}@{number}")) in self._known:
            number += 1
        self._add(Instance(identity, offering, model, InstanceState.PENDING, self._whole_s(now_ns)), machine, now_ns)
        self._known[identity].starts = True
        self._tokens[token] = identity
        return self._known[identity].instance

    def priced(self, instance: InstanceId, usd_per_hour: float) -> Instance:
        """It is billed at a price of its own."""
        known = self._known[instance]
        known.instance = replace(known.instance, price_usd_per_hour=usd_per_hour)
        return known.instance

    def ready(self, instance: InstanceId, address: str, now_ns: int) -> bool:
        """Its worker answers; whether that is news."""
        known = self._known.get(instance)
        if known is None or known.instance.state is not InstanceState.PENDING:
            return False
        known.instance = replace(known.instance, state=InstanceState.READY, ready_at_ns=now_ns, address=address)
        return True

    def noticed(self, machine: str, taken_at_ns: int) -> Instance | None:
        """EC2 will take a machine away; the instance, if that is news."""
        instance = self.of_machine(machine)
        if instance is None or (instance.taken_at_ns is not None and instance.taken_at_ns <= taken_at_ns):
            return None
        known = self._known[instance.id]
        known.instance = replace(instance, taken_at_ns=taken_at_ns)
        return known.instance

    def end(self, instance: InstanceId, detail: str, now_ns: int) -> bool:
        """It is gone; whether that is news. EC2's own times are whole seconds."""
        known = self._known.get(instance)
        if known is None or known.instance.state is InstanceState.GONE:
            return False
        before = known.instance
        ended_ns = max(before.launched_at_ns, now_ns)
        if before.taken_at_ns is not None and detail == TAKEN_AWAY and 0 < before.taken_at_ns - ended_ns < _NS:
            ended_ns = before.taken_at_ns
        known.instance = replace(before, state=InstanceState.GONE, ended_at_ns=ended_ns, detail=detail)
        del self._alive[known.machine]
        return True

    def given_back(self, instance: InstanceId, detail: str, now_ns: int) -> bool:
        """This router has given it back; whether that is news."""
        return self.end(instance, detail, self._whole_s(now_ns))

    def late(self, boot_s: Mapping[str, float], now_ns: int) -> list[Instance]:
        """Those that should have answered long ago. `boot_s`: offering -> how long it may take at most.

        Counted from when this router knew of them: one that is adopted may have served for days, and is asked first.
        """
        return [
            each
            for each in self.alive
            if each.state is InstanceState.PENDING
            and now_ns - self._known[each.id].known_ns > boot_s.get(each.offering, 0.0) * _NS
        ]

    def see(self, machines: Iterable[Machine], now_ns: int) -> Seen:
        """Take note of everything that EC2 lists of the cluster."""
        listed = {each.id: each for each in machines}
        changed = [self._look(identity, listed.get(machine), now_ns) for machine, identity in list(self._alive.items())]
        adopted, orphans = [], []
        for machine in listed.values():
            if machine.is_ended or machine.is_standby:
                continue
            known = self._known.get(InstanceId(machine.id))
            if known is not None:
                if self._outlives(known.instance, now_ns):
                    orphans.append(machine.id)
                continue
            if self._adoptable(machine) and machine.is_up:
                adopted.append(self._adopt(machine, now_ns))
            elif now_ns - self._clock_ns(machine.launched_at_s) >= self._orphan_after_ns:
                orphans.append(machine.id)
        return Seen(any(changed) or bool(adopted), tuple(adopted), tuple(orphans))

    @staticmethod
    def _outlives(instance: Instance, now_ns: int) -> bool:
        """Whether a machine that is listed should be gone by now: EC2 may not have known it when it was terminated."""
        return instance.ended_at_ns is not None and now_ns - instance.ended_at_ns > _UNLISTED_S * _NS

    def _adopt(self, machine: Machine, now_ns: int) -> Instance:
        launched_ns = self._clock_ns(machine.launched_at_s)
        instance = Instance(InstanceId(machine.id), machine.offering, machine.model, InstanceState.PENDING, launched_ns)
        self._add(instance, machine.id, now_ns)
        self._known[instance.id].address = machine.address if machine.state == "running" else ""
        self._tokens.setdefault(machine.tags.get(tags.DECISION, machine.id), instance.id)
        return instance

    def _look(self, identity: InstanceId, machine: Machine | None, now_ns: int) -> bool:
        known = self._known[identity]
        is_fresh = now_ns - known.listed_ns < _UNLISTED_S * _NS
        if machine is None:
            return False if is_fresh else self.end(identity, "EC2 no longer lists it", now_ns)
        if machine.is_up:
            known.listed_ns, known.starts = now_ns, False
            known.address = machine.address if machine.state == "running" else ""
            if known.instance.state is InstanceState.PENDING and not machine.is_standby:
                known.instance = replace(known.instance, launched_at_ns=self._clock_ns(machine.launched_at_s))
            return False
        if known.starts and is_fresh and not machine.is_ended:
            return False
        ended_ns = now_ns if machine.changed_at_s is None else self._clock_ns(machine.changed_at_s)
        return self.end(identity, machine.detail, ended_ns)

    def _add(self, instance: Instance, machine: str, now_ns: int) -> None:
        self._known[instance.id] = _Known(instance, machine, known_ns=now_ns, listed_ns=now_ns)
        self._alive[machine] = instance.id

    def _whole_s(self, now_ns: int) -> int:
        """The last whole second of EC2's clock, as its own times are whole ones."""
        return now_ns - (now_ns - self._clock_ns(0.0)) % _NS
