"""Shows simulated runs to a person: the words, the table, and a page of HTML with plots."""

from __future__ import annotations

from mark.report.drawing import check_can_draw
from mark.report.html import write_html
from mark.report.table import FigureTable, cost_table, promise_table, requests_table
from mark.report.verdict import cheapest_that_keeps, keeps, verdict
from mark.report.wording import duration

__all__ = [
    "FigureTable",
    "cheapest_that_keeps",
    "check_can_draw",
    "cost_table",
    "duration",
    "keeps",
    "promise_table",
    "requests_table",
    "verdict",
    "write_html",
]
