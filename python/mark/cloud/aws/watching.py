"""Looks at what EC2 lists of the cluster, and does what follows from it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from mark.cloud.aws import tags
from mark.cloud.aws.buying import Buying
from mark.cloud.aws.cluster_state import ClusterState
from mark.cloud.aws.errors import translated
from mark.cloud.aws.giving_back import GivingBack
from mark.cloud.aws.machines import Machine, machines_of
from mark.cloud.aws.renting import Renting
from mark.cloud.aws.session import Client
from mark.cloud.aws.settings import AwsSettings
from mark.cloud.aws.standby_keeper import StandbyKeeper
from mark.domain.fleet import TAKEN_AWAY, Instance
from mark.errors import CloudError

__all__ = ["Watching"]

_log = logging.getLogger(__name__)

_PAGE_MAX = 1000  # machines in one answer: a fleet of so many costs one call


class Watching:
    """One look at a time.

    Thread safety: `look` from one thread at a time; `machine_states` and `end` from any.
    """

    def __init__(
        self,
        settings: AwsSettings,
        state: ClusterState,
        client: Callable[[], Client],
        trade: tuple[Buying, Renting, GivingBack],
        keeper: StandbyKeeper,
    ) -> None:
        """Look at nothing yet."""
        self._settings = settings
        self._state = state
        self._client = client
        self._buying, self._renting, self._giving_back = trade
        self._keeper = keeper
        self._rebalanced: dict[str, int] = {}  # machine -> when this router gives it back, by its clock

    def look(self, *, leads: bool) -> float:
        """Look once; returns how long nothing needs to be looked at.

        Args:
            leads: do what follows from it; without, another router does.

        Raises:
            CloudError: EC2 does not say what runs; what was seen last holds.
        """
        state = self._state
        machines = self.machines()
        with state.lock:
            now_ns = state.present_ns()
            self._leave_pools(machines)
            seen = state.fleet.see(machines, now_ns)
            state.standby_bill.see(machines, time.time())
            orphans = [*seen.orphans, *state.standbys.see(machines, now_ns, state.is_adoptable)]
            state.pool_of.update((each.id, each.pool) for each in machines)
            for instance in seen.adopted:
                state.price(instance, state.pool_of[str(instance.id)])
            if seen.changed:
                state.announce()
            boot_s = {
                name: each.offering.boot_s + self._settings.rhythm.boot_max_s for name, each in state.offerings.items()
            }
            late = state.fleet.late(boot_s, now_ns)
        for instance in seen.adopted:
            _log.info("instance %s (%s) runs already; it serves on", instance.id, instance.offering)
        if leads:
            self._buying.listed(each.id for each in machines)
            self.settle()
            self._end_late(late)
            self._end_orphans(orphans)
            self._end_rebalanced()
            self._keeper.step()
        with state.lock:
            moves = state.fleet.moves or state.standbys.moves
        return self._settings.rhythm.describe_soon_s if moves else self._settings.rhythm.describe_s

    def machines(self) -> list[Machine]:
        """Everything that carries the cluster's tag, the ended ones included as long as EC2 lists them.

        Raises:
            CloudError: EC2 does not say.
        """
        try:
            pages = (
                self._client()
                .get_paginator("describe_instances")
                .paginate(
                    Filters=[{"Name": f"tag:{tags.CLUSTER}", "Values": [self._settings.cluster]}],
                    PaginationConfig={"PageSize": _PAGE_MAX},
                )
            )
            return machines_of(pages)
        except Exception as error:
            raise translated(error, "asking EC2 what runs") from error

    def settle(self) -> None:
        """Finish launches that were begun and not answered."""
        for purchase in self._buying.settle():
            _log.info("a launch of %s that was begun is finished", purchase.intent.offering)
            self._renting.register(purchase)

    def rebalance(self, machine: str, at_ns: int) -> None:
        """Give an instance back at that time; called with the state's lock held."""
        self._rebalanced[machine] = at_ns

    def end(self, instances: Sequence[Instance], detail: str) -> None:
        """Terminate instances, standbys too.

        Raises:
            CloudError: some may still run.
        """
        state = self._state
        with state.lock:
            machines = {each.id: state.fleet.machine_of(each.id) for each in instances}
        self._giving_back.terminate(machine for machine in machines.values() if machine is not None)
        with state.lock:
            for identity, machine in machines.items():
                state.fleet.given_back(identity, detail, state.present_ns())
                if machine is not None and state.standbys.is_one(machine):
                    state.standbys.gone(machine, state.present_ns())
            state.announce()

    def _leave_pools(self, machines: Sequence[Machine]) -> None:
        for machine in machines:
            if machine.detail == TAKEN_AWAY and self._state.fleet.of_machine(machine.id) is not None:
                self._state.pools.refused(machine.pool, self._state.present_ns())

    def _end_late(self, late: Sequence[Instance]) -> None:
        for instance in late:
            detail = f"not ready {self._settings.rhythm.boot_max_s:g} s after its boot time"
            try:
                self.end([instance], detail)
            except CloudError as error:
                _log.warning("instance %s is %s, and not given back yet: %s", instance.id, detail, error)

    def _end_orphans(self, orphans: Sequence[str]) -> None:
        if not orphans:
            return
        _log.warning("terminating what should not run: %s", ", ".join(orphans))
        try:
            self._giving_back.terminate(orphans)
        except CloudError as error:
            _log.warning("orphans are not terminated yet: %s", error)

    def _end_rebalanced(self) -> None:
        state = self._state
        with state.lock:
            due = [machine for machine, at_ns in self._rebalanced.items() if at_ns <= state.present_ns()]
            instances = [each for each in map(state.fleet.of_machine, due) if each is not None]
        try:
            if instances:
                self.end(instances, "given back because EC2 recommended it")
        except CloudError as error:
            _log.warning("%s", error)
            return
        with state.lock:
            for machine in due:
                del self._rebalanced[machine]
