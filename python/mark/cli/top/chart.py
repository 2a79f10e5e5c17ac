"""Plots of characters: bars with a limit and a fan of what is to come, stacks, rows of small bars, gauges."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from mark.cli.top.glyphs import Glyphs

__all__ = [
    "BAD",
    "FORECAST",
    "LIMIT",
    "LOAD",
    "Plot",
    "bars_line",
    "gauge",
    "nice_top",
    "plot_lines",
    "stack_lines",
    "stack_top",
]

# Names of the terminal's own palette: whoever chose a light or a dark one sees all of them. Yellow and blue are left
# out, for each is lost on one of the two.
LOAD = "cyan"
LIMIT = "bold"
FORECAST = "magenta"
BAD = "bold red"


@dataclass(frozen=True, slots=True)
class Plot:
    """What to plot, in one unit; NaN where nothing is known.

    Attributes:
        bars: one for each column until now.
        dots: a second value for the same columns, which shows where it is above its bar.
        line: a limit for the same columns.
        coming: for each step to come quantiles of what the bars will be, ascending.
        coming_line: the limit for them.
        step_columns: columns of one step to come.
    """

    bars: Sequence[float]
    dots: Sequence[float]
    line: Sequence[float]
    coming: Sequence[Sequence[float]] = ()
    coming_line: float = 0.0
    step_columns: int = 1

    @property
    def highest(self) -> float:
        """The greatest of all."""
        coming = (value for step in self.coming for value in step)
        values = (*self.bars, *self.dots, *self.line, *coming, self.coming_line if self.coming else 0.0)
        return max((value for value in values if math.isfinite(value)), default=0.0)


def nice_top(highest: float) -> float:
    """The end of an axis for values up to `highest`: 1, 2, 2.5, 4, 5 or 8 times a power of ten, at least 1."""
    if not math.isfinite(highest) or highest <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(highest))
    return float(next(power * step for step in (1, 2, 2.5, 4, 5, 8, 10) if power * step >= highest * (1 - 1e-9)))


def plot_lines(plot: Plot, height: int, glyphs: Glyphs) -> list[Text]:
    """Rows from the top to the bottom, without labels; each is as wide as the columns, a line for now, and the fan."""
    top = nice_top(plot.highest)
    lines = []
    for row in reversed(range(height)):
        line = Text(no_wrap=True)
        for bar, dot, limit in zip(plot.bars, plot.dots, plot.line, strict=True):
            line.append(*_past_cell(row, height, (bar / top, dot / top, limit / top), glyphs))
        if plot.coming:
            line.append(glyphs.now, style="dim")
        for step in plot.coming:
            cell = _coming_cell(row, height, tuple(value / top for value in step), plot.coming_line / top, glyphs)
            for _ in range(plot.step_columns):
                line.append(*cell)
        lines.append(line)
    return lines


def stack_lines(parts: Sequence[tuple[Sequence[float], str, str]], height: int) -> list[Text]:
    """Rows of columns of several parts, the first one lowest.

    Args:
        parts: the values of a part, one for each column, NaN where nothing is known; its character and its style.
        height: how many rows.
    """
    columns = list(zip(*(values for values, _, _ in parts), strict=True))
    top = stack_top([values for values, _, _ in parts])
    lines = []
    for row in reversed(range(height)):
        level = (row + 0.5) / height * top
        line = Text(no_wrap=True)
        for column in columns:
            known = _known(column)
            reaches = itertools.accumulate(known)
            part = next((number for number, reach in enumerate(reaches) if level <= reach), None)
            if part is None and row == 0 and any(known):
                part = known.index(max(known))  # a little beside much is seen, too
            line.append(*(" ", "") if part is None else parts[part][1:])
        lines.append(line)
    return lines


def stack_top(parts: Sequence[Sequence[float]]) -> float:
    """How high the highest column of `stack_lines` is, at least 1."""
    return max(1.0, *(sum(_known(column)) for column in zip(*parts, strict=True)))


def _known(values: Sequence[float]) -> list[float]:
    return [0.0 if math.isnan(value) else value for value in values]


def _past_cell(row: int, height: int, shares: tuple[float, float, float], glyphs: Glyphs) -> tuple[str, str]:
    bar, dot, limit = shares
    filled = _filled(bar, row, height, len(glyphs.bars) - 1)
    if _crosses(limit, row, height):
        # Another line where the bar is beyond it: that is where the promise is at risk, and colours may be missing.
        return (glyphs.over_line, BAD) if bar > limit else (glyphs.line, LIMIT)
    if filled:
        return glyphs.bars[filled], LOAD
    return (glyphs.dots, FORECAST) if _crosses(dot, row, height) else (" ", "")


def _coming_cell(row: int, height: int, shares: tuple[float, ...], limit: float, glyphs: Glyphs) -> tuple[str, str]:
    if _crosses(limit, row, height):
        return glyphs.line, LIMIT
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
