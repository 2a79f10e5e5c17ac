"""`mark tune` on a router that serves."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from integration.router_process import RouterProcess

from mark import Client
from mark.errors import InvalidRequest, Overloaded


def tune(router: RouterProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mark", "tune", "doubler", "--address", router.address, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def infer(router: RouterProcess, priority: int = 0) -> None:
    with Client(router.address) as client:
        outputs = client.infer("doubler", {"x": np.ones((1, 4), np.float32)}, priority=priority)
    assert outputs["y"].tolist() == [[2.0] * 4]


def test_knobs_are_shown_and_changed_while_it_serves(router: RouterProcess) -> None:
    assert json.loads(tune(router, "--json").stdout)["margin_ms"] == "5.0"
    infer(router)

    changed = tune(router, "--set", "batching.margin_ms=50", "--set", "admission=true")
    assert changed.returncode == 0, changed.stderr
    assert "batching.margin_ms = 50.0  (changed)" in changed.stdout
    infer(router)
    assert tune(router, "--set", "queue_bytes_max=1").returncode == 0
    with pytest.raises(Overloaded):
        infer(router)
    assert tune(router, "--set", "queue_bytes_max=1000000", "--set", "margin_ms=5").returncode == 0
    infer(router)


def test_what_cannot_be_set_is_said_and_nothing_is(router: RouterProcess) -> None:
    refused = tune(router, "--set", "margin_ms=7", "--set", "rows_max=16")

    assert refused.returncode != 0
    assert "batching.rows_max" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert json.loads(tune(router, "--json").stdout)["margin_ms"] == "5.0"
    assert "Traceback" not in tune(router, "--set", "margin_ms").stderr


def test_priorities_are_taken_and_one_out_of_range_is_named(router: RouterProcess) -> None:
    infer(router, priority=1)
    infer(router, priority=2)
    with pytest.raises(InvalidRequest, match="priority"):
        infer(router, priority=3)
