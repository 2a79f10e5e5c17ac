"""A decision as a line of a list, and opened: its reasons, what it did, what it did not do, and what it saw."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.text import Text

from mark.cli.top.chart import BAD
from mark.cli.top.glyphs import Glyphs
from mark.cli.top.lines import clean, clock_time, cut, spread, wrapped
from mark.domain.forecast import Forecast
from mark.domain.plan import Action, Launch
from mark.domain.record import Record, RecordedInstance, RecordKind
from mark.report.wording import duration

__all__ = ["KIND_STYLES", "decision_line", "decision_lines"]

_ALARMS = (RecordKind.INTERRUPTION, RecordKind.LOSS, RecordKind.SHED, RecordKind.REFUSAL)
_STAND_INS = (RecordKind.FALLBACK, RecordKind.BUDGET)
KIND_STYLES: Mapping[RecordKind, str] = {
    **dict.fromkeys(RecordKind, ""),
    **dict.fromkeys(_ALARMS, BAD),
    **dict.fromkeys(_STAND_INS, "magenta"),
    RecordKind.ADDITION: "bold",
    RecordKind.BRIDGE: "bold",
}
_KIND_COLUMNS = max(len(kind.value) for kind in RecordKind)
_INDENT = "    "
_FOR_REPLAY = frozenset({"arrivals", "config", "horizon_s", "tally"})
_WORDS_MAX = 400
_NARROW = 70


def decision_line(record: Record, width: int, now_unix_s: float, glyphs: Glyphs, *, chosen: bool) -> Text:
    """Time, kind and reason on one line."""
    kind = record.kind.value if width < _NARROW else record.kind.value.ljust(_KIND_COLUMNS)
    line = Text.assemble(
        f"{glyphs.chosen if chosen else ' '} {clock_time(record.unix_s, now_unix_s)}  ",
        (kind, KIND_STYLES[record.kind]),
        f"  {clean(record.reason)}",
    )
    line = cut(line, width, glyphs)
    if chosen:
        line.append(" " * (width - line.cell_len))
        line.stylize("reverse")
    return line


def decision_lines(record: Record, width: int, now_unix_s: float, glyphs: Glyphs) -> list[Text]:
    """All that a record says, in as many lines as it takes."""
    title = Text.assemble(
        (clock_time(record.unix_s, now_unix_s), "bold"), "  ", (record.kind.value, f"bold {KIND_STYLES[record.kind]}")
    )
    lines = [
        spread(title, Text(f"fleet after it: {_usd(record.usd_per_hour)} an hour"), width, glyphs),
        *wrapped(Text(clean(record.reason)), width),
    ]
    for heading, texts in (
        ("done", _done(record.actions)),
        ("not done", _not_done(record)),
        ("seen", _seen(record)),
        ("more", _told(record.details)),
    ):
        told = list(texts)
        if told:
            lines.append(Text(heading, style="bold"))
            lines += [line for text in told for line in wrapped(Text(f"  {text}"), width, _INDENT)]
    lines.append(Text(f"record {clean(record.id)}", style="dim"))
    return [cut(line, width, glyphs) for line in lines]


def _usd(value: float) -> str:
    return f"${value:,.4f}"


def _done(actions: Sequence[Action]) -> Iterator[str]:
    """Each action; those that differ only in their instance or token are told once."""
    launches = Counter((action.offering, clean(action.reason)) for action in actions if isinstance(action, Launch))
    for (offering, reason), count in launches.items():
        yield f"launch {count} x {clean(offering)}: {reason}"
    for action in actions:
        if not isinstance(action, Launch):
            yield f"retire {clean(action.instance)}: {clean(action.reason)}"
    if not actions:
        yield "nothing: the fleet stays as it is"


def _not_done(record: Record) -> Iterator[str]:
    horizon_s = record.details.get("horizon_s")
    over = f"over {duration(horizon_s)}" if isinstance(horizon_s, (int, float)) else "over the horizon"
    for each in record.alternatives:
        price = "" if each.extra_usd is None else f", {_more(each.extra_usd)} {over}"
        yield f"{clean(each.what)}{price}: {clean(each.reason)}"


def _more(extra_usd: float) -> str:
    return f"{_usd(extra_usd)} more" if extra_usd >= 0 else f"{_usd(-extra_usd)} less"


def _seen(record: Record) -> Iterator[str]:
    seen = record.snapshot
    yield f"load {seen.load_per_s:,.1f} rows/s; capacity {seen.capacity_per_s:,.1f} rows/s once it is done"
    if seen.forecast is not None and seen.forecast.rates_per_s:
        yield from _forecast(seen.forecast)
    if seen.instances:
        yield f"fleet: {_counted(seen.instances)}"
    if seen.draining:
        yield f"leaving: {_counted(seen.draining)}"
    if seen.unavailable_s:
        left = ", ".join(f"{clean(name)} for {left_s:.0f} s" for name, left_s in seen.unavailable_s.items())
        yield f"not to be had: {left}"
    if seen.prices_usd_per_hour:
        yield "prices: " + ", ".join(
            f"{clean(name)} {_usd(price)} an hour{_serves(seen.capacities_per_s.get(name))}"
            for name, price in seen.prices_usd_per_hour.items()
        )


def _forecast(forecast: Forecast) -> Iterator[str]:
    rates = ", ".join(f"{rate:,.1f}" for rate in forecast.rates_per_s[:6])
    further = f" and {len(forecast.rates_per_s) - 6} more" if len(forecast.rates_per_s) > 6 else ""
    by = f" by {clean(forecast.forecaster)}"
    yield f"expected {rates}{further} rows/s in steps of {forecast.step_s:g} s{by}"
    if forecast.fallback:
        yield f"another forecaster stands in: {clean(forecast.fallback)}"


def _serves(capacity_per_s: float | None) -> str:
    if capacity_per_s is None or not math.isfinite(capacity_per_s):
        return ""
    return f" for {capacity_per_s:,.0f} rows/s"


def _counted(instances: Sequence[RecordedInstance]) -> str:
    counts = Counter((each.offering, each.market, each.state) for each in instances)
    return ", ".join(
        f"{count} {clean(offering)} ({market.replace('_', ' ')}, {state})"
        for (offering, market, state), count in counts.items()
    )


def _told(details: Mapping[str, Any]) -> Iterator[str]:
    """What only this kind of record has, without what is there for a replay."""
    for name, value in details.items():
        if name not in _FOR_REPLAY and not name.endswith("_at_ns"):
            words = clean(_named(name, value, ": "))
            yield f"{words[:_WORDS_MAX]}{'...' if len(words) > _WORDS_MAX else ''}"


def _named(name: str, value: Any, between: str) -> str:
    """A name and its value; seconds with their unit where people have it."""
    if name.endswith("_s") and not name.endswith("_per_s") and isinstance(value, (int, float)):
        return f"{name.removesuffix('_s').replace('_', ' ')}{between}{value:,.6g} s"
    return f"{name.replace('_', ' ')}{between}{_said(value)}"


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(_named(name, each, " ") for name, each in value.items())
    if isinstance(value, (list, tuple)):
        return ("; " if any(isinstance(each, Mapping) for each in value) else ", ").join(_said(each) for each in value)
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
