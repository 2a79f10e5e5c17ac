"""A cloud on one machine: an instance is a worker process, ready means that it answers, a crash means gone."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from mark.cloud.instance_bill import InstanceBill
from mark.cloud.socket_folder import SocketFolder
from mark.cloud.spot_market import SpotMarket, SpotMarketParams
from mark.cloud.stopped_machines import StoppedMachine, StoppedMachines
from mark.cloud.worker_process import WorkerProcess
from mark.domain.artifact import ModelArtifact
from mark.domain.bill import Bill
from mark.domain.fleet import TAKEN_AWAY, Instance, InstanceId, InstanceState
from mark.domain.offering import Market, Offering
from mark.errors import CloudError, InsufficientCapacity, QuotaExceeded
from mark.ports import Clock

__all__ = ["Command", "LocalCloud"]

_log = logging.getLogger(__name__)

_LOOK_AGAIN_S = 3600.0  # a lock waits for no longer than some centuries, and what is drawn may be further off

Command = Callable[[ModelArtifact, Offering, str], Sequence[str]]
"""(model, offering, address to serve at) -> the command line of a worker."""


class LocalCloud:
    """Rents worker processes of this machine. Implements `mark.ports.Cloud` and `mark.ports.Interruptible`.

    Sockets lie in a private folder (`SocketFolder`). Workers hold the other end of a pipe of this process and end with
    it, however it ends.

    Args:
        offerings: what may be rented.
        clock: what instances are billed by.
        command: makes the command line of a worker.
        grace_s: how long a terminated worker may finish its batch before it is killed.
        boot_max_s: an instance that is not ready so long after its offering's `boot_s` is ended.
        spot: when spot instances are taken away, and what is sold out then; None for EC2's notice, and seed 0.

    Thread safety: every method may be called from any thread.

    Invariants:
        - `_instances`, `_processes`, `_billed` and `_changes` are touched only with `_lock` held;
        - an instance's state only moves forward, and each move increments `_changes` and wakes every waiter;
        - a process whose instance is gone was told to end;
        - one thread takes spot instances away, from the first that is launched until the cloud is closed.
    """

    def __init__(
        self,
        offerings: Sequence[Offering],
        clock: Clock,
        command: Command,
        grace_s: float = 5.0,
        boot_max_s: float = 120.0,
        spot: SpotMarket | None = None,
    ) -> None:
        self._offerings = {offering.name: offering for offering in offerings}
        self._clock = clock
        # The epoch is fixed once: no hour of the bill is ever another.
        self._billed = InstanceBill(epoch_ns=clock.now_ns() - time.time_ns())
        self._command = command
        self._grace_s = grace_s
        self._boot_max_s = boot_max_s
        self._spot = spot or SpotMarket.drawn(offerings, SpotMarketParams(), seed=0, began_ns=clock.now_ns())
        self._taking: threading.Thread | None = None
        self._artifacts: dict[str, ModelArtifact] = {}  # that something is kept stopped for
        self._lock = threading.Condition()
        self._sockets = SocketFolder()
        self._stopped = StoppedMachines(self._lock, self._start, boot_max_s, self._sockets.release)
        self._instances: dict[InstanceId, Instance] = {}
        self._processes: dict[InstanceId, WorkerProcess] = {}
        self._tokens: dict[str, InstanceId] = {}
        self._numbers = itertools.count(1)
        self._changes = 0
        self._closed = False

    def offerings(self) -> Sequence[Offering]:
        """What can be rented."""
        return tuple(self._offerings.values())

    def open(self) -> None:
        """Nothing to do: workers do not outlive the process that rents them."""

    def launch(self, offering: str, artifact: ModelArtifact, token: str) -> Instance:
        """Start one worker process; see `mark.ports.Cloud.launch`."""
        with self._lock:
            known = self._tokens.get(token)
            if known is not None:
                return self._instances[known]
            wanted = self._check(offering)
            identity = InstanceId(f"{offering}-{next(self._numbers)}")
            stopped = self._stopped.take(offering, artifact.signature.name)
            try:
                process, address = (
                    self._start(artifact, wanted) if stopped is None else (stopped.process, stopped.address)
                )
            except OSError as error:
                raise CloudError(f"offering {offering}: the worker process does not start: {error}") from error
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
            if wanted.market is Market.SPOT and self._taking is None:
                self._taking = threading.Thread(target=self._take_away, name="mark-spot", daemon=True)
                self._taking.start()
            self._watch(identity, wanted, process, address, stopped)
        return instance

    def prepare(self, artifact: ModelArtifact) -> None:
        """Load workers ahead for what the offerings keep stopped; see `mark.ports.Cloud.prepare`."""
        with self._lock:
            self._artifacts[artifact.signature.name] = artifact
            for offering in self._offerings.values():
                self._keep_stopped(offering, artifact)

    def terminate(self, instance: InstanceId) -> None:
        """Tell a worker to end; see `mark.ports.Cloud.terminate`."""
        self._stop(instance, "terminated")

    def interrupt_spot(self, share: float, model: str = "", notice_s: float | None = None) -> Sequence[Instance]:
        """Give notice to a share of the spot instances; see `mark.ports.Interruptible`."""
        with self._lock:
            now_ns = self._clock.now_ns()
            staying = [each for each in self._alive() if each.taken_at_ns is None and model in {"", each.model}]
            hit = self._spot.interrupt_share(staying, share, now_ns)
            return [self._give_notice(instance.id, now_ns + self._spot.notice_ns(notice_s)) for instance in hit]

    def list_instances(self) -> Sequence[Instance]:
        """Every instance ever rented, oldest first."""
        with self._lock:
            return tuple(self._instances.values())

    def bill(self) -> Bill:
        """What every instance has cost so far; see `mark.ports.Cloud.bill`."""
        with self._lock:
            return self._billed.bill(self._instances.values(), self._offerings, self._clock.now_ns())

    def spent_usd(self) -> float:
        """What every instance has cost so far."""
        return self.bill().usd

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
            rented = list(self._processes)
            processes = [*self._processes.values(), *self._stopped.close()]
            for identity in rented:
                self._end(identity, "terminated")
            self._announce()
        for process in processes:
            process.stop(grace_s)
        for process in processes:
            if not process.join(self._grace_s + 5.0):
                _log.error("the worker at %s does not end", process.address)
        if self._taking is not None:
            self._taking.join()
        self._sockets.close()

    def _check(self, offering: str) -> Offering:
        if self._closed:
            raise CloudError("the cloud is closed")
        wanted = self._offerings.get(offering)
        if wanted is None:
            raise CloudError(f"no offering {offering!r}; there are {', '.join(self._offerings)}")
        alive = Counter(instance.offering for instance in self._alive())
        if alive[offering] >= wanted.max_count:
            raise QuotaExceeded(f"offering {offering}: max_count {wanted.max_count} is reached")
        if self._spot.is_sold_out(wanted, self._clock.now_ns()):
            raise InsufficientCapacity(f"offering {offering}: sold out since its pool was interrupted")
        return wanted

    def _start(self, artifact: ModelArtifact, offering: Offering) -> tuple[WorkerProcess, str]:
        address = self._sockets.address()
        try:
            return WorkerProcess(self._command(artifact, offering, address), address), address
        except OSError:
            self._sockets.release(address)
            raise

    def _watch(
        self,
        identity: InstanceId,
        offering: Offering,
        process: WorkerProcess,
        address: str,
        stopped: StoppedMachine | None,
    ) -> None:
        def on_ready() -> None:
            self._became_ready(identity, address)

        def on_exit(detail: str) -> None:
            self._became_gone(identity, detail, address)

        if stopped is not None:
            stopped.on_exit = on_exit
            process.ready_after(offering.boot_s, on_ready)
            return
        process.watch(
            boot_s=offering.boot_s,
            boot_max_s=self._boot_max_s,
            on_ready=on_ready,
            on_late=lambda detail: self._stop(identity, detail),
            on_exit=on_exit,
        )

    def _keep_stopped(self, offering: Offering, artifact: ModelArtifact) -> None:
        model = artifact.signature.name
        started = sum((each.offering, each.model) == (offering.name, model) for each in self._alive())
        self._stopped.keep(artifact, offering, offering.stopped - started)

    def _alive(self) -> list[Instance]:
        return [known for known in self._instances.values() if known.state is not InstanceState.GONE]

    def _take_away(self) -> None:
        """Interrupt pools when their time has come, and end what is under notice when its time has."""
        with self._lock:
            while not self._closed:
                now_ns = self._clock.now_ns()
                drawn_ns = self._spot.next_ns()
                if drawn_ns is not None and drawn_ns <= now_ns:
                    for instance in self._spot.interrupt_next(self._alive(), drawn_ns):
                        if instance.taken_at_ns is None:
                            self._give_notice(instance.id, now_ns + self._spot.notice_ns())
                    continue
                ends_ns = {each.id: each.taken_at_ns for each in self._alive() if each.taken_at_ns is not None}
                for identity in [identity for identity, at_ns in ends_ns.items() if at_ns <= now_ns]:
                    del ends_ns[identity]
                    self._end(identity, TAKEN_AWAY)
                    self._processes[identity].stop(0.0)  # the machine is gone: nobody asks its processes
                next_ns = min([*ends_ns.values(), *([] if drawn_ns is None else [drawn_ns])], default=None)
                wait_s = _LOOK_AGAIN_S if next_ns is None else max(0.0, (next_ns - now_ns) / 1e9)
                self._lock.wait(min(wait_s, _LOOK_AGAIN_S))

    def _give_notice(self, identity: InstanceId, taken_at_ns: int) -> Instance:
        noticed = self._instances[identity] = replace(self._instances[identity], taken_at_ns=taken_at_ns)
        self._announce()
        return noticed

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
            gone = self._instances[identity]
            if gone.model in self._artifacts and not self._closed:
                self._keep_stopped(self._offerings[gone.offering], self._artifacts[gone.model])

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
