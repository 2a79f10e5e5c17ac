"""The tables of policies, whether a page or a terminal shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mark.domain.simulation_report import SimulationReport
from mark.report.verdict import cheapest_that_keeps, keeps, relative_cost
from mark.report.wording import milliseconds, percent, ratio, usd

__all__ = ["FigureTable", "cost_table", "promise_table", "requests_table"]


@dataclass(frozen=True, slots=True)
class FigureTable:
    """A name in the first column of each row, and figures in all others."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def cost_table(reports: Sequence[SimulationReport], sl_min: float) -> FigureTable:
    """Dollars of each policy; a market that no policy used has no column."""
    costs = [report.cost for report in reports]
    largest_usd = max(cost.total_usd for cost in costs)
    cheapest = cheapest_that_keeps(reports, sl_min)
    markets_usd = {
        "on demand": [cost.on_demand_usd for cost in costs],
        "spot": [cost.spot_usd for cost in costs],
        "burstable": [cost.burstable_usd for cost in costs],
        "serverless": [cost.serverless_usd for cost in costs],
    }
    used = {market: values for market, values in markets_usd.items() if any(values)}
    rows = [
        (
            report.policy,
            usd(report.cost.total_usd, largest_usd),
            ratio(relative_cost(report, cheapest)),
            *(usd(values[number], largest_usd) for values in used.values()),
        )
        for number, report in enumerate(reports)
    ]
    return FigureTable(("policy", "cost", "x cheapest", *used), tuple(rows))


def promise_table(reports: Sequence[SimulationReport], sl_min: float) -> FigureTable:
    """How each policy kept the promise."""
    rows = [
        (
            report.policy,
            "kept" if keeps(report, sl_min) else "broken",
            percent(report.attainment),
            milliseconds(report.latency.p50_ms),
            milliseconds(report.latency.p98_ms),
            milliseconds(report.latency.p99_ms),
        )
        for report in reports
    ]
    return FigureTable(("policy", "promise", "in time", "p50 ms", "p98 ms", "p99 ms"), tuple(rows))


def requests_table(reports: Sequence[SimulationReport]) -> FigureTable:
    """What became of the requests, and how often the cloud took an instance away."""
    rows = [
        (
            report.policy,
            f"{report.served.refused:,}",
            f"{report.served.late:,}",
            f"{report.served.serverless:,}",
            f"{report.interruptions:,}",
        )
        for report in reports
    ]
    return FigureTable(("policy", "refused", "late", "by functions", "interrupted"), tuple(rows))
