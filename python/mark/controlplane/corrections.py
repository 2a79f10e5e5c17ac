"""How far the instances of each offering are off their profile, as their batches tell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Protocol

__all__ = ["ObservedWorker", "corrections_of"]

# Fewer batches tell nothing of a p99.
_BATCHES_MIN = 20


class ObservedWorker(Protocol):
    """What is read of `mark._core.WorkerStatistics`."""

    @property
    def worker(self) -> int:
        """Its number."""
        ...

    @property
    def correction(self) -> float:
        """Its batches take that many times as long as its profile says."""
        ...

    @property
    def batches(self) -> int:
        """How many it answered."""
        ...


def corrections_of(workers: Iterable[ObservedWorker], offerings: Mapping[int, str]) -> dict[str, float]:
    """By how much a capacity is to be divided, by offering; one that too little is known of is left out.

    The mean of the workers' speeds, not of their times: what counts is what they serve together.
    """
    speeds: dict[str, list[float]] = defaultdict(list)
    for worker in workers:
        if worker.worker in offerings and worker.batches >= _BATCHES_MIN:
            speeds[offerings[worker.worker]].append(1.0 / worker.correction)
    return {offering: len(each) / sum(each) for offering, each in speeds.items()}
