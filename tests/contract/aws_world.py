"""AWS for the tests of clouds: the fake one, with instances that serve the least of a worker."""

from __future__ import annotations

import json
import sys
import textwrap
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import boto3
import pytest
from contract.cloud_world import OFFERINGS, WORKER

from mark.cloud.aws import tags
from mark.cloud.aws.cloud import AwsCloud, AwsParts
from mark.cloud.aws.policy import policy
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsOffering, AwsSettings, Rhythm
from mark.domain.artifact import ModelArtifact
from mark.domain.fleet import Instance
from mark.domain.offering import Market
from mark.live.clock import SteadyClock
from mark.testing.aws import FakeAws, FakeAwsParams

__all__ = [
    "QUICK",
    "aws_cloud",
    "aws_settings",
    "interrupt_aws",
    "lay_ground",
    "router_session",
    "running_aws",
    "tiny_user_data",
]

# The lease is as long as ever: one that may run out while a machine stands still loses a router its cluster.
QUICK = Rhythm(
    describe_s=0.2, describe_soon_s=0.1, probe_s=0.05, lease_s=30.0, orphan_after_s=0.5, unavailable_s=0.5,
    unavailable_max_s=4.0, prices_s=60.0, boot_max_s=20.0,
)  # fmt: skip
_TYPES = {Market.ON_DEMAND: ("c5.large",), Market.SPOT: ("c5.large", "c5.xlarge"), Market.BURSTABLE: ("t3.medium",)}

# An instance asks who it is, as the agent does, and serves at its own address.
_BOOT = textwrap.dedent(
    """
    import os, re, signal, sys, urllib.parse, urllib.request

    instance = os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"].rpartition("/")[2]
    query = urllib.parse.urlencode(
        {"Action": "DescribeInstances", "Version": "2016-11-15", "InstanceId.1": instance}
    ).encode()
    scope = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=b"
    asked = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"], query, {"Authorization": scope})
    answer = urllib.request.urlopen(asked).read().decode()
    address = re.search("<privateIpAddress>([^<]+)<", answer)[1]
    sys.argv = ["worker", address + ":8002"]
    """
)


def tiny_user_data(_: AwsOffering, artifact: ModelArtifact) -> str:
    """User data of an instance that starts the program of the fake's parameters."""
    unit = f"[Service]\nExecStart=/usr/bin/worker {artifact.signature.name}\n"
    files = [{"path": "/etc/systemd/system/worker.service", "content": unit}]
    return "#cloud-config\n" + json.dumps({"write_files": files, "runcmd": ["systemctl enable --now worker"]})


def aws_settings(aws: FakeAws, offerings: Sequence[AwsOffering] | None = None, rhythm: Rhythm = QUICK) -> AwsSettings:
    chosen = tuple(AwsOffering(each, _TYPES[each.market]) for each in OFFERINGS) if offerings is None else offerings
    return AwsSettings("test", "us-east-1", tuple(chosen), endpoint_url=aws.endpoint_url, rhythm=rhythm)


def lay_ground(settings: AwsSettings, session: AwsSession | None = None) -> None:
    """What `mark aws bootstrap` makes, as far as the driver needs it."""
    session = AwsSession(settings) if session is None else session
    session.client("s3").create_bucket(Bucket=settings.bucket(session.account))
    session.client("sqs").create_queue(QueueName=settings.queue)
    ec2 = session.client("ec2")
    ec2.create_security_group(
        GroupName=settings.security_group,
        Description="routers and workers",
        TagSpecifications=[{"ResourceType": "security-group", "Tags": tags.tag_list({tags.CLUSTER: settings.cluster})}],
    )
    iam, role = session.client("iam"), settings.worker_role
    iam.create_role(RoleName=role, AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(InstanceProfileName=role)
    iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName=role)
    _allow_router(settings, policy("router", settings, session.account))


def router_session(settings: AwsSettings) -> AwsSession:
    """Of a router, that may do after `lay_ground` what `mark aws policy` prints, and no more."""
    session = AwsSession(settings)
    session._session = boto3.session.Session(
        aws_access_key_id=_router_key(settings), aws_secret_access_key="fake", region_name=settings.region
    )
    return session


def _router_key(settings: AwsSettings) -> str:
    return f"AKIAROUTER{settings.cluster}"


def _allow_router(settings: AwsSettings, document: Mapping[str, Any]) -> None:
    order = json.dumps({"policy_document": document, "key": _router_key(settings)}).encode()
    with urllib.request.urlopen(f"{settings.endpoint_url}/fake/allow", order) as answer:
        assert answer.status == 200


@contextmanager
def running_aws(folder: Path, patch: pytest.MonkeyPatch, *, boots: bool = True) -> Iterator[FakeAws]:
    """A fake AWS that this process talks to, and whose instances run the tiny worker."""
    script = folder / "boot.py"
    script.write_text(_BOOT + WORKER.replace("sys.stdin.read()", "signal.pause()"), encoding="utf-8")
    with FakeAws(FakeAwsParams(program=(sys.executable, str(script)), boots=boots)) as aws:
        for name, value in aws.environment.items():
            patch.setenv(name, value)
        boto3.setup_default_session()
        yield aws


def aws_cloud(settings: AwsSettings) -> AwsCloud:
    return AwsCloud(settings, SteadyClock(), AwsParts(router_session(settings), tiny_user_data))


def interrupt_aws(cloud: AwsCloud, aws: FakeAws, chosen: Sequence[Instance], notice_s: float) -> list[Instance]:
    """Let EC2 take instances away, say so as their agents would, and wait until the driver knows."""
    settings = aws_settings(aws)
    sqs = AwsSession(settings).client("sqs")
    url = sqs.get_queue_url(QueueName=settings.queue)["QueueUrl"]
    now = datetime.now(timezone.utc)
    for each in chosen:
        taken_at = (now + timedelta(seconds=notice_s)).isoformat()
        detail = {"instance-id": each.id, "instance-action": "terminate", "time": taken_at}
        kind = "EC2 Spot Instance Interruption Warning"
        event = {"source": "aws.ec2", "detail-type": kind, "time": now.isoformat(), "detail": detail}
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(event))
    aws.interrupt([str(each.id) for each in chosen], notice_s)
    wanted, changes = {each.id for each in chosen}, -1
    for _ in range(600):
        changes = cloud.wait_for_change(changes, 0.1)
        noticed = [each for each in cloud.list_instances() if each.id in wanted and each.taken_at_ns is not None]
        if len(noticed) == len(wanted):
            return noticed
    raise AssertionError(f"no notice of {wanted} came")
