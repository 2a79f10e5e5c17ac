"""The agent of an EC2 instance as a process, with a worker process, before moto's S3 and SQS."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import psutil
import pytest
from integration.metadata_stub import MetadataStub
from integration.router_process import environment
from moto.server import ThreadedMotoServer

from mark._core import write_infer_request
from mark.cloud.aws.agent_settings import AgentSettings
from mark.cloud.aws.certificates import LinkIdentity
from mark.domain.artifact import ModelArtifact
from mark.domain.signature import ModelSignature, TensorSpec
from mark.live.worker_link import WorkerLink

BUCKET = "mark-demo"
SIGNATURE = ModelSignature("doubler", "1", (TensorSpec("x", "FP32", (-1, 4)),), (TensorSpec("y", "FP32", (-1, 4)),), 8)
REQUEST = write_infer_request("doubler", "", "", [("x", "FP32", (1, 4), np.ones((1, 4), np.float32))], [])
TIMEOUT_S = 20.0

# As the command does, but with eyes open: the rhythm of a real instance is no test's.
FAST = """
import sys
from pathlib import Path
from mark.cloud.aws.agent import AgentFolders, AgentRhythm, run_agent
from mark.cloud.aws.agent_settings import AgentSettings
from mark.errors import MarkError
file = Path(sys.argv[1])
settings = AgentSettings.from_json(file.read_text(), "agent.json")
try:
    status = run_agent(settings, AgentFolders.beside(file, {}), AgentRhythm(0.05, 0.05, (0.01, 0.02)))
except MarkError as error:
    sys.exit(f"mark: {error}")
sys.exit(status)
"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def _account(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)


@pytest.fixture
def identity(_account: None) -> LinkIdentity:
    """A new cluster's; its certificates are in the bucket."""
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for stored in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        s3.delete_object(Bucket=BUCKET, Key=stored["Key"])
    made = LinkIdentity(lambda: s3, lambda: BUCKET, "demo")
    made.refresh()
    return made


@pytest.fixture
def metadata() -> Iterator[MetadataStub]:
    with MetadataStub() as started:
        yield started


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert isinstance(port, int)
        return port


class Agent:
    """An agent process of a boot of its own; each is killed at the end of its test."""

    started: list[Agent] = []  # noqa: RUF012 - of all tests

    def __init__(self, folder: Path, metadata: MetadataStub, *command: str, **changed: Any) -> None:
        artifact = ModelArtifact(SIGNATURE, "python", "doubler_model:make")
        self.settings = replace(AgentSettings("demo", "us-east-1", BUCKET, artifact, port=free_port()), **changed)
        self.file = folder / "agent.json"
        self.file.write_text(self.settings.to_json(), encoding="utf-8")
        self.log = folder / "log"
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [sys.executable, *(command or ("-c", FAST)), str(self.file)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env={**environment(folder), "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.endpoint},
            )  # fmt: skip
        self.started.append(self)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.settings.port}"

    @property
    def worker(self) -> psutil.Process:
        [worker] = psutil.Process(self.process.pid).children()
        return worker

    def wait(self) -> int:
        return self.process.wait(TIMEOUT_S)


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    yield
    for agent in Agent.started:
        children = psutil.Process(agent.process.pid).children() if agent.process.poll() is None else []
        agent.process.kill()
        agent.process.wait()
        assert psutil.wait_procs(children, TIMEOUT_S)[1] == []
    Agent.started.clear()


async def served(agent: Agent, identity: LinkIdentity) -> None:
    """Return once the agent's worker answers over mutual TLS."""
    async with WorkerLink(agent.address, "doubler", "1", identity.link_tls) as link:
        await asyncio.wait_for(link.wait_ready(), TIMEOUT_S)
        assert await link.send(REQUEST, TIMEOUT_S)


async def test_it_serves_by_mutual_tls_and_ends_its_worker_when_it_is_told_to_end(
    identity: LinkIdentity, metadata: MetadataStub, tmp_path: Path
) -> None:
    agent = Agent(tmp_path, metadata, "-m", "mark", "aws", "agent")
    await served(agent, identity)
    worker = agent.worker
    assert (tmp_path / "run" / "tls").stat().st_mode & 0o777 == 0o700

    agent.process.send_signal(signal.SIGTERM)

    assert agent.wait() == 0
    assert not worker.is_running()
    assert "PRIVATE" not in agent.log.read_text(encoding="utf-8") + " ".join(agent.process.args)  # type: ignore[arg-type]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, 137), (signal.SIGTERM, 1)])
async def test_when_the_worker_ends_by_itself_the_agent_ends_with_its_status(
    identity: LinkIdentity, metadata: MetadataStub, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    agent = Agent(tmp_path, metadata)
    await served(agent, identity)

    agent.worker.send_signal(number)

    assert agent.wait() == status


def test_a_model_that_does_not_load_ends_it_with_its_words(
    identity: LinkIdentity, metadata: MetadataStub, tmp_path: Path
) -> None:
    artifact = ModelArtifact(SIGNATURE, "python", "doubler_model:broken")
    agent = Agent(tmp_path, metadata, artifact=artifact)

    assert agent.wait() == 2
    assert "no such weights" in agent.log.read_text(encoding="utf-8")


async def test_no_worker_outlives_an_agent_that_is_killed(
    identity: LinkIdentity, metadata: MetadataStub, tmp_path: Path
) -> None:
    agent = Agent(tmp_path, metadata)
    await served(agent, identity)
    worker = agent.worker

    agent.process.kill()

    assert psutil.wait_procs([worker], TIMEOUT_S)[1] == []


async def test_a_worker_that_hangs_does_not_keep_the_agent(
    identity: LinkIdentity, metadata: MetadataStub, tmp_path: Path
) -> None:
    agent = Agent(tmp_path, metadata, grace_s=0.2)
    await served(agent, identity)
    worker = agent.worker
    worker.suspend()  # it does not even hear SIGTERM

    agent.process.send_signal(signal.SIGTERM)

    assert agent.wait() == 0
    assert not worker.is_running()


async def test_a_notice_is_sent_to_the_queue_once(
    identity: LinkIdentity, metadata: MetadataStub, tmp_path: Path
) -> None:
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName="mark-demo-notices")["QueueUrl"]
    agent = Agent(tmp_path, metadata)
    await served(agent, identity)

    metadata.values["spot/instance-action"] = '{"action": "terminate", "time": "2026-11-26T12:02:00Z"}'
    received = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10).get("Messages", [])
    polls = metadata.requests["spot/instance-action"]
    until(lambda: metadata.requests["spot/instance-action"] > polls + 3)

    [message] = received
    assert json.loads(message["Body"])["detail"]["instance-id"] == "i-0123"
    assert sqs.receive_message(QueueUrl=url).get("Messages", []) == []


def until(holds: Any) -> None:
    deadline_s = time.monotonic() + TIMEOUT_S
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


async def test_certificates_of_a_new_authority_are_fetched_while_it_serves(
    identity: LinkIdentity, metadata: MetadataStub, tmp_path: Path
) -> None:
    agent = Agent(tmp_path, metadata)
    await served(agent, identity)
    worker = agent.worker
    s3 = boto3.client("s3")
    for key in ("tls/authority-key.pem", "tls/worker-key.pem", "tls/trusted.pem"):
        s3.delete_object(Bucket=BUCKET, Key=key)

    other = LinkIdentity(lambda: s3, lambda: BUCKET, "demo")
    other.refresh()

    await served(agent, other)
    assert agent.worker == worker


def test_a_model_in_the_bucket_is_fetched_and_what_is_missing_is_one_line(
    identity: LinkIdentity, metadata: MetadataStub, tmp_path: Path
) -> None:
    artifact = ModelArtifact(SIGNATURE, "onnx", "models/doubler/ab/doubler.onnx")
    agent = Agent(tmp_path, metadata, artifact=artifact)

    assert agent.wait() == 1
    said = agent.log.read_text(encoding="utf-8").splitlines()
    assert said[-1] == (
        f"mark: there is no s3://{BUCKET}/models/doubler/ab/doubler.onnx: routers upload the models that they serve"
    )
    assert len(said) == 3  # tried again twice


def test_without_its_bucket_it_says_what_makes_one(
    identity: LinkIdentity, metadata: MetadataStub, tmp_path: Path
) -> None:
    agent = Agent(tmp_path, metadata, bucket="elsewhere")

    assert agent.wait() == 1
    assert agent.log.read_text(encoding="utf-8").endswith(
        "mark: there is no bucket elsewhere: `mark aws bootstrap` makes it\n"
    )


def test_settings_that_cannot_be_read_are_one_line(metadata: MetadataStub, tmp_path: Path) -> None:
    agent = Agent(tmp_path, metadata, "-m", "mark", "aws", "agent")
    agent.process.kill()
    agent.file.write_text("{}", encoding="utf-8")
    for name, words in (("agent.json", "agent.json: cluster is missing"), ("absent", "cannot read")):
        done = subprocess.run(
            [sys.executable, "-m", "mark", "aws", "agent", str(tmp_path / name)],
            capture_output=True, text=True, check=False, env=os.environ,
        )  # fmt: skip
        assert done.returncode == 2
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1
