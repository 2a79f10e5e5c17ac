"""Dashboard and alerts ask for what is exported, by labels that it has, and for all of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner
from unit.exported_names import complaints, exported, names_in

from mark.cli.commands import app
from mark.live.metric_table import ROUTER_METRICS
from mark.observability.files import alerts_yaml, dashboard_json

# What is no line of a plot: the version is the label of one.
NOT_PLOTTED = {"mark_slo_target_ratio"}
SEVERITIES = {"page", "ticket"}


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(dashboard_json())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def targets() -> Iterator[tuple[str, str, str]]:
    """(panel, expression, legend)."""
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"], target["legendFormat"]


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(alerts_yaml())["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def test_a_name_or_label_that_is_not_exported_is_found() -> None:
    assert list(complaints("rate(mark_request_total[5m])")) == ["mark_request_total is not exported"]
    assert list(complaints('mark_requests_total{status="late"}')) == ["mark_requests_total has no label status"]
    assert len(list(complaints("sum by (market) (mark_queued_requests)"))) == 1
    assert len(list(complaints("mark_queued_requests", frozenset({"market"})))) == 1
    assert list(complaints('histogram_quantile(0.9, sum by (le) (rate(mark_batch_rows_bucket{model="m"}[5m])))')) == []
    assert list(complaints("mark_batch_rows")) == ["mark_batch_rows is not exported"]


@pytest.mark.parametrize(("panel", "expression", "legend"), list(targets()))
def test_every_line_of_the_dashboard_can_be_drawn(panel: str, expression: str, legend: str) -> None:
    shown = frozenset(re.findall(r"\{\{(\w+)\}\}", legend))

    assert list(complaints(expression, shown)) == [], panel


def test_everything_that_a_router_exports_is_on_the_dashboard() -> None:
    asked = {exported()[name].name for _, expression, _ in targets() for name in names_in(expression)}

    assert {info.name for info in ROUTER_METRICS} - asked == NOT_PLOTTED


def test_the_dashboard_is_laid_out_without_overlap_and_each_panel_has_its_number() -> None:
    everything = json.loads(dashboard_json())["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in everything:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in everything}) == len(everything)
    assert len({panel["title"] for panel in everything}) == len(everything)


def test_the_dashboard_names_no_data_source_of_its_own() -> None:
    made = json.loads(dashboard_json())

    assert {panel["datasource"]["uid"] for panel in panels()} == {"${datasource}"}
    assert [variable["name"] for variable in made["templating"]["list"]] == ["datasource", "job", "model"]
    for variable in made["templating"]["list"][1:]:
        assert list(complaints(variable["definition"].removeprefix("label_values(").split(",")[0])) == []
    for annotation in made["annotations"]["list"]:
        assert list(complaints(annotation["expr"])) == []


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert", rule.get("record")))
def test_every_rule_asks_for_what_is_exported_or_recorded(rule: dict[str, Any]) -> None:
    recorded = {each["record"] for each in rules() if "record" in each}

    assert list(complaints(rule["expr"])) == []
    assert set(re.findall(r"mark:[\w:]+", rule["expr"])) <= recorded


@pytest.mark.parametrize("alert", alerts(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_how_bad_it_is_and_what_to_look_at(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in SEVERITIES
    words = alert["annotations"]
    assert set(words) == {"summary", "description"}
    used = set(re.findall(r"\$labels\.(\w+)", " ".join(words.values())))
    known = {label for name in names_in(alert["expr"]) for label in exported()[name].labels} | {"model"}
    assert used <= known


def test_the_burn_rate_is_looked_at_in_a_long_and_a_short_window_together() -> None:
    (fast,) = (rule["expr"] for rule in alerts() if rule["alert"] == "MarkErrorBudgetBurnsFast")

    assert {"mark:slo_misses:ratio_rate5m", "mark:slo_misses:ratio_rate1h"} <= set(re.findall(r"mark:[\w:]+", fast))


def test_the_files_can_be_had_from_the_command_line() -> None:
    runner = CliRunner()

    assert runner.invoke(app, ["metrics", "dashboard"]).stdout == dashboard_json()
    assert runner.invoke(app, ["metrics", "alerts"]).stdout == alerts_yaml()
    listed = runner.invoke(app, ["metrics", "list"]).stdout.splitlines()
    assert "mark_queued_requests{model} gauge: Requests that wait." in listed
    assert {line.split("{")[0].split()[0] for line in listed} >= {info.name for info in ROUTER_METRICS}
