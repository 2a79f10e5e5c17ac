"""The whole system on a fake AWS: bootstrap, requests over mutual TLS, the bill, and teardown."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from integration.router_process import environment, start_router

from mark import Client
from mark.testing.aws import FakeAws, FakeAwsParams

CONFIG = """
cluster: whole
provider: aws
aws: {{region: us-east-1, endpoint_url: "{endpoint}", install: ""}}
server: {{port: 0, drain_s: 5}}
offerings:
  - {{name: cpu, types: [c5.large, c5a.large], price_usd_per_hour: 0.085, max_count: 4}}
models:
  - name: doubler
    version: "1"
    runtime: python
    source: doubler_model:make
    inputs: [{{name: x, datatype: FP32, shape: [-1, 4]}}]
    outputs: [{{name: y, datatype: FP32, shape: [-1, 4]}}]
    slo: {{rt_max_ms: 2000, sl_min: 0.9}}
    batching: {{rows_max: 8, margin_ms: 5}}
    controller: {{step_s: 1, window_s: 1, horizon_steps: 5, cooldown_s: 600, min_instances: 2}}
    profiles: {{cpu: [[1, 4.0], [8, 8.0]]}}
"""
X = np.array([[1.0, 2.0, 3.0, 4.0]], dtype=np.float32)


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    path = environment(tmp_path)["PYTHONPATH"]
    with FakeAws(FakeAwsParams(environment={"PYTHONPATH": path})) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


def mark(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mark", *arguments], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_cluster_is_set_up_serves_is_billed_and_leaves_nothing(aws: FakeAws, tmp_path: Path) -> None:
    file = tmp_path / "aws.yaml"
    file.write_text(CONFIG.format(endpoint=aws.endpoint_url), encoding="utf-8")
    mark("aws", "bootstrap", str(file), "--yes")

    router = start_router(file.read_text(encoding="utf-8"), tmp_path)
    with Client(router.address) as client:
        np.testing.assert_array_equal(client.infer("doubler", {"x": X})["y"], 2 * X)
    running = [each for each in aws.instances() if each["State"]["Name"] == "running"]
    assert len(running) == 2
    assert router.stop(signal.SIGTERM, timeout_s=60.0) == 0

    log = router.log.read_text(encoding="utf-8")
    (spent_usd,) = re.findall(r"stopped; instances and functions have cost \$(\d\.\d{6})", log)
    assert float(spent_usd) == pytest.approx(aws.record().usd, abs=1e-6)
    assert float(spent_usd) > 0.0
    mark("aws", "teardown", str(file), "--yes")
    assert aws.tagged("whole") == []
    assert aws.processes() == {}
    assert "PRIVATE KEY" not in log + "".join(aws.console(each["InstanceId"]) for each in aws.instances())
