"""What Prometheus's own tool says of what is exported, and of what is asked of it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from unit.metrics_world import MetricsWorld, record

from mark.domain.plan import Launch
from mark.domain.record import RecordKind
from mark.observability.files import alerts_yaml, dashboard_json

CASES = Path(__file__).with_name("alert_cases.yaml")


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    return found


def test_promtool_finds_nothing_to_mend(promtool: str) -> None:
    world = MetricsWorld()
    world.path.answer()
    world.path.refuse()
    world.recorder.record(record(RecordKind.PLAN, Launch("spot", "t", "cheapest")))
    world.recorder.record(record(RecordKind.PLAN, minute=1))
    world.look()

    checked = subprocess.run(
        [promtool, "check", "metrics"], input=world.metrics.exposition(), capture_output=True, timeout=30, check=False
    )

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_every_expression_of_the_dashboard_is_promql(promtool: str, tmp_path: Path) -> None:
    expressions = [
        target["expr"].replace("$__rate_interval", "1m")
        for panel in json.loads(dashboard_json())["panels"]
        for target in panel.get("targets", [])
    ]
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(expressions)]
    made = tmp_path / "rules.yaml"
    made.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")

    checked = subprocess.run(
        [promtool, "check", "rules", str(made)], capture_output=True, text=True, timeout=30, check=False
    )

    assert checked.returncode == 0, checked.stderr
    assert f"{len(rules)} rules found" in checked.stdout


def test_alerts_fire_when_they_should_and_only_then(promtool: str, tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text(alerts_yaml(), encoding="utf-8")
    (tmp_path / "cases.yaml").write_text(CASES.read_text(encoding="utf-8"), encoding="utf-8")

    checked = subprocess.run(
        [promtool, "test", "rules", str(tmp_path / "cases.yaml")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "SUCCESS" in checked.stdout
