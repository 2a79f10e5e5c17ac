"""Worker processes that were loaded ahead and wait to be started: what a stopped instance is on one machine."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from mark.cloud.worker_process import WorkerProcess
from mark.domain.artifact import ModelArtifact
from mark.domain.offering import Offering
from mark.errors import CloudError

__all__ = ["StoppedMachine", "StoppedMachines"]

_log = logging.getLogger(__name__)

Start = Callable[[ModelArtifact, Offering], tuple[WorkerProcess, str]]
"""(model, offering) -> a worker process that was started, and the address that it will serve at"""


@dataclass(slots=True, eq=False)
class StoppedMachine:
    """One worker process that nobody rents yet. Once somebody does, `on_exit` is told when and why it has ended."""

    process: WorkerProcess
    address: str
    artifact: ModelArtifact
    offering: Offering
    loaded: bool = False
    on_exit: Callable[[str], None] | None = None


class StoppedMachines:
    """Keeps machines stopped. One loads at a time: they are for later, and others serve meanwhile.

    Thread safety: methods are called with the owner's lock held, which the threads that watch the processes take, too.

    Invariant: `_machines` holds exactly those that were started, are not rented and have not ended.
    """

    def __init__(
        self, lock: threading.Condition, start: Start, boot_max_s: float, on_gone: Callable[[str], None]
    ) -> None:
        """Keep none yet.

        Args:
            lock: the owner's.
            start: makes one.
            boot_max_s: one that has not loaded after so long is given up.
            on_gone: told the address of one that ended without ever being rented, with the lock held.
        """
        self._lock = lock
        self._start = start
        self._boot_max_s = boot_max_s
        self._on_gone = on_gone
        self._machines: list[StoppedMachine] = []
        self._wanted: deque[tuple[ModelArtifact, Offering]] = deque()
        self._closed = False

    def __len__(self) -> int:
        return len(self._machines)

    def keep(self, artifact: ModelArtifact, offering: Offering, count: int) -> None:
        """See to it that there will be so many of an offering for a model."""
        name = artifact.signature.name
        there = sum(self._is_for(each, offering.name, name) for each in self._machines)
        there += sum((a.signature.name, o.name) == (name, offering.name) for a, o in self._wanted)
        self._wanted.extend([(artifact, offering)] * max(0, count - there))
        self._load_next()

    def take(self, offering: str, model: str) -> StoppedMachine | None:
        """One that is loaded, to be rented; None when there is none."""
        for machine in self._machines:
            if machine.loaded and self._is_for(machine, offering, model):
                self._machines.remove(machine)
                return machine
        return None

    def close(self) -> list[WorkerProcess]:
        """Start no more; the processes that are left, for the owner to end."""
        self._closed = True
        self._wanted.clear()
        return [machine.process for machine in self._machines]

    @staticmethod
    def _is_for(machine: StoppedMachine, offering: str, model: str) -> bool:
        return machine.offering.name == offering and machine.artifact.signature.name == model

    def _load_next(self) -> None:
        if self._closed or not self._wanted or not all(machine.loaded for machine in self._machines):
            return
        artifact, offering = self._wanted.popleft()
        try:
            process, address = self._start(artifact, offering)
        except (OSError, CloudError) as error:
            _log.warning("no %s is kept stopped: its worker does not start: %s", offering.name, error)
            return
        machine = StoppedMachine(process, address, artifact, offering)
        self._machines.append(machine)
        process.watch(
            boot_s=0.0,
            boot_max_s=self._boot_max_s,
            on_ready=lambda: self._became_ready(machine),
            on_late=lambda detail: self._gave_up(machine, detail),
            on_exit=lambda detail: self._exited(machine, detail),
        )

    def _became_ready(self, machine: StoppedMachine) -> None:
        with self._lock:
            machine.loaded = True
            self._load_next()

    def _gave_up(self, machine: StoppedMachine, detail: str) -> None:
        _log.warning("a stopped %s is given up: %s", machine.offering.name, detail)
        machine.process.stop(0.0)

    def _exited(self, machine: StoppedMachine, detail: str) -> None:
        with self._lock:
            rented = machine.on_exit
            if rented is None:
                self._machines.remove(machine)
                self._on_gone(machine.address)
                if not self._closed:
                    _log.warning("a stopped %s has ended: %s", machine.offering.name, detail)
                    if machine.loaded:  # one that never loads would be tried for ever
                        self._wanted.append((machine.artifact, machine.offering))
                self._load_next()
        if rented is not None:
            rented(detail)
