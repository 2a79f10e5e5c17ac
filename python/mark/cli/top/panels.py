"""Plots over time of the model that is shown: load, latency and fleet, one above the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property

from rich.text import Text

from mark.cli.top.chart import FORECAST, LIMIT, LOAD, Plot, bars_line, nice_top, plot_lines, stack_lines, stack_top
from mark.cli.top.columns import TimeColumns, coming_steps, expected_now
from mark.cli.top.figures import rate, span
from mark.cli.top.glyphs import Glyphs
from mark.cli.top.lines import Part, joined
from mark.cli.top.view import View
from mark.domain.sample import ModelSample

__all__ = ["Panels"]

_AXIS_COLUMNS = 7
_COMING_SHARE = 4  # of the width is for the steps to come, at most
_STEP_COLUMNS_MAX = 3
_MARKET_STYLES = (("on_demand", "green"), ("spot", "magenta"), ("burstable", "cyan"), ("serverless", ""))


class Panels:
    """Draws panels whose columns stand for the same time, which ends now."""

    def __init__(self, view: View, now: ModelSample, width: int, glyphs: Glyphs) -> None:
        """Make those of the model that a view shows, whose newest sample is `now`."""
        self.view = view
        self.now = now
        self.width = width
        self.glyphs = glyphs
        coming_max = max(1, width // _COMING_SHARE)
        self._coming = coming_steps(now, coming_max)
        self._step_columns = min(_STEP_COLUMNS_MAX, coming_max // max(1, len(self._coming)))
        coming_columns = 1 + len(self._coming) * self._step_columns if self._coming else 0
        self._past = max(1, width - _AXIS_COLUMNS - coming_columns)
        self._samples = view.seen.within(view.span_s)
        self._columns = TimeColumns(self._samples, now.unix_s, view.span_s, self._past)

    def load(self, rows: int) -> list[Text]:
        """Load, forecast and capacity: a legend with the figures of now, `rows` of plot, and the axis of time."""
        plot = Plot(
            bars=self._columns.values(lambda each: each.load_per_s),
            dots=self._columns.values(expected_now),
            line=self._columns.values(lambda each: each.capacity_ready_per_s, lowest=True),
            coming=self._coming,
            coming_line=self.now.capacity_planned_per_s,
            step_columns=self._step_columns,
        )
        lines = plot_lines(plot, rows, self.glyphs)
        return [self._load_legend(), *self._with_scale(lines, rate(nice_top(plot.highest))), self._time_axis()]

    def latency(self, rows: int) -> list[Text]:
        """The p98 of the answers against the promise, and the p99 above it: `rows` of plot."""
        plot = Plot(
            bars=self._columns.values(lambda each: each.latency_ms.get("p98", math.nan)),
            dots=self._columns.values(lambda each: each.latency_ms.get("p99", math.nan)),
            line=[self.now.rt_max_ms] * self._past,
        )
        return self._with_scale(plot_lines(plot, rows, self.glyphs), rate(nice_top(plot.highest)))

    def p98_bars(self, count: int) -> Text:
        """The p98 over time as so many small bars: full where it is as long as was promised."""
        columns = TimeColumns(self._samples, self.now.unix_s, self.view.span_s, count)
        p98_ms = columns.values(lambda each: each.latency_ms.get("p98", math.nan))
        return bars_line(p98_ms, self.now.rt_max_ms, self.glyphs)

    def latency_legend(self) -> Text:
        """What is what in `latency`."""
        return Text.assemble(
            (self.glyphs.bars[-1], LOAD),
            " p98  ",
            (self.glyphs.dots, FORECAST),
            " p99  ",
            (self.glyphs.line, LIMIT),
            " promised",
        )

    def fleet(self, rows: int) -> list[Text]:
        """Instances that live, by market: `rows` of plot."""
        parts = [(self._columns.values(_living_in(market)), *mark) for market, mark in self.market_marks.items()]
        if not parts:
            return []
        most = stack_top([values for values, _, _ in parts])
        return self._with_scale(stack_lines(parts, rows), f"{most:g}")

    @cached_property
    def market_marks(self) -> Mapping[str, tuple[str, str]]:
        """Character and style in `fleet` of each market of which there was an instance."""
        had = {market for each in self._samples for market in each.instances if _living(each.instances, market)}
        marks = zip(_MARKET_STYLES, self.glyphs.stack, strict=True)
        return {market: (glyph, style) for (market, style), glyph in marks if market in had}

    def _with_scale(self, lines: list[Text], top: str) -> list[Text]:
        labels = {len(lines) - 1: "0", 0: top}
        return [
            Text.assemble((f"{labels.get(row, ''):>{_AXIS_COLUMNS - 2}} {self.glyphs.now}", "dim"), line)
            for row, line in enumerate(lines)
        ]

    def _load_legend(self) -> Text:
        sample, glyphs = self.now, self.glyphs
        expected, ready, planned = expected_now(sample), sample.capacity_ready_per_s, sample.capacity_planned_per_s
        parts = [Part.of((glyphs.bars[-1], LOAD), f" load {rate(sample.load_per_s)}")]
        if math.isfinite(expected):
            parts.append(Part.of((glyphs.dots, FORECAST), f" expected {rate(expected)}"))
        if ready or planned:  # of foreign workers nothing is known
            parts.append(Part.of((glyphs.line, LIMIT), f" capacity {rate(ready)}"))
        if rate(planned) != rate(ready):
            parts.append(Part.of(f"{rate(planned)} planned", spare=1))
        parts.append(Part.of(("rows/s", "dim"), spare=2))
        return joined(parts, self.width, glyphs)

    def _time_axis(self) -> Text:
        """How far back the plot reaches, and how far ahead."""
        begin, now = f"-{span(self.view.span_s)}", "now"
        axis = Text(f"{' ' * _AXIS_COLUMNS}{begin}{' ' * (self._past - len(begin) - len(now))}{now}", style="dim")
        forecast, steps = self.now.forecast, len(self._coming)
        if forecast is not None and steps:
            ahead = f"+{span(steps * forecast.step_s)}"
            room = 1 + steps * self._step_columns
            axis.append(f"{ahead:>{room}}" if len(ahead) < room else "", style="dim")
        return axis


def _living(instances: Mapping[str, Mapping[str, int]], market: str) -> int:
    return sum(instances[market].values())


def _living_in(market: str) -> Callable[[ModelSample], float]:
    return lambda sample: float(_living(sample.instances, market)) if market in sample.instances else 0.0
