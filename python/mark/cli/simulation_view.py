"""What `mark simulate` and `mark compare` tell a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mark.domain.simulation_report import SimulationReport
from mark.report import FigureTable, cost_table, duration, promise_table, requests_table, verdict

__all__ = ["show"]


def show(console: Console, reports: Sequence[SimulationReport], sl_min: float) -> None:
    """Print narrow tables, the answer in a sentence, and the notes."""
    first = reports[0]
    title = f"{first.scenario}: {first.requests:,} requests in {duration(first.duration_s)}"
    console.print(_table(cost_table(reports, sl_min), title))
    for figures in (promise_table(reports, sl_min), requests_table(reports)):
        console.print()
        console.print(_table(figures, None))
    console.print()
    for line in _lines(reports, sl_min):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _table(figures: FigureTable, title: str | None) -> Table:
    table = Table(
        title=None if title is None else Text(title),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column(figures.header[0], no_wrap=True)
    for name in figures.header[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    for row in figures.rows:
        table.add_row(*(Text(cell) for cell in row))  # as text, for a bracket in it is no markup
    return table


def _lines(reports: Sequence[SimulationReport], sl_min: float) -> Iterator[str]:
    yield verdict(reports, sl_min)
    requests, wall_s = sum(report.requests for report in reports), sum(report.wall_s for report in reports)
    yield f"simulated {requests:,} requests in {wall_s:.2f} s, {requests / max(wall_s, 1e-9):,.0f} a second"
    yield from (f"note: {note}" for note in dict.fromkeys(note for report in reports for note in report.notes))
