"""The promise: a response within `rt_max_ms` for at least `sl_min` of requests."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Slo"]


@dataclass(frozen=True, slots=True)
class Slo:
    """Response-time objective of one model.

    Attributes:
        rt_max_ms: the longest response that keeps the promise, in milliseconds from arrival at the ingress.
        sl_min: the least share of requests that must be answered within it, in (0, 1].
    """

    rt_max_ms: float
    sl_min: float

    def __post_init__(self) -> None:
        if not self.rt_max_ms > 0:
            raise ValueError(f"rt_max_ms must be positive, not {self.rt_max_ms}")
        if not 0 < self.sl_min <= 1:
            raise ValueError(f"sl_min must lie in (0, 1], not {self.sl_min}")

    @property
    def rt_max_ns(self) -> int:
        """The objective in nanoseconds."""
        return round(self.rt_max_ms * 1e6)
