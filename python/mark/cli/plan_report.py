"""The answer of `mark plan`: what to launch, retire and keep, what it costs and why."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from mark.domain.fleet_plan import FleetPlan, PlannedChange
from mark.domain.forecast import Forecast
from mark.domain.scenario import Scenario

if TYPE_CHECKING:
    from mark.policies.optimum import OptimalGap

__all__ = ["PlanReport"]


@dataclass(frozen=True, slots=True)
class PlanReport:
    """A plan, and what it was made for.

    Attributes:
        planned_ms: what the planning alone took.
        gap: how far from the optimum it is; None when nobody asked.
        gap_s: seconds that finding it took.
    """

    scenario: Scenario
    forecast: Forecast
    plan: FleetPlan
    planned_ms: float
    gap: OptimalGap | None = None
    gap_s: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-ready values."""
        return {
            "launch": _counts(self.plan.launch),
            "retire": _counts(self.plan.retire),
            "keep": _counts(self.plan.keep),
            "cost_usd_per_hour": self.plan.cost_usd_per_hour,
            "cost_usd_horizon": self.plan.cost_usd_horizon,
            "reasons": [f"{action} {c.count} {c.offering}: {c.why}" for action, c in self._changes()],
            "milliseconds": self.planned_ms,
            "optimal_gap": self._gap_as_dict(),
            "policy": self.plan.policy,
            "missed_requests": self.plan.missed_rows,
            "notes": list(self.scenario.notes),
        }

    def as_table(self) -> Table:
        """The changes, for a person."""
        rates, slo = self.forecast.rates_per_s, self.scenario.slo
        load = f"{min(rates):g}" if min(rates) == max(rates) else f"{min(rates):g} to {max(rates):g}"
        title = f"{self.scenario.name}: {load} requests/s, {slo.sl_min:.0%} within {slo.rt_max_ms:g} ms"
        table = Table("action", "offering", title=title, title_justify="left")
        table.add_column("count", justify="right")
        table.add_column("$/h", justify="right")
        table.add_column("why")
        prices = {offering.name: offering.price_usd_per_hour for offering in self.scenario.offerings}
        for action, change in self._changes():
            usd_per_hour = prices[change.offering] * change.count * (-1 if action == "retire" else 1)
            # As text, for a bracket in it is no markup.
            cells = (action, change.offering, str(change.count), f"{usd_per_hour:.4f}", change.why)
            table.add_row(*(Text(cell) for cell in cells))
        return table

    def totals(self) -> Iterator[str]:
        """What stands below the table, a line each."""
        steps, step_s = len(self.forecast.rates_per_s), self.forecast.step_s
        yield f"${self.plan.cost_usd_per_hour:.4f} per hour; ${self.plan.cost_usd_horizon:.4f} over the horizon"
        yield f"planned in {self.planned_ms:.1f} ms, {self.plan.policy}, {steps} steps of {step_s:g} s"
        if self.gap is not None:
            yield f"{self._gap_in_words(self.gap)}, found in {self.gap_s:.2f} s"
        if self.plan.missed_rows >= 0.5:
            yield f"{self.plan.missed_rows:.0f} requests of the horizon can be served by nobody in time"
        yield from (f"note: {note}" for note in self.scenario.notes)

    def _gap_as_dict(self) -> dict[str, Any] | None:
        if self.gap is None:
            return None
        share = self.gap.gap if math.isfinite(self.gap.gap) else None  # JSON has no infinity
        return {
            "gap": share,
            "optimum_usd": self.gap.optimum_usd,
            "seconds": self.gap_s,
            "proven": self.gap.proven,
        }

    def _gap_in_words(self, gap: OptimalGap) -> str:
        optimum = f"the optimum, ${gap.optimum_usd:.4f}"
        if not gap.proven:
            optimum = f"the optimum, which is no less than ${gap.optimum_usd:.4f}"
        if not math.isfinite(gap.gap):
            return f"not to be compared with {optimum}, in dollars alone"
        return f"{'' if gap.proven else 'at most '}{gap.gap:.2%} above {optimum}"

    def _changes(self) -> Iterator[tuple[str, PlannedChange]]:
        yield from (("launch", change) for change in self.plan.launch)
        yield from (("retire", change) for change in self.plan.retire)
        yield from (("keep", change) for change in self.plan.keep)


def _counts(changes: Sequence[PlannedChange]) -> dict[str, int]:
    """Instances by offering."""
    counts: Counter[str] = Counter()
    for change in changes:
        counts[change.offering] += change.count
    return dict(counts)
