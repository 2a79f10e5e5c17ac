"""Which burstables are created, charged with credits, stopped, started and let go. Passive.

A T3, T3a or T4g earns credits while it runs, by its baseline, and keeps them for seven days while it is stopped. A T2
loses them when it is stopped and gets launch credits at each start, so that there is nothing to wait for. (Amazon EC2
User Guide, "Key concepts and definitions for burstable performance instances" and "Standard mode".)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from mark.cloud.aws.machines import Machine
from mark.cloud.aws.pools import Pool
from mark.cloud.aws.settings import AwsOffering
from mark.cloud.aws.standby import Key, Phase, Standby, StandbySteps

__all__ = ["Standbys"]

_UNLISTED_S = 60.0
_CREDITS_LAST_S = 7 * 86_400.0
_NS = 1_000_000_000


class Standbys:
    """Every standby of the cluster.

    Thread safety: none.

    Invariant: one is stopped only after its worker has answered once, and has the credits that its offering promises.
    """

    def __init__(
        self, offerings: Mapping[str, AwsOffering], clock_ns: Callable[[float], int], boot_max_s: float, pause_s: float
    ) -> None:
        """Know none yet.

        Args:
            offerings: by name.
            clock_ns: seconds since the epoch -> the router's clock.
            boot_max_s: one that has not loaded so long after its offering's `boot_s` is given up.
            pause_s: no other is created for so long then, and twice as long after each further one.
        """
        self._offerings = offerings
        self._clock_ns = clock_ns
        self._boot_max_s = boot_max_s
        self._pause_s = pause_s
        self._standbys: dict[str, Standby] = {}
        self._gone_ns: dict[str, int] = {}  # machine -> since when
        self._failures: dict[Key, int] = {}
        self._not_before_ns: dict[Key, int] = {}

    @property
    def all(self) -> list[Standby]:
        """Those that exist, oldest first."""
        return list(self._standbys.values())

    @property
    def moves(self) -> bool:
        """Whether some boot or stop."""
        return any(
            each.phase is Phase.STOPPING or (each.phase is Phase.PREPARING and not each.loaded) for each in self.all
        )

    def booting(self) -> dict[str, str]:
        """Machines whose worker has not answered yet -> where it will."""
        return {
            each.machine: each.address
            for each in self.all
            if each.phase is Phase.PREPARING and not each.loaded and each.address
        }

    def created(self, machine: str, key: Key, pool: Pool, now_ns: int) -> None:
        """One was bought."""
        if machine not in self._standbys:
            self._standbys[machine] = Standby(
                machine, key, pool, Phase.PREPARING, now_ns, counted_ns=now_ns, listed_ns=now_ns
            )

    def loaded(self, machine: str) -> None:
        """Its worker answers."""
        standby = self._standbys.get(machine)
        if standby is not None:
            standby.loaded = True
            self._failures.pop(standby.key, None)

    def ready_for(self, key: Key) -> list[Standby]:
        """Those that can be rented, the best first: stopped ones, then those that run and have loaded."""
        stopped = [each for each in self.all if each.key == key and each.phase is Phase.STOPPED]
        return stopped + [
            each for each in self.all if each.key == key and each.phase is Phase.PREPARING and each.loaded
        ]

    def rented(self, machine: str, now_ns: int) -> None:
        """It was started, and is an instance from now on."""
        self._count(self._standbys[machine], now_ns)
        self._enter(self._standbys[machine], Phase.RENTED, now_ns)

    def refused(self, key: Key, now_ns: int) -> None:
        """EC2 sold none: it is asked again after a pause."""
        self._failed(key, now_ns)

    def not_started(self, machine: str, now_ns: int) -> None:
        """It could not be started; it is as it was."""
        standby = self._standbys.get(machine)
        if standby is not None:
            self._enter(standby, Phase.STOPPED, now_ns)

    def not_stopped(self, machine: str, now_ns: int) -> None:
        """It could not be stopped; it is as it was."""
        standby = self._standbys.get(machine)
        if standby is not None:
            standby.counted_ns = now_ns
            self._enter(standby, Phase.PREPARING, now_ns)

    def is_one(self, machine: str) -> bool:
        """Whether a machine is a standby."""
        return machine in self._standbys

    def given_back(self, machine: str, now_ns: int) -> bool:
        """It is no instance any more: whether it is kept; False when it is to be terminated.

        What it computed was at full speed, as far as anybody knows.
        """
        standby = self._standbys.get(machine)
        if standby is None:
            return False
        key = standby.key
        if sum(each.key == key for each in self.all) > self._wanted_of(key):
            return False
        spent_s = (now_ns - standby.since_ns) / _NS * (1 - self._earns(key))
        standby.credits_s = max(0.0, standby.credits_s - spent_s)
        standby.counted_ns = now_ns
        self._enter(standby, Phase.PREPARING, now_ns)
        return True

    def stopping(self, machine: str, now_ns: int) -> bool:
        """EC2 is told to stop it, and nobody rents it any more; False if it is not there to be stopped."""
        return self._move(machine, Phase.PREPARING, Phase.STOPPING, now_ns)

    def recharging(self, machine: str, now_ns: int) -> bool:
        """EC2 is told to start it, so that it earns credits; False if it is not stopped."""
        moved = self._move(machine, Phase.STOPPED, Phase.PREPARING, now_ns)
        if moved:
            self._standbys[machine].credits_s, self._standbys[machine].counted_ns = 0.0, now_ns
        return moved

    def gone(self, machine: str, now_ns: int) -> None:
        """It is terminated, whatever EC2 lists for a while."""
        self._standbys.pop(machine, None)
        self._gone_ns[machine] = now_ns

    def not_gone(self, machine: str) -> None:
        """It could not be terminated: it is taken up again when EC2 lists it next."""
        self._gone_ns.pop(machine, None)

    def see(self, machines: Iterable[Machine], now_ns: int, adoptable: Callable[[Machine], bool]) -> list[str]:
        """Take note of what EC2 lists; those that no configuration asks for, or that should be gone, are returned."""
        listed = {each.id: each for each in machines if each.is_standby}
        for standby in self.all:
            self._look(standby, listed.get(standby.machine), now_ns)
        orphans = []
        for machine in listed.values():
            if machine.id in self._standbys or machine.is_ended:
                continue
            gone_ns = self._gone_ns.get(machine.id)
            if gone_ns is not None:
                if now_ns - gone_ns > _UNLISTED_S * _NS:
                    orphans.append(machine.id)
            elif adoptable(machine) and self._wanted_of((machine.offering, machine.model)) > 0:
                self._adopt(machine, now_ns)
            else:
                orphans.append(machine.id)
        return orphans

    def steps(self, models: Iterable[str], now_ns: int) -> StandbySteps:
        """What is to be done now, of offerings that keep some stopped for each of these models."""
        create: dict[Key, int] = {}
        let_go: list[str] = []
        for key in [(name, model) for name in self._offerings for model in models]:
            mine = [each for each in self.all if each.key == key]
            late = [each for each in mine if self._is_late(each, now_ns)]
            if late:
                self._failed(key, now_ns)
            surplus = [each for each in mine if each.phase is not Phase.RENTED and each not in late]
            surplus = surplus[max(0, self._wanted_of(key) - len(mine) + len(late) + len(surplus)) :]
            let_go += [each.machine for each in (*late, *surplus)]
            lacking = self._wanted_of(key) - (len(mine) - len(late))
            if lacking > 0 and self._not_before_ns.get(key, now_ns) <= now_ns:
                create[key] = lacking
        idle = [each for each in self.all if each.machine not in let_go]
        for each in idle:
            self._count(each, now_ns)
        return StandbySteps(
            create,
            stop=tuple(each.machine for each in idle if self._is_prepared(each)),
            start=tuple(each.machine for each in idle if self._is_stale(each, now_ns)),
            let_go=tuple(let_go),
        )

    def _adopt(self, machine: Machine, now_ns: int) -> None:
        key = (machine.offering, machine.model)
        phase = Phase.PREPARING if machine.is_up else Phase.STOPPED if machine.state == "stopped" else Phase.STOPPING
        began_ns = self._clock_ns(machine.launched_at_s)
        if phase is not Phase.PREPARING:
            began_ns = now_ns if machine.changed_at_s is None else self._clock_ns(machine.changed_at_s)
        # It was stopped because it was loaded and charged; one that runs is asked, and has what it earned since.
        is_off = phase is not Phase.PREPARING
        self._standbys[machine.id] = Standby(
            machine.id,
            key,
            machine.pool,
            phase,
            began_ns,
            loaded=is_off,
            credits_s=self._promised_s(key) if is_off else 0.0,
            counted_ns=began_ns,
            listed_ns=now_ns,
            address=machine.address if machine.state == "running" else "",
        )

    def _look(self, standby: Standby, machine: Machine | None, now_ns: int) -> None:
        if machine is None:
            if now_ns - standby.listed_ns > _UNLISTED_S * _NS:
                self.gone(standby.machine, now_ns)
            return
        standby.listed_ns = now_ns
        standby.address = machine.address if machine.state == "running" else ""
        is_settled = now_ns - standby.since_ns > _UNLISTED_S * _NS
        if machine.is_ended:
            if standby.phase is Phase.PREPARING and not standby.loaded:  # one that never loads would be tried for ever
                self._failed(standby.key, now_ns)
            self.gone(standby.machine, now_ns)
        elif standby.phase is Phase.STOPPING and machine.state == "stopped":
            self._enter(standby, Phase.STOPPED, now_ns)
        elif standby.phase in {Phase.STOPPING, Phase.STOPPED} and machine.is_up and is_settled:
            standby.counted_ns = now_ns
            self._enter(standby, Phase.PREPARING, now_ns)
        elif standby.phase is Phase.PREPARING and not machine.is_up and is_settled:
            self._enter(standby, Phase.STOPPED if machine.state == "stopped" else Phase.STOPPING, now_ns)

    def _count(self, standby: Standby, now_ns: int) -> None:
        if standby.phase is Phase.PREPARING:
            earned_s = (now_ns - standby.counted_ns) / _NS * self._earns(standby.key)
            standby.credits_s = min(self._promised_s(standby.key), standby.credits_s + max(0.0, earned_s))
            standby.counted_ns = now_ns

    def _move(self, machine: str, before: Phase, after: Phase, now_ns: int) -> bool:
        standby = self._standbys.get(machine)
        if standby is None or standby.phase is not before:
            return False
        self._enter(standby, after, now_ns)
        return True

    def _enter(self, standby: Standby, phase: Phase, now_ns: int) -> None:
        standby.phase, standby.since_ns = phase, now_ns

    def _failed(self, key: Key, now_ns: int) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        self._not_before_ns[key] = now_ns + round(self._pause_s * 2.0 ** min(failures - 1, 4) * _NS)

    def _is_late(self, standby: Standby, now_ns: int) -> bool:
        boot_s = self._offerings[standby.key[0]].offering.boot_s + self._boot_max_s
        is_booting = standby.phase is Phase.PREPARING and not standby.loaded
        return is_booting and now_ns - standby.since_ns > boot_s * _NS

    def _is_prepared(self, standby: Standby) -> bool:
        is_charged = standby.credits_s >= self._promised_s(standby.key) - 1e-6
        return standby.phase is Phase.PREPARING and standby.loaded and is_charged

    def _is_stale(self, standby: Standby, now_ns: int) -> bool:
        has_credits = standby.phase is Phase.STOPPED and self._promised_s(standby.key) > 0
        return has_credits and now_ns - standby.since_ns > _CREDITS_LAST_S * _NS

    def _wanted_of(self, key: Key) -> int:
        known = self._offerings.get(key[0])
        return 0 if known is None else known.offering.stopped

    def _earns(self, key: Key) -> float:
        return self._offerings[key[0]].offering.baseline_share

    def _promised_s(self, key: Key) -> float:
        """Credits that one must have before it is stopped; none where they do not outlast a stop, or never run out."""
        wanted = self._offerings[key[0]]
        keeps = not wanted.types[0].startswith("t2.") and math.isfinite(wanted.offering.credits_s)
        return wanted.offering.credits_s if keeps and 0 < wanted.offering.baseline_share < 1 else 0.0
