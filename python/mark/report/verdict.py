"""Which policy is the cheapest that keeps the promise, and by how much."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mark.domain.simulation_report import SimulationReport
from mark.report.wording import milliseconds, percent, usd

__all__ = ["cheapest_that_keeps", "keeps", "relative_cost", "verdict"]


def keeps(report: SimulationReport, sl_min: float) -> bool:
    """Whether the run kept the promise."""
    return report.attainment >= sl_min


def cheapest_that_keeps(reports: Sequence[SimulationReport], sl_min: float) -> SimulationReport | None:
    """The cheapest that kept the promise, the first of several; None when none did."""
    kept = [report for report in reports if keeps(report, sl_min)]
    return min(kept, key=lambda report: report.cost.total_usd, default=None)


def relative_cost(report: SimulationReport, cheapest: SimulationReport | None) -> float:
    """Its cost as a multiple of the cheapest's; NaN when there is nothing to compare with."""
    if cheapest is None or cheapest.cost.total_usd <= 0:
        return math.nan
    return report.cost.total_usd / cheapest.cost.total_usd


def verdict(reports: Sequence[SimulationReport], sl_min: float) -> str:
    """The answer in a sentence.

    Args:
        reports: of one or more policies on the same load.
        sl_min: the share of the requests that is promised an answer in time.
    """
    promise = f"the promise ({percent(sl_min)} within {milliseconds(reports[0].rt_max_ms)} ms)"
    largest_usd = max(report.cost.total_usd for report in reports)
    best = cheapest_that_keeps(reports, sl_min)
    if len(reports) == 1:
        kept = "keeps" if best is not None else "breaks"
        return f"{reports[0].policy} {kept} {promise} at {usd(largest_usd, largest_usd)}."
    if best is None:
        nearest = max(reports, key=lambda report: report.attainment)
        return f"No policy keeps {promise}; {nearest.policy} comes nearest with {percent(nearest.attainment)}."
    others = [report for report in reports if report is not best and keeps(report, sl_min)]
    cost = usd(best.cost.total_usd, largest_usd)
    if not others:
        return f"{best.policy} is the only policy that keeps {promise}, at {cost}."
    runner_up = min(others, key=lambda report: report.cost.total_usd)
    next_cost = usd(runner_up.cost.total_usd, largest_usd)
    if runner_up.cost.total_usd <= best.cost.total_usd:
        return f"{best.policy} and {runner_up.policy} are the cheapest that keep {promise}, at {cost} each."
    saved = 1 - best.cost.total_usd / runner_up.cost.total_usd
    return (
        f"{best.policy} is the cheapest that keeps {promise}: {cost}, {saved:.1%} less than {runner_up.policy}, "
        f"the next cheapest that keeps it, at {next_cost}."
    )
