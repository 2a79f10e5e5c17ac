"""The whole system on a fake AWS: bootstrap, requests over mutual TLS, the bill, and teardown."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from integration.router_process import environment, start_router

from mark import Client
from mark.cloud.aws.policy import policy
from mark.cloud.aws.settings import AwsSettings
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
ACCOUNT = "123456789012"
BUCKET = f"mark-whole-{ACCOUNT}-us-east-1"
ADMIN_KEY = "AKIAADMIN"
OWNER_KEY = "AKIAOWNER"
SECRET_KEY = "the-secret-key-of-the-router"
X = np.array([[1.0, 2.0, 3.0, 4.0]], dtype=np.float32)


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    path = environment(tmp_path)["PYTHONPATH"]
    with FakeAws(FakeAwsParams(environment={"PYTHONPATH": path})) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        settings = AwsSettings("whole", "us-east-1")
        running.allow(policy("router", settings, ACCOUNT))
        running.allow(policy("admin", settings, ACCOUNT), ADMIN_KEY)
        running.allow({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}, OWNER_KEY)
        yield running


def owners(aws: FakeAws, service: str) -> Any:
    """A client that may do everything."""
    keys = {"aws_access_key_id": OWNER_KEY, "aws_secret_access_key": "fake"}
    return boto3.client(service, endpoint_url=aws.endpoint_url, region_name="us-east-1", **keys)


def secrets(aws: FakeAws) -> list[str]:
    """What nobody may read in a log, user data or a tag: the keys of AWS and of the cluster, line by line."""
    owner = owners(aws, "s3")
    objects = owner.list_objects_v2(Bucket=BUCKET, Prefix="tls/")["Contents"]
    keys = [each["Key"] for each in objects if each["Key"].endswith("-key.pem")]
    assert {"tls/authority-key.pem", "tls/worker-key.pem"} <= set(keys)
    texts = [owner.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode() for key in keys]
    lines = {line for text in texts for line in text.splitlines() if len(line) > 32 and not line.startswith("---")}
    assert len(lines) >= 2
    return [SECRET_KEY, "PRIVATE KEY", *lines]


def told(aws: FakeAws, folder: Path) -> str:
    """All that the cluster has said and written where others can read it."""
    owner = owners(aws, "ec2")
    parts = [path.read_text(encoding="utf-8") for path in [folder / "router.log", *folder.glob("*.jsonl")]]
    for template in owner.describe_launch_templates()["LaunchTemplates"]:
        name = template["LaunchTemplateName"]
        (version,) = owner.describe_launch_template_versions(LaunchTemplateName=name)["LaunchTemplateVersions"]
        parts.append(base64.b64decode(version["LaunchTemplateData"]["UserData"]).decode())
        parts.append(json.dumps(version, default=str))
    parts += [json.dumps(owner.describe_tags()["Tags"]), json.dumps(aws.instances(), default=str)]
    tagged = owners(aws, "resourcegroupstaggingapi").get_resources()["ResourceTagMappingList"]
    parts += [json.dumps(tagged), *(aws.console(each["InstanceId"]) for each in aws.instances())]
    s3 = owners(aws, "s3")
    for each in s3.list_objects_v2(Bucket=BUCKET)["Contents"]:
        if not each["Key"].startswith(("tls/", "models/")):
            parts.append(s3.get_object(Bucket=BUCKET, Key=each["Key"])["Body"].read().decode())
    return "\n".join(parts)


def mark(*arguments: str) -> str:
    """What somebody says who may set clusters up and take them down, and do nothing else."""
    done = subprocess.run(
        [sys.executable, "-m", "mark", *arguments], check=False, capture_output=True, text=True, timeout=100,
        env={**os.environ, "AWS_ACCESS_KEY_ID": ADMIN_KEY},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_cluster_is_set_up_serves_is_billed_and_leaves_nothing(aws: FakeAws, tmp_path: Path) -> None:
    file = tmp_path / "aws.yaml"
    file.write_text(CONFIG.format(endpoint=aws.endpoint_url), encoding="utf-8")
    mark("aws", "bootstrap", str(file), "--yes")

    router = start_router(file.read_text(encoding="utf-8"), tmp_path)
    with Client(router.address) as client:
        np.testing.assert_array_equal(client.infer("doubler", {"x": X})["y"], 2 * X)
    router.wait_ready(2)
    running = [each for each in aws.instances() if each["State"]["Name"] == "running"]
    assert len(running) == 2
    hidden, shown = secrets(aws), told(aws, tmp_path)
    assert '"bucket"' in shown  # user data are among it
    assert [each for each in hidden if each in shown] == []
    assert router.stop(signal.SIGTERM, timeout_s=60.0) == 0

    log = router.log.read_text(encoding="utf-8")
    (spent_usd,) = re.findall(r"stopped; instances and functions have cost \$(\d\.\d{6})", log)
    assert float(spent_usd) == pytest.approx(aws.record().usd, abs=1e-6)
    assert float(spent_usd) > 0.0
    mark("aws", "teardown", str(file), "--yes")
    assert aws.tagged("whole") == []
    assert aws.processes() == {}
    said = log + "".join(aws.console(each["InstanceId"]) for each in aws.instances())
    assert [each for each in hidden if each in said] == []
