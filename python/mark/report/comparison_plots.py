"""The plots that show all policies together: dollars by market, and latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mark.domain.simulation_report import SimulationReport, SimulationSeries
from mark.report.drawing import colour, draw
from mark.report.palette import MARKETS, Style, policy_styles
from mark.report.plots import LegendEntry, Picture
from mark.report.verdict import keeps
from mark.report.wording import milliseconds, usd

__all__ = ["cost_bars", "latency_plot"]

_UTMOST = 1e-4

Floats = npt.NDArray[np.float64]


def cost_bars(reports: Sequence[SimulationReport], sl_min: float) -> Picture:
    """What each policy cost, by market."""
    spent = {market: np.array([_spent(report)[market] for report in reports]) for market in MARKETS}
    spent = {market: values for market, values in spent.items() if np.any(values > 0)}
    totals_usd = [report.cost.total_usd for report in reports]
    largest_usd = max(totals_usd)
    rows = np.arange(len(reports))

    def paint(axes: Any) -> None:
        left = np.zeros(len(reports))
        for market, values in spent.items():
            axes.barh(rows, values, left=left, height=0.7, color=colour(MARKETS[market][1]), linewidth=0)
            left += values
        for row, report in enumerate(reports):
            label = usd(totals_usd[row], largest_usd) + ("" if keeps(report, sl_min) else ", promise broken")
            axes.annotate(label, (totals_usd[row], row), (3, 0), textcoords="offset points", va="center", fontsize=8)
        axes.set_yticks(rows, [report.policy for report in reports])
        axes.set_ylim(len(reports) - 0.4, -0.6)  # the first one on top
        axes.set_xlim(0, 1.6 * largest_usd or 1)  # the labels need room
        axes.grid(visible=False, axis="y")
        axes.xaxis.get_major_locator().set_params(nbins=6)
        axes.set_xlabel("US dollars")

    alt = "Cost by policy: " + ", ".join(
        f"{report.policy} {usd(total, largest_usd)}" for report, total in zip(reports, totals_usd, strict=True)
    )
    legend = tuple(LegendEntry(MARKETS[market][0], Style(MARKETS[market][1]), area=True) for market in spent)
    height = 0.9 + 0.26 * len(reports)
    return Picture("Cost by market", draw("cost", alt, paint, height_inches=height), legend)


def latency_plot(reports: Sequence[SimulationReport]) -> Picture:
    """How many of the answered requests were answered within how long."""
    curves = {report.policy: curve for report in reports if len((curve := _curve(report.series))[0])}
    styles = policy_styles([report.policy for report in reports])
    rt_max_ms = reports[0].rt_max_ms

    def paint(axes: Any) -> None:
        for policy, (edges_ms, shares) in curves.items():
            axes.plot(edges_ms, shares * 100, color=colour(styles[policy].swatch), linestyle=_dashes(styles[policy]))
        axes.axvline(rt_max_ms, color=colour("ink"), linewidth=1)
        axes.annotate(f"rt_max {milliseconds(rt_max_ms)} ms", (rt_max_ms, 2), (3, 0), textcoords="offset points",
                      rotation=90, va="bottom", fontsize=8)  # fmt: skip
        axes.set_xscale("log")
        lowest = min([float(edges_ms[0]) for edges_ms, _ in curves.values()] + [rt_max_ms / 2])
        highest = max([float(edges_ms[-1]) for edges_ms, _ in curves.values()] + [rt_max_ms])
        axes.set_xlim(max(lowest, rt_max_ms / 1e4), highest * 1.3)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
        axes.set_ylim(0, 102)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}%")
        axes.set_xlabel("latency in milliseconds, logarithmic")
        axes.set_ylabel("answered requests")

    legend = tuple(LegendEntry(policy, styles[policy]) for policy in curves)
    alt = "Latency: " + ", ".join(f"{report.policy} p99 {milliseconds(report.latency.p99_ms)} ms" for report in reports)
    caption = "Of what was answered; what was refused is not in it. A line ends where 99.99% are answered."
    return Picture("Latency", draw("latency", alt, paint, height_inches=3.0), legend, caption)


def _spent(report: SimulationReport) -> Mapping[str, float]:
    cost = report.cost
    return {
        "on_demand": cost.on_demand_usd,
        "spot": cost.spot_usd,
        "burstable": cost.burstable_usd,
        "serverless": cost.serverless_usd,
    }


def _curve(series: SimulationSeries) -> tuple[Floats, Floats]:
    """Edges and shares, without the utmost ten-thousandth at either end; empty without answers."""
    finite = np.isfinite(series.latency_edges_ms) & (series.latency_edges_ms > 0)
    edges_ms, shares = series.latency_edges_ms[finite], series.latency_shares[finite]
    if not len(shares) or not shares[-1] > 0:
        return edges_ms[:0], shares[:0]
    first = max(0, int(np.argmax(shares > _UTMOST * shares[-1])) - 1)
    last = int(np.argmax(shares >= (1 - _UTMOST) * shares[-1])) + 1
    return edges_ms[first:last], shares[first:last]


def _dashes(style: Style) -> Any:
    return (0, style.dash) if style.dash else "-"
