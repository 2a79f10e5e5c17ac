"""What a driver sees of the fleet of one model."""

from __future__ import annotations

from dataclasses import dataclass

from mark.domain.fleet import Instance

__all__ = ["Snapshot"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the driver sees at a tick.

    Attributes:
        now_ns: the time.
        instances: those of this model that run or boot, and stay.
        draining: those that are being drained, or that the cloud will take away: they are not planned with, but still
            count towards max_count.
    """

    now_ns: int
    instances: tuple[Instance, ...]
    draining: tuple[Instance, ...] = ()

    @property
    def alive(self) -> tuple[Instance, ...]:
        """All that is billed."""
        return (*self.instances, *self.draining)
