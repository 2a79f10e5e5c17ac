"""The page of a comparison: a sentence, a table, and the plots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

import numpy as np

from mark.domain.simulation_report import SimulationReport
from mark.report.comparison_plots import cost_bars, latency_plot
from mark.report.document import document, figure
from mark.report.palette import offering_swatches
from mark.report.plots import (
    attainment_plot,
    cost_plot,
    fleet_plot,
    highest_rate_per_s,
    rates_plot,
)
from mark.report.table import cost_table, promise_table, requests_table
from mark.report.verdict import cheapest_that_keeps, keeps, verdict
from mark.report.wording import duration

__all__ = ["page"]


def page(reports: Sequence[SimulationReport], title: str, sl_min: float) -> str:
    """The whole page. It needs nothing from outside, and runs no script."""
    parts = [
        f"<header><h1>{escape(title)}</h1>",
        f"<p>{escape(_load(reports))}</p>",
        f'<p class="verdict">{escape(verdict(reports, sl_min))}</p></header>',
        *_table(reports, sl_min),
        '<div class="plots">',
        figure(cost_bars(reports, sl_min)),
        figure(latency_plot(reports)),
        "</div>",
        *_policies(reports, sl_min),
        *_notes(reports),
    ]
    return document(title, parts)


def _load(reports: Sequence[SimulationReport]) -> str:
    first = reports[0]
    return f"{first.scenario}: {first.requests:,} requests in {duration(first.duration_s)} of simulated time."


def _table(reports: Sequence[SimulationReport], sl_min: float) -> Iterator[str]:
    tables = (cost_table(reports, sl_min), promise_table(reports, sl_min), requests_table(reports))
    best = cheapest_that_keeps(reports, sl_min)
    yield '<div class="wide" tabindex="0" role="region" aria-label="Policies, in figures"><table>'
    names = ("policy", *(name for table in tables for name in table.header[1:]))
    yield "<thead><tr>" + "".join(f'<th scope="col">{escape(name)}</th>' for name in names) + "</tr></thead><tbody>"
    for number, report in enumerate(reports):
        kind = "best" if report is best else "kept" if keeps(report, sl_min) else "broken"
        cells = "".join(f"<td>{escape(cell)}</td>" for table in tables for cell in table.rows[number][1:])
        yield f'<tr class="{kind}"><th scope="row">{escape(report.policy)}</th>{cells}</tr>'
    yield "</tbody></table></div>"


def _policies(reports: Sequence[SimulationReport], sl_min: float) -> Iterator[str]:
    usage: dict[str, float] = {}
    for report in reports:
        for offering, counts in report.series.fleet.items():
            usage[offering] = usage.get(offering, 0.0) + float(np.sum(counts)) * report.series.bin_s
    swatches = offering_swatches(usage)
    top_per_s = max((highest_rate_per_s(report.series) for report in reports if len(report.series.offered)), default=1)
    for number, report in enumerate(reports):
        yield f"<section><h2>{escape(report.policy)}</h2>"
        if len(report.series.offered):
            yield '<div class="plots">'
            yield figure(rates_plot(f"rates{number}", report, top_per_s))
            yield figure(fleet_plot(f"fleet{number}", report, swatches))
            yield figure(cost_plot(f"cost{number}", report))
            yield figure(attainment_plot(f"attainment{number}", report, sl_min))
            yield "</div>"
        else:
            yield "<p>Nothing was recorded over time.</p>"
        yield "</section>"


def _notes(reports: Sequence[SimulationReport]) -> Iterator[str]:
    """Each note once, with the policies that it is about where it is not about all."""
    about: dict[str, list[str]] = {}
    for report in reports:
        for note in report.notes:
            about.setdefault(note, []).append(report.policy)
    if about:
        yield "<section><h2>Notes</h2><ul>"
        for note, policies in about.items():
            of = "" if len(policies) == len(reports) else f"{', '.join(policies)}: "
            yield f"<li>{escape(of + note)}</li>"
        yield "</ul></section>"
