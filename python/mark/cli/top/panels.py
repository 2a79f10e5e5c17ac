"""Plots over time of the model that is shown: load, latency and fleet, one above the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rich.text import Text

from mark.cli.top.chart import FORECAST, LIMIT, LOAD, Plot, nice_top, plot_lines, stack_lines
from mark.cli.top.columns import TimeColumns, Value, coming_steps, expected_now
from mark.cli.top.figures import rate, span
from mark.cli.top.glyphs import Glyphs
from mark.cli.top.lines import Part, joined
from mark.cli.top.view import View
from mark.domain.sample import ModelSample

__all__ = ["Panels"]

_AXIS_COLUMNS = 7
_COMING_SHARE = 4  # of the width is for the steps to come, at most
_STEP_COLUMNS_MAX = 3
_MARKET_STYLES = ("green", "magenta", "cyan", "")


@dataclass(frozen=True, slots=True)
class Panels:
    """Draws panels whose columns stand for the same time, which ends now."""

    view: View
    now: ModelSample
    width: int
    glyphs: Glyphs

    def load(self, rows: int) -> list[Text]:
        """Load, forecast and capacity: a legend with the figures of now, `rows` of plot, and the axis of time."""
        plot = Plot(
            bars=self._values(lambda each: each.load_per_s),
            dots=self._values(expected_now),
            line=self._values(lambda each: each.capacity_ready_per_s, lowest=True),
            coming=self._coming,
            coming_line=self.now.capacity_planned_per_s,
            step_columns=self._step_columns,
        )
        lines = plot_lines(plot, rows, self.glyphs)
        return [self._load_legend(), *self._with_scale(lines, rate(nice_top(plot.highest))), self._time_axis()]

    def latency(self, rows: int) -> list[Text]:
        """The p98 of the answers against the promise, and the p99 above it: `rows` of plot."""
        plot = Plot(
            bars=self._values(lambda each: each.latency_ms.get("p98", math.nan)),
            dots=self._values(lambda each: each.latency_ms.get("p99", math.nan)),
            line=[self.now.rt_max_ms] * self._past,
        )
        return self._with_scale(plot_lines(plot, rows, self.glyphs), rate(nice_top(plot.highest)))

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
        parts = [(self._values(_living_in(market)), style) for market, (_, style) in self.market_marks().items()]
        if not parts:
            return []
        most = max(sum(states.values()) for each in self._samples for states in [_living(each)])
        return self._with_scale(stack_lines(parts, rows, self.glyphs), f"{max(1, most)}")

    def market_marks(self) -> Mapping[str, tuple[str, str]]:
        """Character and style in `fleet` of each market of which there was an instance."""
        had = {market for each in self._samples for market, count in _living(each).items() if count}
        markets = [market for market in self.now.instances if market in had]
        marks = zip(self.glyphs.stack, _MARKET_STYLES, strict=True)
        return dict(zip(markets, marks, strict=False))

    @property
    def _samples(self) -> list[ModelSample]:
        return self.view.seen.within(self.view.span_s)

    @property
    def _coming(self) -> list[tuple[float, ...]]:
        return coming_steps(self.now, max(1, self.width // _COMING_SHARE))

    @property
    def _step_columns(self) -> int:
        return min(_STEP_COLUMNS_MAX, max(1, self.width // _COMING_SHARE) // max(1, len(self._coming)))

    @property
    def _past(self) -> int:
        coming = len(self._coming)
        return max(1, self.width - _AXIS_COLUMNS - (1 + coming * self._step_columns if coming else 0))

    def _values(self, value: Value, *, lowest: bool = False) -> list[float]:
        columns = TimeColumns.until(self.now.unix_s, self.view.span_s, self._past)
        return columns.values(self._samples, value, lowest=lowest)

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


def _living(sample: ModelSample) -> dict[str, int]:
    return {market: sum(states.values()) for market, states in sample.instances.items()}


def _living_in(market: str) -> Callable[[ModelSample], float]:
    return lambda sample: float(_living(sample).get(market, 0))
