"""The page of a comparison: a sentence, a table, and the plots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from importlib import resources

import numpy as np

from mark.domain.simulation_report import SimulationReport
from mark.report.comparison_plots import cost_bars, latency_plot
from mark.report.palette import css_variables, offering_swatches
from mark.report.plots import (
    LegendEntry,
    Picture,
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
        _figure(cost_bars(reports, sl_min)),
        _figure(latency_plot(reports)),
        "</div>",
        *_policies(reports, sl_min),
        *_notes(reports),
    ]
    return "\n".join(
        (
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title)}</title>",
            f"<style>\n{_style()}</style></head>",
            "<body><main>",
            *parts,
            "</main></body></html>\n",
        )
    )


def _style() -> str:
    sheet = resources.files("mark.report").joinpath("page.css").read_text(encoding="utf-8")
    dark = f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {css_variables(dark=True)} }} }}"
    return f":root {{ {css_variables(dark=False)} }}\n{dark}\n{sheet}"


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
            yield _figure(rates_plot(f"rates{number}", report, top_per_s))
            yield _figure(fleet_plot(f"fleet{number}", report, swatches))
            yield _figure(cost_plot(f"cost{number}", report))
            yield _figure(attainment_plot(f"attainment{number}", report, sl_min))
            yield "</div>"
        else:
            yield "<p>Nothing was recorded over time.</p>"
        yield "</section>"


def _figure(picture: Picture) -> str:
    legend = "".join(f"<li>{_swatch(entry)}{escape(entry.label)}</li>" for entry in picture.legend)
    caption = f"<figcaption>{escape(picture.caption)}</figcaption>" if picture.caption else ""
    return f"<figure><h3>{escape(picture.title)}</h3><ul>{legend}</ul>{picture.svg}{caption}</figure>"


def _swatch(entry: LegendEntry) -> str:
    """As SVG, for a browser that prints leaves out backgrounds."""
    hue = f"var(--{entry.style.swatch})"
    if entry.area:
        shape = f'<rect width="22" height="10" style="fill:{hue};opacity:{entry.opacity:g}"/>'
    else:
        dash = " ".join(f"{length * 1.3:g}" for length in entry.style.dash)
        dashes = f";stroke-dasharray:{dash}" if dash else ""
        shape = f'<path d="M0 5H22" style="stroke:{hue};stroke-width:2.5{dashes}"/>'
    return f'<svg class="swatch" aria-hidden="true" viewBox="0 0 22 10">{shape}</svg>'


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
