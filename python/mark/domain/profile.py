"""Measured latency of a model on one offering, by batch size."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Profile", "ProfilePoint"]


@dataclass(frozen=True, slots=True)
class ProfilePoint:
    """The p99 latency of a batch of `rows` rows, in milliseconds."""

    rows: int
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Profile:
    """Latency by batch size, points in increasing rows.

    `mark._core.LatencyProfile` interpolates between the points: one truth for batching, balancing and planning.
    """

    points: tuple[ProfilePoint, ...]

    def __post_init__(self) -> None:
        if not self.points:
            raise ValueError("a profile needs at least one point")
        if any(point.rows < 1 or not point.latency_ms > 0 for point in self.points):
            raise ValueError("a profile point needs rows >= 1 and latency_ms > 0")
        rows = [point.rows for point in self.points]
        if rows != sorted(set(rows)):
            raise ValueError(f"profile points must have increasing rows, not {rows}")

    @property
    def rows(self) -> list[int]:
        """Rows of every point."""
        return [point.rows for point in self.points]

    @property
    def latencies_ns(self) -> list[int]:
        """Latency of every point, in nanoseconds."""
        return [max(1, round(point.latency_ms * 1e6)) for point in self.points]
