"""A cloud on one machine: an instance is a worker process, ready means that it answers, a crash means gone."""

from __future__ import annotations

import itertools
import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from mark.cloud.socket_folder import SocketFolder
from mark.cloud.worker_process import WorkerProcess
from mark.domain.artifact import ModelArtifact
from mark.domain.fleet import Instance, InstanceId, InstanceState
from mark.domain.offering import Offering
from mark.errors import CloudError, QuotaExceeded
from mark.ports import Clock

__all__ = ["Command", "LocalCloud"]

_log = logging.getLogger(__name__)

Command = Callable[[ModelArtifact, Offering, str], Sequence[str]]
"""(model, offering, address to serve at) -> the command line of a worker."""


class LocalCloud:
    """Rents worker processes of this machine. Implements `mark.ports.Cloud`.

    Sockets lie in a private folder (`SocketFolder`). Workers hold the other end of a pipe of this process and end with
    it, however it ends.

    Args:
        offerings: what may be rented.
        clock: what instances are billed by.
        command: makes the command line of a worker.
        grace_s: how long a terminated worker may finish its batch before it is killed.
        boot_max_s: an instance that is not ready so long after its offering's `boot_s` is ended.

    Thread safety: every method may be called from any thread.

    Invariants:
        - `_instances`, `_processes` and `_changes` are touched only with `_lock` held;
        - an instance's state only moves forward, and each move increments `_changes` and wakes every waiter;
        - a process whose instance is gone was told to end.
    """

    def __init__(
        self,
        offerings: Sequence[Offering],
        clock: Clock,
        command: Command,
        grace_s: float = 5.0,
        boot_max_s: float = 120.0,
    ) -> None:
        self._offerings = {offering.name: offering for offering in offerings}
        self._clock = clock
        self._command = command
        self._grace_s = grace_s
        self._boot_max_s = boot_max_s
        self._lock = threading.Condition()
        self._instances: dict[InstanceId, Instance] = {}
        self._processes: dict[InstanceId, WorkerProcess] = {}
        self._tokens: dict[str, InstanceId] = {}
        self._numbers = itertools.count(1)
        self._changes = 0
        self._sockets = SocketFolder()
        self._closed = False

    def offerings(self) -> Sequence[Offering]:
        """What can be rented."""
        return tuple(self._offerings.values())

    def launch(self, offering: str, artifact: ModelArtifact, token: str) -> Instance:
        """Start one worker process; see `mark.ports.Cloud.launch`."""
        with self._lock:
            known = self._tokens.get(token)
            if known is not None:
                return self._instances[known]
            wanted = self._check(offering)
            process = self._start_process(wanted, artifact)
            address = process.address
            identity = InstanceId(f"{offering}-{next(self._numbers)}")
            instance = Instance(
                id=identity,
                offering=offering,
                model=artifact.signature.name,
                state=InstanceState.PENDING,
                launched_at_ns=self._clock.now_ns(),
            )
            self._instances[identity], self._processes[identity] = instance, process
            self._tokens[token] = identity
            self._announce()
            process.watch(
                boot_s=wanted.boot_s,
                boot_max_s=self._boot_max_s,
                on_ready=lambda: self._became_ready(identity, address),
                on_late=lambda detail: self._stop(identity, detail),
                on_exit=lambda detail: self._became_gone(identity, detail, address),
            )
        return instance

    def terminate(self, instance: InstanceId) -> None:
        """Tell a worker to end; see `mark.ports.Cloud.terminate`."""
        self._stop(instance, "terminated")

    def list_instances(self) -> Sequence[Instance]:
        """Every instance ever rented, oldest first."""
        with self._lock:
            return tuple(self._instances.values())

    def wait_for_change(self, since: int, timeout_s: float) -> int:
        """Block until an instance has changed; see `mark.ports.Cloud.wait_for_change`."""
        with self._lock:
            self._lock.wait_for(lambda: self._changes > since or self._closed, timeout_s)
            return self._changes

    def close(self, grace_s: float | None = None) -> None:
        """End every worker and remove the sockets; returns when no process is left.

        Args:
            grace_s: how long a worker may finish its batch before it is killed; None for as long as on terminate.
        """
        if grace_s is None:
            grace_s = self._grace_s
        with self._lock:
            self._closed = True
            processes = list(self._processes.items())
            for identity, _ in processes:
                self._end(identity, "terminated")
            self._announce()
        for _, process in processes:
            process.stop(grace_s)
        for identity, process in processes:
            if not process.join(self._grace_s + 5.0):
                _log.error("worker %s does not end", identity)
        self._sockets.close()

    def _check(self, offering: str) -> Offering:
        if self._closed:
            raise CloudError("the cloud is closed")
        wanted = self._offerings.get(offering)
        if wanted is None:
            raise CloudError(f"no offering {offering!r}; there are {', '.join(self._offerings)}")
        alive = Counter(known.offering for known in self._instances.values() if known.state is not InstanceState.GONE)
        if alive[offering] >= wanted.max_count:
            raise QuotaExceeded(f"offering {offering}: max_count {wanted.max_count} is reached")
        return wanted

    def _start_process(self, wanted: Offering, artifact: ModelArtifact) -> WorkerProcess:
        try:
            address = self._sockets.address()
            try:
                return WorkerProcess(self._command(artifact, wanted, address), address)
            except OSError:
                self._sockets.release(address)
                raise
        except OSError as error:
            raise CloudError(f"offering {wanted.name}: the worker process does not start: {error}") from error

    def _became_ready(self, identity: InstanceId, address: str) -> None:
        with self._lock:
            instance = self._instances[identity]
            if instance.state is InstanceState.PENDING:
                self._instances[identity] = replace(
                    instance, state=InstanceState.READY, ready_at_ns=self._clock.now_ns(), address=address
                )
                self._announce()

    def _stop(self, identity: InstanceId, detail: str) -> None:
        with self._lock:
            process = self._processes.get(identity)
            if process is None:
                return
            self._end(identity, detail)
        process.stop(self._grace_s)

    def _became_gone(self, identity: InstanceId, detail: str, address: str) -> None:
        with self._lock:
            self._end(identity, detail)
            del self._processes[identity]
            self._sockets.release(address)

    def _end(self, identity: InstanceId, detail: str) -> None:
        instance = self._instances[identity]
        if instance.state is not InstanceState.GONE:
            self._instances[identity] = replace(
                instance, state=InstanceState.GONE, ended_at_ns=self._clock.now_ns(), detail=detail
            )
            self._announce()

    def _announce(self) -> None:
        self._changes += 1
        self._lock.notify_all()
