"""Load as it is offered: stretches of time, and the rate in each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["Load", "LoadChunk", "RecordedLoad"]


@dataclass(frozen=True, slots=True, eq=False)
class LoadChunk:
    """Stretches of constant rate, each of which begins where the one before ends.

    Inside a stretch requests arrive as a Poisson process: with exponential gaps.

    Attributes:
        ends_s: where each stretch ends, in seconds from the beginning of the load, as float64; increasing.
        rates_per_s: requests per second in each, as float64; 0 for silence.
    """

    ends_s: npt.NDArray[np.float64]
    rates_per_s: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.ends_s.ndim != 1 or self.ends_s.shape != self.rates_per_s.shape:
            raise ValueError(f"needs one rate for each end, not {self.rates_per_s.shape} for {self.ends_s.shape}")
        if not (np.all(np.isfinite(self.ends_s)) and np.all(np.diff(self.ends_s, prepend=0.0) > 0)):
            raise ValueError("ends_s must be finite, positive and increase")
        if not np.all(np.isfinite(self.rates_per_s)) or np.any(self.rates_per_s < 0):
            raise ValueError("rates_per_s must be finite and not negative")


class Load(Protocol):
    """A load that can be read from its beginning as often as it is needed, a chunk at a time."""

    def chunks(self) -> Iterator[LoadChunk]:
        """The stretches in their order; a chunk begins where the one before ends, the first at 0."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class RecordedLoad:
    """Requests at the instants at which they arrived.

    Attributes:
        instants_s: seconds from the beginning of the load, as float64; never decreasing.
        duration_s: of the load, with the silence behind the last request.
    """

    instants_s: npt.NDArray[np.float64]
    duration_s: float

    def __post_init__(self) -> None:
        if not (np.all(np.isfinite(self.instants_s)) and np.all(np.diff(self.instants_s, prepend=0.0) >= 0)):
            raise ValueError("instants_s must be finite, not negative and never decrease")
        if not (np.isfinite(self.duration_s) and self.duration_s >= self.instants_s.max(initial=0.0)):
            raise ValueError(f"duration_s must be finite and reach to the last request, not {self.duration_s}")
