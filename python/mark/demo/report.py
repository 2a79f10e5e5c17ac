"""What the demo ends with: was the promise kept, were the answers right, and what did it cost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from mark.domain.slo import Slo

__all__ = ["DemoReport"]


@dataclass(frozen=True, slots=True)
class DemoReport:
    """Figures of one run; dollars are of the whole run.

    Attributes:
        peak_fleet: the cheapest fleet of the same offerings that covers the highest rate, by offering.
        cost_usd_peak_sized: what that fleet costs for as long as the run took.
    """

    slo: Slo
    requests: int
    answered: int
    answers_wrong: int
    attainment: float
    p50_ms: float
    p98_ms: float
    p99_ms: float
    cost_usd: float
    cost_usd_peak_sized: float
    peak_fleet: dict[str, int]
    duration_s: float
    by_status: dict[str, int]
    picture: Path

    @property
    def kept(self) -> bool:
        """Whether the run shows what it should: right answers, the promise kept, cheaper than sized for the peak."""
        return (
            self.answers_wrong == 0 and self.attainment >= self.slo.sl_min and self.cost_usd < self.cost_usd_peak_sized
        )

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-ready values."""
        return {
            "requests": self.requests,
            "answered": self.answered,
            "answers_wrong": self.answers_wrong,
            "attainment": self.attainment,
            "sl_min": self.slo.sl_min,
            "rt_max_ms": self.slo.rt_max_ms,
            "latency_ms": {"p50": self.p50_ms, "p98": self.p98_ms, "p99": self.p99_ms},
            "by_status": self.by_status,
            "cost_usd": self.cost_usd,
            "cost_usd_peak_sized": self.cost_usd_peak_sized,
            "peak_fleet": self.peak_fleet,
            "duration_s": self.duration_s,
            "picture": str(self.picture),
        }

    def as_table(self) -> Table:
        """The report for a person."""
        table = Table(title="mark demo: result", title_justify="left", show_header=False)
        fleet = ", ".join(f"{count} x {name}" for name, count in self.peak_fleet.items())
        saved = 1 - self.cost_usd / self.cost_usd_peak_sized if self.cost_usd_peak_sized else 0.0
        table.add_row("requests", f"{self.requests}, answered {self.answered}")
        table.add_row("answers that differ from the model run offline", str(self.answers_wrong))
        table.add_row(
            f"answered within {self.slo.rt_max_ms:g} ms", f"{self.attainment:.2%}, promised {self.slo.sl_min:.0%}"
        )
        table.add_row("latency", f"p50 {self.p50_ms:.1f}   p98 {self.p98_ms:.1f}   p99 {self.p99_ms:.1f} ms")
        table.add_row("cost of the fleet", f"${self.cost_usd:.6f} in {self.duration_s:.0f} s")
        table.add_row("cost of a fleet sized for the peak", f"${self.cost_usd_peak_sized:.6f} ({fleet})")
        table.add_row("saved", f"{saved:.0%}")
        table.add_row("picture", str(self.picture))
        return table
