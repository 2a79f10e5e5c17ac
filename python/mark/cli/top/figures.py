"""Figures of a model in words, a line each: `mark top` and `mark status` say the same."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rich.text import Text

from mark.cli.top.chart import BAD, gauge
from mark.cli.top.glyphs import Glyphs
from mark.cli.top.lines import Part, clean, joined
from mark.report.wording import milliseconds, percent

__all__ = [
    "attainment_line",
    "budget_line",
    "fleet_line",
    "labelled",
    "latency_parts",
    "money_line",
    "rate",
    "requests_line",
    "span",
]

LABEL_COLUMNS = 9
GOOD = "green"

_GAUGE_COLUMNS = 12
_STATES = {"ready": "ready", "pending": "booting", "draining": "leaving"}
_SPANS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def labelled(label: str, line: Text) -> Text:
    """A line with its name before it."""
    return Text.assemble((label.ljust(LABEL_COLUMNS), "bold"), line)


def span(length_s: float) -> str:
    """A length of time in the largest unit that goes into it."""
    for unit_s, unit in _SPANS:
        if length_s >= unit_s and length_s % unit_s == 0:
            return f"{length_s / unit_s:g} {unit}"
    return f"{length_s:g} s"


def rate(value_per_s: float) -> str:
    """A rate, with as many digits as matter."""
    if not math.isfinite(value_per_s):
        return "-"
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value_per_s >= factor:
            return f"{value_per_s / (1e3 if letter == 'k' else factor):,.1f}{letter}"
    return f"{value_per_s:,.0f}" if value_per_s >= 100 else f"{value_per_s:.1f}"


def latency_parts(latency_ms: Mapping[str, float], rt_max_ms: float) -> list[Part]:
    """Percentiles of the last answers against the promise; the p98 is the one that it is about."""
    if not latency_ms:
        return [Part.of(f"nothing answered of late; promised {rt_max_ms:g} ms")]
    parts = [
        Part.of(f"{name} ", (milliseconds(value), BAD if value > rt_max_ms else ""))
        for name, value in latency_ms.items()
    ]
    parts[-1].text.append(f" of {rt_max_ms:g} ms")
    return parts


def attainment_line(attainment: Mapping[int, float], sl_min: float, width: int, glyphs: Glyphs) -> Text:
    """Share of requests in time by window, short windows first; the longest go where there is no room."""
    parts = [
        Part.of(f"{span(window_s)} ", (percent(share), BAD if share < sl_min else GOOD), spare=number)
        for number, (window_s, share) in enumerate(sorted(attainment.items()))
    ]
    return joined(parts, width, glyphs) if parts else Text("nothing ended yet")


def budget_line(left: float, burn_rate: Mapping[int, float], width: int, glyphs: Glyphs) -> Text:
    """What is left of the error budget, and how fast it burns by window: at 1x it would just last."""
    style = BAD if left <= 0 else GOOD
    words = f"{percent(left)} left" if left > 0 else f"overdrawn {_times(1 - left)}"
    parts = [Part(gauge(left, _GAUGE_COLUMNS, glyphs, style), spare=3), Part.of((words, style))]
    for number, (window_s, burns) in enumerate(sorted(burn_rate.items())):
        begin = f"burns {span(window_s)}" if number == 0 else span(window_s)
        parts.append(Part.of(f"{begin} ", (_times(burns), BAD if burns > 1 else ""), spare=2 + 2 * number))
    return joined(parts, width, glyphs)


def _times(value: float) -> str:
    return f"{value:.1f}x" if math.isfinite(value) else "beyond measure"


def requests_line(requests_per_s: Mapping[str, float], waiting: tuple[int, int], width: int, glyphs: Glyphs) -> Text:
    """Requests that ended in the last second, by outcome; and those that wait or are with a worker."""
    queued, in_flight = waiting
    answered = requests_per_s.get("answered", 0.0)
    parts = [Part.of(f"{rate(answered)}/s in time")]
    parts += [
        Part.of((f"{rate(each)}/s {clean(outcome).replace('_', ' ')}", "" if outcome == "cancelled" else BAD), spare=1)
        for outcome, each in requests_per_s.items()
        if outcome != "answered" and each > 0
    ]
    parts.append(Part.of(f"{queued} queued, {in_flight} in flight", spare=2))
    return joined(parts, width, glyphs)


def fleet_line(
    instances: Mapping[str, Mapping[str, int]], marks: Mapping[str, tuple[str, str]], width: int, glyphs: Glyphs
) -> Text:
    """Instances that live, by market and state; before each market its mark and the style of it, if it has one."""
    parts = []
    for market in dict.fromkeys((*marks, *instances)):
        states = instances.get(market, {})
        counted = ", ".join(f"{count} {_STATES.get(state, clean(state))}" for state, count in states.items() if count)
        if counted or market in marks:
            mark, style = marks.get(market, ("", ""))
            parts.append(
                Part.of((mark, style), " " * len(mark), f"{clean(market).replace('_', ' ')} {counted or 'none'}")
            )
    return joined(parts, width, glyphs, f" {glyphs.dot} ") if parts else Text("no instance")


def money_line(
    usd_per_hour: Mapping[str, float], total: tuple[float, float | None], width: int, glyphs: Glyphs
) -> Text:
    """Dollars an hour, by market; dollars so far, and those of a fleet that is sized for the peak."""
    total_usd, peak_usd = total
    parts = [Part.of(f"${sum(usd_per_hour.values()):,.4f} an hour")]
    markets = ", ".join(f"{clean(market).replace('_', ' ')} ${usd:,.4f}" for market, usd in usd_per_hour.items() if usd)
    if markets and len([usd for usd in usd_per_hour.values() if usd]) > 1:
        parts.append(Part.of(f"({markets})", spare=2))
    parts.append(Part.of(f"${total_usd:,.6f} so far"))
    if peak_usd is not None and peak_usd > 0:
        less = 1 - total_usd / peak_usd
        words = f"{abs(less):.0%} {'less' if less >= 0 else 'more'} than for the peak"
        parts += [Part.of(words, spare=1), Part.of(f"(${peak_usd:,.6f})", spare=3)]
    return joined(parts, width, glyphs)
