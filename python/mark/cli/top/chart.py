"""Plots of characters: load, forecast and capacity over time, and rows of small bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from mark.cli.top.glyphs import Glyphs

__all__ = ["BAD", "CAPACITY", "FORECAST", "LOAD", "LoadPlot", "bars_line", "gauge", "load_plot_lines", "nice_top"]

# Names of the terminal's own palette: whoever chose a light or a dark one sees all of them. Yellow and blue are left
# out, for each is lost on one of the two.
LOAD = "cyan"
CAPACITY = "bold"
FORECAST = "magenta"
BAD = "bold red"


@dataclass(frozen=True, slots=True)
class LoadPlot:
    """What to plot; rates in rows per second, NaN where nothing is known.

    Attributes:
        load_per_s: one for each column until now.
        forecast_per_s: what was expected, for the same columns.
        capacity_per_s: what the fleet served, for the same columns.
        coming: quantiles of the load of each step to come, ascending.
        coming_capacity_per_s: what is planned for them.
        step_columns: columns of one step to come.
    """

    load_per_s: Sequence[float]
    forecast_per_s: Sequence[float]
    capacity_per_s: Sequence[float]
    coming: Sequence[Sequence[float]]
    coming_capacity_per_s: float
    step_columns: int

    @property
    def highest_per_s(self) -> float:
        """The greatest of all."""
        rates = (
            *self.load_per_s,
            *self.forecast_per_s,
            *self.capacity_per_s,
            *(rate for step in self.coming for rate in step),
            self.coming_capacity_per_s if self.coming else 0.0,
        )
        return max((rate for rate in rates if math.isfinite(rate)), default=0.0)


def nice_top(highest: float) -> float:
    """The end of an axis for values up to `highest`: 1, 2, 2.5, 4, 5 or 8 times a power of ten, at least 1."""
    if not math.isfinite(highest) or highest <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(highest))
    return float(next(power * step for step in (1, 2, 2.5, 4, 5, 8, 10) if power * step >= highest * (1 - 1e-9)))


def load_plot_lines(plot: LoadPlot, height: int, glyphs: Glyphs) -> list[Text]:
    """Rows from the top to the bottom, without labels; each is as wide as the columns, a line for now, and the fan."""
    top = nice_top(plot.highest_per_s)
    lines = []
    for row in reversed(range(height)):
        line = Text(no_wrap=True)
        for load, expected, capacity in zip(plot.load_per_s, plot.forecast_per_s, plot.capacity_per_s, strict=True):
            line.append(*_past_cell(row, height, (load / top, expected / top, capacity / top), glyphs))
        if plot.coming:
            line.append(glyphs.now, style="dim")
        for step in plot.coming:
            shares = tuple(rate / top for rate in step)
            cell = _coming_cell(row, height, shares, plot.coming_capacity_per_s / top, glyphs)
            for _ in range(plot.step_columns):
                line.append(*cell)
        lines.append(line)
    return lines


def _past_cell(row: int, height: int, shares: tuple[float, float, float], glyphs: Glyphs) -> tuple[str, str]:
    load, expected, capacity = shares
    filled = _filled(load, row, height, len(glyphs.bars) - 1)
    if _crosses(capacity, row, height):
        # Through the bar where there is more load than capacity: that is where the promise is at risk.
        return glyphs.capacity, BAD if filled and load > capacity else CAPACITY
    if filled:
        return glyphs.bars[filled], LOAD
    return (glyphs.forecast, FORECAST) if _crosses(expected, row, height) else (" ", "")


def _coming_cell(row: int, height: int, shares: tuple[float, ...], capacity: float, glyphs: Glyphs) -> tuple[str, str]:
    if _crosses(capacity, row, height):
        return glyphs.capacity, CAPACITY
    # A column is never empty below a load that is expected, however little it is.
    middle = (row + 0.5) / height if row else 1e-9
    above = [number for number, share in enumerate(shares) if middle <= share]
    if not above:
        return " ", ""
    lowest = above[0]
    if lowest == 0 and len(shares) > 1:
        return glyphs.fan[0], FORECAST
    return glyphs.fan[2 if lowest == len(shares) - 1 and len(shares) > 1 else 1], FORECAST


def _filled(share: float, row: int, height: int, steps: int) -> int:
    """How far a bar of that share of the height fills a row, from 0 to `steps`; a load above 0 always shows."""
    if not math.isfinite(share) or share <= 0:
        return 0
    least = 1 if row == 0 else 0
    return max(least, min(steps, round(share * height * steps) - row * steps))


def _crosses(share: float, row: int, height: int) -> bool:
    return math.isfinite(share) and share > 0 and min(height - 1, int(share * height)) == row


def bars_line(values: Sequence[float], top: float, glyphs: Glyphs, style: str = LOAD) -> Text:
    """One small bar for each value up to `top`; higher ones stand out. NaN leaves its column empty."""
    steps = len(glyphs.bars) - 1
    line = Text(no_wrap=True)
    for value in values:
        if not math.isfinite(value) or value <= 0:
            line.append(" ")
        elif value > top:
            line.append(glyphs.over, style=BAD)
        else:
            line.append(glyphs.bars[max(1, math.ceil(value / top * (steps - 1)))], style=style)
    return line


def gauge(share: float, width: int, glyphs: Glyphs, style: str = "") -> Text:
    """A bar that is full at 1; never quite full below it, nor quite empty above 0."""
    share = min(1.0, max(0.0, share)) if math.isfinite(share) else 0.0
    full = min(width - 1, max(1, round(share * width))) if 0 < share < 1 else round(share) * width
    return Text.assemble((glyphs.gauge[0] * full, style), (glyphs.gauge[1] * (width - full), "dim"))
