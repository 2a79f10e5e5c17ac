"""Holds a worker to a share of its machine, so that one machine can stand for several slower ones."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CpuShare"]


@dataclass(frozen=True, slots=True)
class CpuShare:
    """A quota on busy time, kept by idling after each batch; needs no privileges, unlike a control group.

    The idle time is part of the answer's latency, so profiles and clients see the slower machine.
    """

    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"cpu_share must lie in (0, 1], not {self.share}")

    def idle_s(self, busy_s: float) -> float:
        """How long to idle after being busy for `busy_s`, so that busy time is `share` of all time."""
        return busy_s * (1 / self.share - 1)
