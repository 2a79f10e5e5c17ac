"""Holds a worker to a share of its machine, so that one machine can stand for several slower ones."""

from __future__ import annotations

import time
from dataclasses import dataclass

__all__ = ["CpuShare", "CpuUse"]


@dataclass(frozen=True, slots=True)
class CpuUse:
    """Seconds by three clocks: the wall's, the CPU time of all threads of this process, and that of the calling one."""

    wall_s: float
    process_s: float
    thread_s: float

    @staticmethod
    def now() -> CpuUse:
        """Read the clocks; only differences mean something."""
        return CpuUse(time.perf_counter(), time.process_time(), time.thread_time())

    def __sub__(self, earlier: CpuUse) -> CpuUse:
        return CpuUse(
            self.wall_s - earlier.wall_s, self.process_s - earlier.process_s, self.thread_s - earlier.thread_s
        )


@dataclass(frozen=True, slots=True)
class CpuShare:
    """A quota on busy time, kept by idling after each batch; needs no privileges, unlike a control group.

    The idle time is part of the answer's latency, so profiles and clients see the slower machine.

    Attributes:
        share: of all time that the worker may be busy, in (0, 1]; 1 is unthrottled.
        threads: that it may compute with; all of them busy for a second are one busy second.
    """

    share: float
    threads: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"cpu_share must lie in (0, 1], not {self.share}")

    def idle_s(self, use: CpuUse) -> float:
        """How long to idle after a batch that took `use`, so that busy time is at most `share` of all time.

        A model may compute on threads of its own, and on more than it was given: what counts is the CPU time of the
        process, spread over the threads that it may use. One that uses fewer is busy as long as its own thread is.
        What other processes took of the machine meanwhile is not this worker's use: it counts as idle time.
        """
        if self.share == 1:
            return 0.0
        busy_s = max(use.process_s / self.threads, use.thread_s)
        return max(0.0, busy_s / self.share - use.wall_s)
