"""One frame of `mark top`: a view, drawn for a size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from mark.cli.top import figures
from mark.cli.top.chart import BAD
from mark.cli.top.decision import decision_line, decision_lines
from mark.cli.top.glyphs import Glyphs
from mark.cli.top.lines import Part, clean, clock_time, cut, joined, spread
from mark.cli.top.panels import Panels
from mark.cli.top.view import View
from mark.domain.sample import ModelSample

__all__ = ["Frame", "Size", "draw"]

_TITLE = "mark top "
_NAME_MAX = 24
_SILENT_S = 3.0  # a router tells something every second
_OTHER_MODEL = "tab model"
_KEYS = ("q quit", "arrows choose", "enter opens", _OTHER_MODEL, "+- time", "a all plans")
_KEYS_OPENED = ("esc back", "arrows choose", "page up/down scroll", "q quit")
_PLOT_ROWS_MIN = 2
_PLOT_ROWS_MAX = 10
_PLOT_AROUND = 2  # its legend and its axis
_DECISIONS_MIN = 3
_BARS_MIN = 8
_TALL = 36  # so many lines leave room for more plots, and for the load beside an opened decision
_TALLER = 50


@dataclass(frozen=True, slots=True)
class Size:
    """Of a terminal."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Frame:
    """What to show.

    Attributes:
        lines: exactly as many as the terminal has, none of them wider than it.
        scroll: how far the opened decision is scrolled: no farther than its end.
    """

    lines: list[Text]
    scroll: int


def draw(view: View, size: Size, silent_s: float, glyphs: Glyphs) -> Frame:
    """Draw the view.

    Args:
        view: what is known and chosen.
        size: of the terminal.
        silent_s: seconds since the router was last heard of.
        glyphs: what to draw with.
    """
    sample = view.seen.now
    if sample is None:
        waiting = "waiting for the first sample" if not view.lost_because else clean(view.lost_because)
        return Frame(_filled([Text("mark top", style="bold"), Text(waiting)], size), 0)
    header = [_header(view, sample, size.width, silent_s, glyphs)]
    footer = [_footer(view, size.width, glyphs)] if size.height > 6 and view.takes_keys else []
    room = size.height - len(header) - len(footer)
    is_open = view.opened and bool(view.decisions())
    panels = Panels(view, sample, size.width, glyphs)
    body, scroll = _opened(panels, size, room) if is_open else (_overview(panels, size, room), 0)
    return Frame(_filled(header + body[:room] + [Text()] * (room - len(body)) + footer, size), scroll)


def _filled(lines: list[Text], size: Size) -> list[Text]:
    """Exactly as many lines as there are rows, each as wide as a row."""
    lines = (lines + [Text()] * size.height)[: size.height]
    for line in lines:
        line.truncate(size.width, overflow="crop", pad=True)
    return lines


def _header(view: View, sample: ModelSample, width: int, silent_s: float, glyphs: Glyphs) -> Text:
    at = clock_time(sample.unix_s, sample.unix_s)
    right = Text(at)
    if view.lost_because or silent_s > _SILENT_S:
        right = Text(f" {'lost' if view.lost_because else 'silent'} since {at} ", style=f"{BAD} reverse")
    promise = f"  {sample.sl_min * 100:.4g}% within {sample.rt_max_ms:g} ms"
    room = width - len(_TITLE) - len(promise) - right.cell_len - 1
    return spread(Text.assemble((_TITLE, "bold"), _tabs(view, room, glyphs), promise), right, width, glyphs)


def _tabs(view: View, width: int, glyphs: Glyphs) -> Text:
    """The models by name, the one that is shown as it always is; how many there is no room for."""
    served = view.served
    tabs = [
        Text(f" {cut(Text(clean(name)), _NAME_MAX, glyphs)} ", style="reverse" if name == view.shown else "")
        for name in served
    ]
    shown = served.index(view.shown)
    first, last = shown, shown + 1
    # They grow to the right, then to the left, as long as they fit with the count of those that are left out.
    while wider := [
        (begin, end)
        for begin, end in ((first, last + 1), (first - 1, last))
        if begin >= 0 and end <= len(tabs) and _tabs_width(tabs, begin, end) <= width
    ]:
        first, last = wider[0]
    hidden = len(tabs) - (last - first)
    return Text.assemble(*tabs[first:last], f" +{hidden}" if hidden else "")


def _tabs_width(tabs: Sequence[Text], begin: int, end: int) -> int:
    count = len(" +99") if end - begin < len(tabs) else 0
    return sum(tab.cell_len for tab in tabs[begin:end]) + count


def _footer(view: View, width: int, glyphs: Glyphs) -> Text:
    if view.lost_because:
        return cut(Text(f"{clean(view.lost_because)}; trying again", style=BAD), width, glyphs)
    keys = [key for key in (_KEYS_OPENED if view.opened else _KEYS) if key != _OTHER_MODEL or len(view.served) > 1]
    parts = [Part.of((key, "dim"), spare=number) for number, key in enumerate(keys)]
    return joined(parts, width, glyphs, f" {glyphs.dot} ")


def _overview(panels: Panels, size: Size, room: int) -> list[Text]:
    told = _figures(panels, size)
    # What is left is shared by the plot of the load and the list of decisions, with its title.
    spare = room - len(told) - _PLOT_AROUND - 1
    plot_rows = min(_PLOT_ROWS_MAX, spare * 5 // 9, spare - _DECISIONS_MIN)
    plot = panels.load(plot_rows) if plot_rows >= _PLOT_ROWS_MIN else []
    return [*plot, *told, *_decisions(panels, max(1, room - len(plot) - len(told)))]


def _figures(panels: Panels, size: Size) -> list[Text]:
    sample, room, glyphs = panels.now, size.width - figures.LABEL_COLUMNS, panels.glyphs
    # A tall terminal has room for plots of latency and fleet, too.
    rows = 0 if size.height < _TALL else 3 if size.height < _TALLER else 5
    waiting, money = (sample.queued, sample.in_flight), (sample.usd_total, sample.usd_peak_sized)
    fleet = figures.fleet_line(sample.instances, panels.market_marks if rows else {}, room, glyphs)
    return [
        figures.labelled("latency", _latency(panels, room, plotted=bool(rows))),
        *(panels.latency(rows) if rows else ()),
        figures.labelled("in time", figures.attainment_line(sample.attainment, sample.sl_min, room, glyphs)),
        figures.labelled("budget", figures.budget_line(sample.error_budget_left, sample.burn_rate, room, glyphs)),
        figures.labelled("requests", figures.requests_line(sample.requests_per_s, waiting, room, glyphs)),
        figures.labelled("fleet", fleet),
        *(panels.fleet(rows) if rows else ()),
        figures.labelled("money", figures.money_line(sample.usd_per_hour, money, room, glyphs)),
    ]


def _latency(panels: Panels, width: int, *, plotted: bool) -> Text:
    """Percentiles; then what the plot below shows, or small bars of the p98 over time in what room is left."""
    sample, glyphs = panels.now, panels.glyphs
    words = joined(figures.latency_parts(sample.latency_ms, sample.rt_max_ms), width, glyphs)
    if plotted:
        return spread(words, panels.latency_legend(), width, glyphs)
    count = width - words.cell_len - len("  p98 ")
    if count < _BARS_MIN:
        return words
    return Text.assemble(words, ("  p98 ", "dim"), panels.p98_bars(count))


def _decisions(panels: Panels, height: int) -> list[Text]:
    view, width, glyphs = panels.view, panels.width, panels.glyphs
    decisions, chosen = view.decisions(), view.chosen()
    title = "all decisions" if view.all_plans else "decisions"
    rule = Text.assemble((f"{title} ", "bold"), (glyphs.rule * max(0, width - len(title) - 1), "dim"))
    rows = height - 1
    if not decisions:
        return [rule, Text("none yet that changed anything", style="dim")][:height]
    first = max(0, min(chosen - rows // 2, len(decisions) - rows))
    now = panels.now.unix_s
    return [
        rule,
        *(
            decision_line(record, width, now, glyphs, chosen=view.takes_keys and at == chosen)
            for at, record in enumerate(decisions[first : first + rows], start=first)
        ),
    ]


def _opened(panels: Panels, size: Size, room: int) -> tuple[list[Text], int]:
    """The chosen decision, in as much room as there is; beside the plot on a tall terminal."""
    view, glyphs = panels.view, panels.glyphs
    plot = panels.load(_PLOT_ROWS_MAX) if size.height >= _TALL else []
    rows = room - len(plot) - 1
    record = view.decisions()[view.chosen()]
    lines = decision_lines(record, size.width, panels.now.unix_s, glyphs)
    scroll = min(view.scroll, max(0, len(lines) - rows))
    left = len(lines) - rows - scroll
    below = f"{left} more lines " if left > 0 else ""
    at = f"decision {view.chosen() + 1} of {len(view.decisions())} "
    rule = Text.assemble(
        (at, "bold"), (glyphs.rule * max(0, size.width - len(at) - len(below)), "dim"), (f" {below}".rstrip(), "dim")
    )
    return [*plot, cut(rule, size.width, glyphs), *lines[scroll : scroll + rows]], scroll
