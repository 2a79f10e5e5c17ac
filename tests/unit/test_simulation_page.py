"""The page of a comparison, and the words and figures that it shares with the terminal."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from unit.simulation_reports import MadeUp

from mark.domain.simulation_report import Cost, SimulationReport
from mark.errors import ConfigError
from mark.report import check_can_draw, cost_table, html, promise_table, verdict, write_html
from mark.report.columns import COLUMNS_MAX, Columns
from mark.report.palette import OTHERS, SWATCHES, offering_swatches, policy_styles
from mark.report.wording import duration, milliseconds, percent, ratio, usd


def costing(policy: str, usd_spent: float, attainment: float = 0.99) -> SimulationReport:
    return replace(MadeUp(policy).report(), cost=Cost(on_demand_usd=usd_spent), attainment=attainment)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "day.html"
    reports = [MadeUp("mark").report(), MadeUp("serverless-only", usd_per_hour={}, notes=("<b>alone</b>",)).report()]
    write_html(path, reports, "<script>alert(1)</script>", 0.98)
    return path.read_text(encoding="utf-8")


class Tags(HTMLParser):
    """Which elements there are, and that each is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_every_plot_is_in_the_page_with_words_for_those_who_do_not_see_it(text: str) -> None:
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    alts = [str(attributes["aria-label"]) for tag, attributes in tags.seen if attributes.get("role") == "img"]
    assert len(alts) == 2 + 4 * 2
    assert alts[0].startswith("Cost by policy: mark $")
    ids = [attributes["id"] for _, attributes in tags.seen if attributes.get("id")]
    assert len(set(ids)) == len(ids)
    assert set(re.findall(r'(?:url\(|href=")#([\w-]+)', text)) == set(ids)


def test_nothing_comes_from_outside_and_names_are_escaped(text: str) -> None:
    assert "<script" not in text
    assert "<b>" not in text
    assert "http" not in text
    assert "serverless-only: &lt;b&gt;alone&lt;/b&gt;" in text


def test_plots_have_the_colours_of_the_page(text: str) -> None:
    body = text[text.index("<body>") :]
    assert re.findall(r"#[0-9a-f]{6}\b", body) == []
    assert set(re.findall(r"var\(--(\w+)\)", body)) <= set(SWATCHES)
    assert "prefers-color-scheme: dark" in text


def test_the_same_reports_make_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for name in ("a.html", "b.html"):
        write_html(tmp_path / name, [MadeUp().report()], "day", 0.98)
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1]


def test_a_week_of_minutes_stays_small(tmp_path: Path) -> None:
    path = tmp_path / "week.html"
    write_html(path, [MadeUp(bins=10_080).report()], "week", 0.98)
    assert path.stat().st_size < 200_000
    assert "Lines are means over 42 min; a bin has 60 s." in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("bins", [0, 1])
def test_a_run_of_next_to_nothing_has_a_page(tmp_path: Path, bins: int) -> None:
    write_html(tmp_path / "x.html", [MadeUp(bins=bins, base_per_s=0).report()], "x", 1.0)
    assert ("Nothing was recorded over time" in (tmp_path / "x.html").read_text(encoding="utf-8")) == (bins == 0)


def test_what_is_interrupted_leaves_the_former_page_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "day.html"
    path.write_text("former", encoding="utf-8")
    monkeypatch.setattr(html, "page", lambda *question: "new")
    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_html(path, [MadeUp().report()], "day", 0.98)
    assert [(file.name, file.read_text(encoding="utf-8")) for file in tmp_path.iterdir()] == [("day.html", "former")]


def test_that_matplotlib_is_missing_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_svg", None)
    with pytest.raises(ConfigError, match=r"pip install 'mark-serve\[report\]'"):
        check_can_draw()


def test_the_cheapest_that_keeps_the_promise_is_named_with_what_it_saves() -> None:
    reports = [costing("mark", 60), costing("reactive", 40, 0.9), costing("peak-static", 120)]
    assert verdict(reports, 0.98) == (
        "mark is the cheapest that keeps the promise (98.00% within 600 ms): $60.00, 50.0% less than peak-static, "
        "the next cheapest that keeps it, at $120.00."
    )


@pytest.mark.parametrize(
    ("reports", "words"),
    [
        ([costing("a", 1)], "a keeps the promise"),
        ([costing("a", 1, 0.5)], "a breaks the promise"),
        ([costing("a", 1, 0.5), costing("b", 2, 0.6)], "No policy keeps the promise (98.00% within 600 ms); b comes"),
        ([costing("a", 1), costing("b", 2, 0.6)], "a is the only policy that keeps"),
        ([costing("a", 1), costing("b", 1)], "a and b are the cheapest that keep"),
        ([costing("a", 0), costing("b", 0)], "a and b are the cheapest that keep"),
    ],
)
def test_other_answers_are_said_as_they_are(reports: list[SimulationReport], words: str) -> None:
    assert verdict(reports, 0.98).startswith(words)


def test_tables_compare_with_the_cheapest_that_keeps_and_leave_out_unused_markets() -> None:
    reports = [costing("mark", 60), costing("reactive", 30, 0.9)]
    table = cost_table(reports, 0.98)
    assert table.header == ("policy", "cost", "x cheapest", "on demand")
    assert table.rows == (("mark", "$60.0000", "1.00x", "$60.0000"), ("reactive", "$30.0000", "0.50x", "$30.0000"))
    promise = promise_table(reports, 0.98)
    assert [row[:3] for row in promise.rows] == [("mark", "kept", "99.00%"), ("reactive", "broken", "90.00%")]
    assert {len(row) for row in promise.rows} == {len(promise.header)}


def test_figures_in_words() -> None:
    assert [usd(1234.5, 1234.5), usd(0.5, 0.5), usd(0.001, 0.001)] == ["$1,234.50", "$0.5000", "$0.001000"]
    assert [percent(0.98), percent(0.979999), percent(0.99999)] == ["98.00%", "97.99%", "99.99%"]
    assert [milliseconds(1234.0), milliseconds(12.34), milliseconds(1.234)] == ["1,234", "12.3", "1.23"]
    assert [duration(45), duration(600), duration(86_400), duration(604_800)] == ["45 s", "10 min", "24 h", "7 days"]
    assert {usd(np.nan, 1), percent(np.nan), milliseconds(np.nan), ratio(np.nan)} == {usd(np.inf, 1)}


def test_columns_keep_sums_means_and_extremes() -> None:
    columns = Columns.of(2 * COLUMNS_MAX + 1, 60.0)
    values = np.arange(2.0 * COLUMNS_MAX + 1)
    assert columns.per_column == 3
    assert (columns.edges_s[0], columns.edges_s[-1]) == (0, len(values) * 60)
    assert columns.total(values).sum() == values.sum()
    assert (columns.mean(values)[0], columns.highest(values)[0], columns.lowest(values)[0]) == (1, 2, 0)
    assert columns.mean(values)[-1] == values[-1]


def test_many_policies_and_offerings_stay_apart() -> None:
    styles = policy_styles([f"policy {number}" for number in range(10)])
    assert len({(style.swatch, style.dash) for style in styles.values()}) == 10
    swatches = offering_swatches({f"type {number}": number for number in range(10)})
    assert (len(swatches), swatches[OTHERS]) == (8, "grey")
    assert "type 0" not in swatches
