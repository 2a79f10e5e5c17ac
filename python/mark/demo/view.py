"""The demo's live view in the terminal."""

from __future__ import annotations

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from mark.demo.series import Sample, Series
from mark.domain.slo import Slo

__all__ = ["render"]

_BARS = " ▁▂▃▄▅▆▇█"
_WIDTH = 48


def render(series: Series, slo: Slo, duration_s: float) -> Panel:
    """Draw the newest sample, and the load and capacity that led to it."""
    last = series.last
    if last is None:
        return Panel("waiting for the first answers", title="mark demo")
    samples = series.samples[-_WIDTH:]
    top = max(1.0, *(max(sample.load_per_s, sample.capacity_per_s) for sample in samples))
    lines = Table.grid(padding=(0, 2))
    lines.add_row("load", _sparkline([sample.load_per_s for sample in samples], top), f"{last.load_per_s:.0f}/s")
    lines.add_row(
        "forecast", _sparkline([sample.forecast_per_s for sample in samples], top), f"{last.forecast_per_s:.0f}/s"
    )
    lines.add_row(
        "capacity", _sparkline([sample.capacity_per_s for sample in samples], top), f"{last.capacity_per_s:.0f}/s"
    )
    title = f"mark demo   {last.at_s:.0f} of {duration_s:.0f} s"
    return Panel(Group(lines, Text(), _numbers(last, slo)), title=title, title_align="left")


def _numbers(last: Sample, slo: Slo) -> Table:
    numbers = Table.grid(padding=(0, 3))
    fleet = ", ".join(f"{count} {name}" for name, count in sorted(last.ready.items())) or "none ready"
    if last.pending:
        fleet += f", {last.pending} booting"
    kept = "green" if last.attainment >= slo.sl_min else "red"
    in_time = "green" if last.p98_ms <= slo.rt_max_ms else "red"
    numbers.add_row("fleet", fleet)
    numbers.add_row("p98", Text(f"{last.p98_ms:.0f} ms of {slo.rt_max_ms:g} ms", style=in_time))
    numbers.add_row("attainment", Text(f"{last.attainment:.2%}, promised {slo.sl_min:.0%}", style=kept))
    numbers.add_row("requests", f"{last.sent} sent, {last.violations} violations")
    numbers.add_row("cost", f"${last.cost_usd:.6f}")
    return numbers


def _sparkline(values: list[float], top: float) -> str:
    steps = len(_BARS) - 1
    return "".join(_BARS[min(steps, round(value / top * steps))] for value in values).rjust(_WIDTH)
