"""An instance of the fake AWS from its user data to an answer over mutual TLS, and to its end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from integration.fake_aws_world import client, wait_until
from integration.router_process import environment

from mark._core import write_infer_request
from mark.cloud.aws.certificates import LinkIdentity
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsOffering, AwsSettings
from mark.cloud.aws.worker_boot import WorkerBoot
from mark.domain.artifact import ModelArtifact
from mark.domain.offering import Market, Offering
from mark.domain.signature import ModelSignature, TensorSpec
from mark.live.worker_link import WorkerLink
from mark.testing.aws import FakeAws, FakeAwsParams

SIGNATURE = ModelSignature("doubler", "1", (TensorSpec("x", "FP32", (-1, 4)),), (TensorSpec("y", "FP32", (-1, 4)),), 8)
REQUEST = write_infer_request("doubler", "", "", [("x", "FP32", (1, 4), np.ones((1, 4), np.float32))], [])
OFFERING = AwsOffering(
    Offering("cpu", Market.ON_DEMAND, price_usd_per_hour=0.085, boot_s=1.0, max_count=4), ("c5.large",)
)
TIMEOUT_S = 30.0


class World:
    """A fake AWS with the bucket and the queue of one cluster, and the router's side of them."""

    def __init__(self, aws: FakeAws) -> None:
        self.aws = aws
        self.ec2 = client(aws, "ec2")
        self.settings = AwsSettings("demo", aws.params.region, (OFFERING,), install="", endpoint_url=aws.endpoint_url)
        self.session = AwsSession(self.settings)
        bucket = self.settings.bucket(self.session.account)
        client(aws, "s3").create_bucket(Bucket=bucket)
        self.queue = client(aws, "sqs").create_queue(QueueName=self.settings.queue)["QueueUrl"]
        self.identity = LinkIdentity(lambda: self.session.client("s3"), lambda: bucket, "demo")
        self.identity.refresh()

    def launch(self, artifact: ModelArtifact, **more: Any) -> str:
        data = WorkerBoot(self.settings, self.session)(OFFERING, artifact)
        answer = self.ec2.run_instances(
            MinCount=1, MaxCount=1, ImageId="ami-12345678", InstanceType="c5.large",
            InstanceInitiatedShutdownBehavior="terminate", UserData=data, **more,
        )  # fmt: skip
        return str(answer["Instances"][0]["InstanceId"])

    def seen(self, instance: str) -> dict[str, Any]:
        [found] = [each for each in self.aws.instances() if each["InstanceId"] == instance]
        return found

    async def serves(self, instance: str) -> None:
        """Return once the instance answers a request over mutual TLS."""
        address = f"{self.seen(instance)['PrivateIpAddress']}:{self.settings.worker_port}"
        async with WorkerLink(address, "doubler", "1", self.identity.link_tls) as link:
            try:
                await asyncio.wait_for(link.wait_ready(), TIMEOUT_S)
            except asyncio.TimeoutError:
                pytest.fail(f"{link.last_probe}: {self.aws.console(instance)}")
            assert await link.send(REQUEST, TIMEOUT_S)

    def processes(self, instance: str) -> list[psutil.Process]:
        agent = psutil.Process(self.aws.processes()[instance])
        return [agent, *agent.children(recursive=True)]

    def wait_state(self, instance: str, name: str) -> None:
        wait_until(lambda: self.seen(instance)["State"]["Name"] == name, f"{instance} {name}", TIMEOUT_S)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    inside = {"PYTHONPATH": environment(tmp_path)["PYTHONPATH"]}  # where the image has the model's code
    with FakeAws(FakeAwsParams(environment=inside)) as aws:
        for name, value in aws.environment.items():
            monkeypatch.setenv(name, value)
        yield World(aws)


@pytest.fixture
def code() -> ModelArtifact:
    return ModelArtifact(SIGNATURE, "python", "doubler_model:make")


async def test_an_instance_serves_tells_its_notice_and_is_taken_away(world: World, code: ModelArtifact) -> None:
    spot = {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "one-time"}}
    instance = world.launch(code, InstanceMarketOptions=spot)
    await world.serves(instance)
    processes = world.processes(instance)
    assert len(processes) == 2

    world.aws.interrupt([instance], notice_s=6.0)

    sqs = client(world.aws, "sqs")
    [message] = sqs.receive_message(QueueUrl=world.queue, WaitTimeSeconds=10)["Messages"]
    event = json.loads(message["Body"])
    assert event["detail-type"] == "EC2 Spot Instance Interruption Warning"
    assert event["detail"]["instance-id"] == instance
    world.wait_state(instance, "terminated")
    assert psutil.wait_procs(processes, TIMEOUT_S)[1] == []


async def test_a_standby_that_is_stopped_and_started_serves_again(world: World, code: ModelArtifact) -> None:
    instance = world.launch(code)
    await world.serves(instance)
    processes = world.processes(instance)

    world.ec2.stop_instances(InstanceIds=[instance])
    world.wait_state(instance, "stopped")
    assert psutil.wait_procs(processes, TIMEOUT_S)[1] == []
    world.ec2.start_instances(InstanceIds=[instance])

    world.wait_state(instance, "running")
    await world.serves(instance)


async def test_an_instance_whose_worker_dies_ends(world: World, code: ModelArtifact) -> None:
    instance = world.launch(code)
    await world.serves(instance)

    world.processes(instance)[1].kill()

    world.wait_state(instance, "terminated")


def test_an_instance_whose_model_does_not_load_ends_and_its_console_says_why(world: World, tmp_path: Path) -> None:
    file = tmp_path / "weights.onnx"
    file.write_bytes(b"no weights at all")

    instance = world.launch(ModelArtifact(SIGNATURE, "onnx", str(file)))

    world.wait_state(instance, "terminated")
    # It got as far as the model: the file came through the bucket.
    assert "weights.onnx" in world.aws.console(instance)
    assert "PRIVATE" not in world.aws.console(instance)
