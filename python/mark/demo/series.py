"""What the demo saw over time, for its view and its picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Interruption", "Sample", "Series"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the router.

    Attributes:
        at_s: seconds since the load began.
        load_per_s: requests sent per second since the sample before.
        forecast_per_s: load that the controller provisions for.
        capacity_per_s: rows per second that the instances which answer now serve under the SLO.
        ready: instances that answer, by offering.
        pending: instances that boot.
        p98_ms: of the answers since the sample before; 0 when there were none.
        attainment: share of the answers so far that kept the promise.
        cost_usd: of the fleet so far.
        sent: requests so far.
        violations: requests so far that were late, refused or failed.
    """

    at_s: float
    load_per_s: float
    forecast_per_s: float
    capacity_per_s: float
    ready: Mapping[str, int]
    pending: int
    p98_ms: float
    attainment: float
    cost_usd: float
    sent: int
    violations: int


@dataclass(frozen=True, slots=True)
class Interruption:
    """Spot workers that were taken away.

    Attributes:
        at_s: when they were given notice, in seconds since the load began.
        notice_s: how long it was.
        workers: how many they were.
    """

    at_s: float
    notice_s: float
    workers: int


@dataclass(slots=True)
class Series:
    """Samples in the order of time, and the interruption if there was one."""

    samples: list[Sample] = field(default_factory=list)
    interruption: Interruption | None = None

    def append(self, sample: Sample) -> None:
        """Add the newest sample."""
        self.samples.append(sample)

    @property
    def last(self) -> Sample | None:
        """The newest sample."""
        return self.samples[-1] if self.samples else None
