"""What was measured of a model on kinds of worker, as a value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from mark._core import LatencyProfile
from mark.domain.device import device_of
from mark.domain.offering import Offering
from mark.domain.profile import Profile, ProfilePoint
from mark.domain.signature import ModelSignature, signature_hash

__all__ = [
    "BatchMeasurement",
    "MeasuredModel",
    "MeasuredProfile",
    "WorkerKind",
    "fit",
]


@dataclass(frozen=True, slots=True)
class BatchMeasurement:
    """What batches of one size took, in milliseconds.

    Attributes:
        rows: of each batch.
        runs: how many were timed.
        p50_ms: median.
        p95_ms: 0.95 quantile.
        p99_ms: 0.99 quantile; quantiles are interpolated.
        p99_low_ms: the true 0.99 quantile is no less, at 97.5 % confidence.
        p99_high_ms: nor is it more; None where the runs were too few to say.
    """

    rows: int
    runs: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    p99_low_ms: float
    p99_high_ms: float | None

    def __post_init__(self) -> None:
        if self.rows < 1 or self.runs < 1:
            raise ValueError(f"rows and runs must be positive, not {self.rows} and {self.runs}")
        if not 0 < self.p50_ms <= self.p95_ms <= self.p99_ms < math.inf:
            raise ValueError(
                f"{self.rows} rows need 0 < p50_ms <= p95_ms <= p99_ms, not {self.p50_ms:g}, {self.p95_ms:g} and "
                f"{self.p99_ms:g}"
            )


@dataclass(frozen=True, slots=True)
class WorkerKind:
    """What of a worker decides how fast it is: offerings that agree in it share a measurement."""

    device: str = "cpu"
    threads: int = 1
    cpu_share: float = 1.0

    def __post_init__(self) -> None:
        device_of(self.device)

    def __str__(self) -> str:
        share = "" if self.cpu_share == 1 else f", {self.cpu_share:.0%} of the machine"
        return f"{self.device}, {self.threads} thread{'s' if self.threads > 1 else ''}{share}"

    @staticmethod
    def of(offering: Offering) -> WorkerKind:
        """The kind of worker that an offering rents. CUDA devices of one machine are taken to be alike."""
        return WorkerKind(device_of(offering.device).kind, offering.threads, offering.cpu_share)


@dataclass(frozen=True, slots=True)
class MeasuredProfile:
    """One kind of worker, measured: batch sizes in increasing order."""

    worker: WorkerKind
    batches: tuple[BatchMeasurement, ...]

    def __post_init__(self) -> None:
        if not self.batches:
            raise ValueError(f"nothing was measured on {self.worker}")
        for before, after in pairwise(self.batches):
            if after.rows <= before.rows:
                raise ValueError(f"rows must increase, but {after.rows} follows {before.rows}")

    @property
    def profile(self) -> Profile:
        """The fitted profile."""
        return fit(self.batches)


@dataclass(frozen=True, slots=True)
class MeasuredModel:
    """A model, measured on one kind of worker or more.

    Attributes:
        name: of the model.
        version: of the model.
        signature_hash: of its tensors; see `mark.domain.signature`.
        measured_at: when, as ISO 8601 in UTC.
        machine: on what, in words.
        profiles: one for each kind of worker.
    """

    name: str
    version: str
    signature_hash: str
    measured_at: str
    machine: str
    profiles: tuple[MeasuredProfile, ...]

    def __post_init__(self) -> None:
        kinds = [measured.worker for measured in self.profiles]
        if not kinds or len(set(kinds)) < len(kinds):
            raise ValueError(f"needs one profile or more, each of another kind of worker, not {len(kinds)}")

    def check_model(self, signature: ModelSignature) -> None:
        """Refuse to stand for another model than the one that was measured.

        Raises:
            ValueError: saying in what it differs.
        """
        if (self.name, self.version) != (signature.name, signature.version):
            raise ValueError(
                f"is of model {self.name!r} version {self.version!r}, not of {signature.name!r} version "
                f"{signature.version!r}"
            )
        if self.signature_hash != signature_hash(signature):
            raise ValueError(f"is of a model {self.name!r} with other inputs or outputs")

    def profile_for(self, offering: Offering) -> Profile:
        """The profile of the kind of worker that an offering rents.

        Raises:
            ValueError: that kind was not measured.
        """
        wanted = WorkerKind.of(offering)
        found = next((measured for measured in self.profiles if measured.worker == wanted), None)
        if found is None:
            there = "; ".join(str(measured.worker) for measured in self.profiles)
            raise ValueError(f"was not measured on {wanted}, as offering {offering.name} is, but on {there}")
        return found.profile


def fit(batches: Sequence[BatchMeasurement]) -> Profile:
    """The least non-decreasing profile that is nowhere below what was measured.

    A batch could always be padded to a larger size, so what is faster than a smaller one was measured in a quieter
    moment: the profile keeps the slower. `LatencyProfile` is where that is done, for here as for what serves.

    Raises:
        ValueError: nothing was measured, or not in increasing rows.
    """
    rows = [batch.rows for batch in batches]
    envelope = LatencyProfile(rows, [max(1, round(batch.p99_ms * 1e6)) for batch in batches])
    return Profile(tuple(ProfilePoint(size, envelope.predict_ns(size) / 1e6) for size in rows))
