"""Terminating machines: those that are given back within a moment go to EC2 in one call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from mark.cloud.aws.errors import code_of, translated
from mark.cloud.aws.lease import Lease
from mark.cloud.aws.session import Client
from mark.errors import CloudError

__all__ = ["GivingBack"]

_MACHINES_MAX = 500
_UNKNOWN = "InvalidInstanceID.NotFound"


class _Asked:
    """What one caller wants terminated, and what became of it."""

    def __init__(self, machines: tuple[str, ...]) -> None:
        self.machines = machines
        self.error: CloudError | None = None
        self.done = False


class GivingBack:
    """While one call is under way, others gather; whoever comes next takes all of them along.

    Thread safety: every method may be called from any thread.

    Invariant: `_waiting` holds what no call was made for yet, touched only with `_gathering` held.
    """

    def __init__(self, client: Callable[[], Client], lease: Lease) -> None:
        """Nothing waits yet."""
        self._client = client
        self._lease = lease
        self._gathering = threading.Lock()
        self._calling = threading.Lock()
        self._waiting: list[_Asked] = []

    def terminate(self, machines: Iterable[str]) -> None:
        """Return once EC2 says that they shut down. Those that it does not know are gone.

        Raises:
            CloudError: some may still run.
        """
        asked = _Asked(tuple(machines))
        if not asked.machines:
            return
        with self._gathering:
            self._waiting.append(asked)
        with self._calling:
            if not asked.done:
                with self._gathering:
                    batch, self._waiting = self._waiting, []
                self._call(batch)
        if asked.error is not None:
            raise asked.error

    def _call(self, batch: list[_Asked]) -> None:
        error: CloudError | None = CloudError("terminating instances was broken off by a fault of mark")
        wanted = list(dict.fromkeys(machine for asked in batch for machine in asked.machines))
        try:
            for start in range(0, len(wanted), _MACHINES_MAX):
                self._terminate(wanted[start : start + _MACHINES_MAX])
            error = None
        except CloudError as raised:
            error = raised
        finally:
            for asked in batch:
                asked.error, asked.done = error, True

    def _terminate(self, machines: list[str]) -> None:
        self._lease.check()
        try:
            self._client().terminate_instances(InstanceIds=machines)
        except Exception as error:
            if code_of(error) != _UNKNOWN:
                raise translated(error, f"terminating {len(machines)} instances") from error
            # One that EC2 does not know spoils the call for all.
            for machine in machines if len(machines) > 1 else ():
                self._terminate([machine])
