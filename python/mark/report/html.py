"""Writes the page of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mark.domain.simulation_report import SimulationReport
from mark.report.document import write_page
from mark.report.drawing import check_can_draw
from mark.report.page import page

__all__ = ["write_html"]


def write_html(path: Path, reports: Sequence[SimulationReport], title: str, sl_min: float) -> None:
    """Write one self-contained HTML file; the same reports make the same bytes.

    The file is there as a whole or not at all: a former one stays until the new one is complete.

    Args:
        path: where to; its folder exists.
        reports: of one or more policies on the same load.
        title: heads the page.
        sl_min: the share of the requests that is promised an answer in time.

    Raises:
        ConfigError: there is nothing to draw with, or the file cannot be written.
    """
    check_can_draw()
    write_page(path, page(reports, title, sl_min))
