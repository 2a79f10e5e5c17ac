"""Faults that a test scripts, and which call each one hits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Fault", "Faults"]


@dataclass
class Fault:
    """Fails calls of one operation.

    Attributes:
        operation: "ec2:RunInstances", or "RunInstances" of whatever service.
        code: AWS's code of the error.
        times: so many calls; None for every one.
        instance_type: only launches of this type, if not empty; a fleet names it among its errors.
        zone: likewise.
        after: the operation is done first, and only its answer is lost.
    """

    operation: str
    code: str
    times: int | None = 1
    instance_type: str = ""
    zone: str = ""
    after: bool = False

    @property
    def message(self) -> str:
        """What the answer says."""
        return f"The fake AWS was told to fail {self.operation}"

    @property
    def of_pool(self) -> bool:
        """Whether it fails a type or zone rather than the whole call."""
        return bool(self.instance_type or self.zone)


class Faults:
    """The faults that are still to come, in the order in which they were scripted.

    Thread safety: every method may be called from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """One more."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """No more."""
        with self._lock:
            self._faults.clear()

    def of_call(self, operation: str, after: bool = False) -> Fault | None:
        """The fault that hits a call, which is used up by it."""
        return self._used(lambda fault: not fault.of_pool and fault.after == after and _names(fault, operation))

    def of_pool(self, operation: str, instance_type: str, zone: str) -> Fault | None:
        """The fault that hits a launch of a type in a zone."""
        return self._used(
            lambda fault: (
                fault.of_pool
                and _names(fault, operation)
                and fault.instance_type in {"", instance_type}
                and fault.zone in {"", zone}
            )
        )

    def _used(self, hits: Callable[[Fault], bool]) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if hits(fault):
                    if fault.times is not None:
                        fault.times -= 1
                        if fault.times <= 0:
                            self._faults.remove(fault)
                    return fault
            return None


def _names(fault: Fault, operation: str) -> bool:
    return fault.operation in {operation, operation.rpartition(":")[2]}
