"""What the demo ends with: was the promise kept, were the answers right, and what did it cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from mark.demo.fake_aws import AwsOutcome
from mark.domain.slo import Slo

__all__ = ["DemoReport"]


@dataclass(frozen=True, slots=True)
class DemoReport:
    """Figures of one run; dollars are of the whole run.

    Attributes:
        peak_per_s: the rate that a fleet sized for the peak has to carry: the highest of the run, with head-room.
        peak_fleet: the cheapest fleet of the same offerings on demand that carries it, by offering; None when all of
            them together do not.
        workers_taken: spot workers that the cloud took away on the way.
        cost_usd_peak_sized: what that fleet costs for as long as the run took; None when there is no such fleet.
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
    peak_per_s: float
    peak_fleet: dict[str, int] | None
    cost_usd_peak_sized: float | None
    duration_s: float
    by_status: dict[str, int]
    workers_taken: int
    picture: Path
    aws: AwsOutcome | None = None

    @property
    def kept(self) -> bool:
        """Whether the run shows what it should: right answers, the promise kept, cheaper than sized for the peak.

        Where no fleet carries the peak, there is nothing to be cheaper than. On AWS, where a launch costs a minute at
        least, a day of a minute cannot be cheaper: there the bill has to be right, and nothing may be left.
        """
        if self.aws is not None:
            return self.answers_wrong == 0 and self.attainment >= self.slo.sl_min and self.aws.kept
        cheaper = self.cost_usd_peak_sized is None or self.cost_usd < self.cost_usd_peak_sized
        return self.answers_wrong == 0 and self.attainment >= self.slo.sl_min and cheaper

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
            "workers_taken": self.workers_taken,
            "cost_usd": self.cost_usd,
            "cost_usd_peak_sized": self.cost_usd_peak_sized,
            "peak_per_s": self.peak_per_s,
            "peak_fleet": self.peak_fleet,
            "duration_s": self.duration_s,
            "picture": str(self.picture),
            **({} if self.aws is None else {"aws": asdict(self.aws)}),
        }

    def as_table(self) -> Table:
        """The report for a person."""
        table = Table(title="mark demo: result", title_justify="left", show_header=False)
        table.add_row("requests", f"{self.requests}, answered {self.answered}")
        table.add_row("answers that differ from the model run offline", str(self.answers_wrong))
        table.add_row(
            f"answered within {self.slo.rt_max_ms:g} ms", f"{self.attainment:.2%}, promised {self.slo.sl_min:.0%}"
        )
        table.add_row("spot workers taken away on the way", str(self.workers_taken))
        table.add_row("latency", f"p50 {self.p50_ms:.1f}   p98 {self.p98_ms:.1f}   p99 {self.p99_ms:.1f} ms")
        table.add_row("cost of the fleet", f"${self.cost_usd:.6f} in {self.duration_s:.0f} s")
        peak = "cost of a fleet sized for the peak, on demand"
        if self.cost_usd_peak_sized is None or self.peak_fleet is None:
            table.add_row(peak, f"none: all of them together do not carry {self.peak_per_s:.0f} requests/s")
            table.add_row("saved", "cannot be said; the run is judged by its answers and its promise alone")
        else:
            fleet = ", ".join(f"{count} x {name}" for name, count in self.peak_fleet.items())
            table.add_row(peak, f"${self.cost_usd_peak_sized:.6f} ({fleet})")
            saved = 1 - self.cost_usd / self.cost_usd_peak_sized if self.cost_usd_peak_sized else 0.0
            table.add_row("saved", f"{saved:.0%}")
        if self.aws is not None:
            self.aws.tell(table)
        table.add_row("picture", str(self.picture))
        return table
