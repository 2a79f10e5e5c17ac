"""The plots of one policy over time: rates, fleet, dollars and attainment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mark.domain.simulation_report import SimulationReport, SimulationSeries
from mark.report.columns import Columns
from mark.report.drawing import colour, draw
from mark.report.palette import MARKETS, OTHERS, Style
from mark.report.wording import duration, percent, usd

__all__ = [
    "LegendEntry",
    "Picture",
    "attainment_plot",
    "cost_plot",
    "fleet_plot",
    "highest_rate_per_s",
    "rates_plot",
]

_BAND = 0.35  # opacity of what lies between the mean and the extreme of a column

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """What a line, or an area of that opacity, of a plot stands for."""

    label: str
    style: Style
    area: bool = False
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Picture:
    """A plot with what is written around it."""

    title: str
    svg: str
    legend: tuple[LegendEntry, ...]
    caption: str = ""


def rates_plot(name: str, report: SimulationReport, top_per_s: float) -> Picture:
    """Load, forecast and capacity; `top_per_s` makes the scale that of all policies."""
    series = report.series
    columns = Columns.of(len(series.offered), series.bin_s)
    load_per_s = series.offered / series.bin_s
    mean, highest = columns.mean(load_per_s), columns.highest(load_per_s)
    capacity, forecast = columns.mean(series.capacity_per_s), columns.mean(series.forecast_per_s)

    def paint(axes: Any) -> None:
        edges = _time_axis(axes, columns)
        axes.stairs(capacity, edges, fill=True, color=colour("green"), alpha=0.12, linewidth=0)
        axes.stairs(highest, edges, baseline=mean, fill=True, color=colour("blue"), alpha=_BAND, linewidth=0)
        axes.stairs(capacity, edges, baseline=None, color=colour("green"), linewidth=1.3)
        axes.stairs(forecast, edges, baseline=None, color=colour("orange"), linestyle=(0, (4, 1.5)), linewidth=1.3)
        axes.stairs(mean, edges, baseline=None, color=colour("blue"), linewidth=1.3)
        axes.set_ylim(0, 1.05 * top_per_s or 1)
        axes.set_ylabel("requests per second")

    peak, most = float(np.max(load_per_s)), float(np.max(series.capacity_per_s))
    alt = f"Load, forecast and capacity of {report.policy}: load up to {peak:.4g} requests per second, capacity up to "
    legend = [
        LegendEntry("load", Style("blue")),
        LegendEntry("forecast", Style("orange", (4, 1.5))),
        LegendEntry("capacity of the ready instances", Style("green")),
    ]
    if columns.per_column > 1:
        legend.insert(1, LegendEntry("up to the busiest bin", Style("blue"), area=True, opacity=_BAND))
    return Picture(
        "Load, forecast and capacity", draw(name, f"{alt}{most:.4g}", paint), tuple(legend), _resolution(columns)
    )


def cost_plot(name: str, report: SimulationReport) -> Picture:
    """Dollars spent so far, by market, one above the other."""
    series = report.series
    columns = Columns.of(len(series.offered), series.bin_s)
    spent = {
        market: np.append(0.0, np.cumsum(columns.total(series.usd_by_market[market])))
        for market in MARKETS
        if np.any(series.usd_by_market.get(market, np.zeros(1)) > 0)
    }

    def paint(axes: Any) -> None:
        edges = _time_axis(axes, columns)
        for market, top in reversed(_stacked(spent)):
            axes.fill_between(edges, top, color=colour(MARKETS[market][1]), linewidth=0)
        axes.set_ylim(0, 1.05 * sum(float(values[-1]) for values in spent.values()) or 1)
        axes.set_ylabel("US dollars so far")

    total = usd(report.cost.total_usd, report.cost.total_usd)
    legend = tuple(LegendEntry(MARKETS[market][0], Style(MARKETS[market][1]), area=True) for market in spent)
    svg = draw(name, f"Cost of {report.policy} by market, added up over time: {total} in the end", paint)
    return Picture("Cost so far, by market", svg, legend, "The scale is this policy's own.")


def fleet_plot(name: str, report: SimulationReport, swatches: Mapping[str, str]) -> Picture:
    """Ready instances by offering, one above the other."""
    series = report.series
    columns = Columns.of(len(series.offered), series.bin_s)
    counts: dict[str, Floats] = {}
    for offering in (offering for offering in series.fleet if np.any(series.fleet[offering] > 0)):
        shown = offering if offering in swatches else OTHERS
        counts[shown] = counts.get(shown, 0.0) + columns.mean(series.fleet[offering])
    counts = {offering: counts[offering] for offering in swatches if offering in counts}
    together = np.sum(list(series.fleet.values()), axis=0) if series.fleet else np.zeros(1)

    def paint(axes: Any) -> None:
        edges = _time_axis(axes, columns)
        for offering, top in reversed(_stacked(counts)):
            axes.stairs(top, edges, fill=True, color=colour(swatches[offering]), linewidth=0)
        axes.set_ylim(0, max(1.0, 1.05 * float(np.max(sum(counts.values(), np.zeros(1))))))
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.set_ylabel("ready instances")

    legend = tuple(LegendEntry(offering, Style(swatches[offering]), area=True) for offering in counts)
    alt = f"Fleet of {report.policy} by offering: at most {float(np.max(together)):g} instances at once"
    caption = "The scale is this policy's own." if counts else "No instance was ever ready."
    return Picture("Fleet", draw(name, alt, paint), legend, caption)


def attainment_plot(name: str, report: SimulationReport, sl_min: float) -> Picture:
    """Share of the requests that were answered in time, against the promise."""
    series = report.series
    columns = Columns.of(len(series.offered), series.bin_s)
    share = _share(columns.total(series.in_time), columns.total(series.offered))
    worst = columns.lowest(_share(series.in_time, series.offered))
    lowest = float(np.fmin.reduce(worst, initial=1.0))

    def paint(axes: Any) -> None:
        edges = _time_axis(axes, columns)
        axes.stairs(share, edges, baseline=worst, fill=True, color=colour("blue"), alpha=_BAND, linewidth=0)
        axes.stairs(share, edges, baseline=None, color=colour("blue"), linewidth=1.3)
        axes.axhline(sl_min, color=colour("red"), linestyle=(0, (5, 2)))
        bottom = max(0.0, min(lowest, 2 * sl_min - 1, 0.99))
        axes.set_ylim(bottom - 0.03 * (1 - bottom), 1 + 0.03 * (1 - bottom))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value * 100:.4g}%")
        axes.set_ylabel("answered in time")

    legend = [
        LegendEntry("share answered in time", Style("blue")),
        LegendEntry(f"promised: {percent(sl_min)}", Style("red", (5, 2))),
    ]
    if columns.per_column > 1:
        legend.insert(1, LegendEntry("down to the worst bin", Style("blue"), area=True, opacity=_BAND))
    alt = f"Attainment of {report.policy} over time: {percent(report.attainment)} in all, {percent(lowest)} in the "
    return Picture("Attainment", draw(name, f"{alt}worst bin", paint), tuple(legend), _resolution(columns))


def highest_rate_per_s(series: SimulationSeries) -> float:
    """The top of what `rates_plot` shows."""
    columns = Columns.of(len(series.offered), series.bin_s)
    return float(
        np.fmax.reduce(
            [
                *columns.highest(series.offered / series.bin_s),
                *columns.mean(series.capacity_per_s),
                *columns.mean(series.forecast_per_s),
            ]
        )
    )


def _share(part: Floats, whole: Floats) -> Floats:
    """NaN, which leaves a gap, where there is nothing to have a share of."""
    share = np.full(len(whole), np.nan)
    np.divide(part, whole, out=share, where=whole > 0)
    return share


def _stacked(parts: Mapping[str, Floats]) -> list[tuple[str, Floats]]:
    """Upper edges of the layers, the lowest first; painted in reverse, each hides what is not its own."""
    if not parts:
        return []
    return list(zip(parts, np.cumsum(list(parts.values()), axis=0), strict=True))


def _resolution(columns: Columns) -> str:
    if columns.per_column == 1:
        return f"Bins of {duration(columns.bin_s)}."
    return f"Lines are means over {duration(columns.column_s)}; a bin has {duration(columns.bin_s)}."


def _time_axis(axes: Any, columns: Columns) -> Floats:
    """Prepare the axis, and say where the columns lie on it."""
    from matplotlib.ticker import MaxNLocator

    edges_s = columns.edges_s
    unit, unit_s, steps = _time_unit(float(edges_s[-1]))
    axes.set_xlim(0, edges_s[-1] / unit_s)
    axes.set_xlabel(f"{unit} since the start")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=steps))
    return np.asarray(edges_s / unit_s, dtype=np.float64)


_TimeUnit = tuple[str, float, list[float]]


def _time_unit(length_s: float) -> _TimeUnit:
    """Its name, its length, and what the gaps between ticks may begin with."""
    if length_s <= 300:
        return "seconds", 1.0, [1, 2, 3, 5, 10]
    if length_s <= 3 * 3_600:
        return "minutes", 60.0, [1, 1.5, 2, 3, 6, 10]
    if length_s <= 3 * 86_400:
        return "hours", 3_600.0, [1, 1.2, 2.4, 3, 6, 10]
    return "days", 86_400.0, [1, 2, 5, 10]
