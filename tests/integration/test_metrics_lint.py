"""What Prometheus's own tool says of what is exported."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from unit.metrics_world import MetricsWorld, record

from mark.domain.plan import Launch
from mark.domain.record import RecordKind


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
    world.lookout.look()

    checked = subprocess.run(
        [promtool, "check", "metrics"], input=world.metrics.exposition(), capture_output=True, timeout=30, check=False
    )

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
