"""Holds a worker to a share of its machine, so that one machine can stand for several slower ones."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Protocol

from mark._core import CreditBucket, CreditParams

__all__ = ["CpuCredits", "CpuShare", "CpuUse", "Throttle"]

_log = logging.getLogger(__name__)

_DAY_S = 24 * 3600.0


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


class Throttle(Protocol):
    """Says how long to idle after a batch."""

    def idle_s(self, use: CpuUse, ended_s: float) -> float:
        """How long to idle after a batch that took `use` and ended at `ended_s`, as `CpuUse.wall_s` tells the time."""
        ...


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

    def idle_s(self, use: CpuUse, ended_s: float = 0.0) -> float:  # noqa: ARG002 - it is the same at any time
        """How long to idle after a batch that took `use`, so that busy time is at most `share` of all time.

        A model may compute on threads of its own, and on more than it was given: what counts is the CPU time of the
        process, spread over the threads that it may use. One that uses fewer is busy as long as its own thread is.
        What other processes took of the machine meanwhile is not this worker's use: it counts as idle time.
        """
        return 0.0 if self.share == 1 else max(0.0, self.full_speed_s(use) - use.wall_s)

    def full_speed_s(self, use: CpuUse) -> float:
        """How long a batch that took `use` takes on a machine of this share that does nothing else."""
        return max(use.process_s / self.threads, use.thread_s) / self.share


class CpuCredits:
    """The share of a burstable machine: full as long as it has credits, a part of that without (EC2's T2).

    Credits are earned at `baseline_share` of all time and spent while it is busy, as `mark._core.CreditBucket` counts
    them for a simulated one, too. At most those of a day are kept.

    Thread safety: none; a worker runs one batch at a time.
    """

    def __init__(self, share: CpuShare, baseline_share: float, credits_s: float, now_s: float) -> None:
        """Begin with some credits.

        Args:
            share: of the machine, with credits.
            baseline_share: of that share, in (0, 1]: earned, and left without credits.
            credits_s: seconds at the full share that it has at first.
            now_s: the time, as `CpuUse.wall_s` tells it.

        Raises:
            ValueError: `baseline_share` or `credits_s` makes no sense.
        """
        credits_max_s = max(credits_s, baseline_share * _DAY_S)
        params = CreditParams(baseline_share=baseline_share, credits_s=credits_s, credits_max_s=credits_max_s)
        self._share = share
        self._bucket = CreditBucket(params, round(now_s * 1e9))
        self._spent = False

    def idle_s(self, use: CpuUse, ended_s: float) -> float:
        """How long to idle after a batch that took `use` and ended then."""
        began_ns = round((ended_s - use.wall_s) * 1e9)
        work_ns = round(self._share.full_speed_s(use) * 1e9)
        idle_s = max(0.0, self._bucket.run(work_ns, began_ns) / 1e9 - use.wall_s)
        spent = self._bucket.credits_s(began_ns) == 0
        if spent and not self._spent:
            _log.warning("out of credits: the baseline is left")
        self._spent = spent
        return idle_s

    def credits_s(self, now_s: float) -> float:
        """Seconds at the full share that are left."""
        return self._bucket.credits_s(round(now_s * 1e9))
