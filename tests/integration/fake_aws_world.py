"""A fake AWS with quick instances, and what its tests ask of it."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

import boto3

from mark.testing.aws import FakeAws

__all__ = ["client", "fleet", "states", "template", "user_data", "wait_until"]

CLUSTER_TAGS = [{"Key": "mark:cluster", "Value": "digits"}]


def client(aws: FakeAws, service: str) -> Any:
    """A client that does not repeat what fails."""
    from botocore.config import Config

    return boto3.client(
        service,
        endpoint_url=aws.endpoint_url,
        region_name=aws.params.region,
        aws_access_key_id="AKIAFAKEOWNER",
        aws_secret_access_key="fake",
        config=Config(retries={"total_max_attempts": 1}),
    )


def wait_until(holds: Callable[[], Any], what: str, limit_s: float = 30.0) -> None:
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline, f"waited {limit_s} s for {what}"
        time.sleep(0.01)


def states(aws: FakeAws) -> list[str]:
    return [instance["State"]["Name"] for instance in aws.instances()]


def user_data(*words: str) -> str:
    text = f"""#cloud-config
write_files:
  - path: /etc/mark/agent.json
    content: "a secretless file"
  - path: /etc/systemd/system/mark-agent.service
    content: |
      [Service]
      ExecStart=/opt/mark/bin/mark {" ".join(words)}
runcmd:
  - [systemctl, enable, --now, mark-agent]
"""
    return base64.b64encode(text.encode()).decode()


def template(aws: FakeAws, data: str = "", **content: Any) -> str:
    """Name of a new launch template."""
    made = client(aws, "ec2").create_launch_template(
        LaunchTemplateName="mark-digits-worker",
        LaunchTemplateData={
            "ImageId": "ami-12345678",
            "InstanceType": "c5.large",
            "InstanceInitiatedShutdownBehavior": "terminate",
            "MetadataOptions": {"HttpTokens": "required", "InstanceMetadataTags": "enabled"},
            "TagSpecifications": [
                {"ResourceType": "instance", "Tags": CLUSTER_TAGS},
                {"ResourceType": "volume", "Tags": CLUSTER_TAGS},
            ],
            **({"UserData": data} if data else {}),
            **content,
        },
        TagSpecifications=[{"ResourceType": "launch-template", "Tags": CLUSTER_TAGS}],
    )
    return str(made["LaunchTemplate"]["LaunchTemplateName"])


def fleet(aws: FakeAws, name: str, count: int, *pools: tuple[str, str], **more: Any) -> Any:
    """Buy a fleet from pools of type and zone."""
    overrides = [{"InstanceType": kind, "AvailabilityZone": zone} for kind, zone in pools]
    specification = {"LaunchTemplateName": name, "Version": "$Latest"}
    market = more.pop("market", "on-demand")
    return client(aws, "ec2").create_fleet(
        Type="instant",
        LaunchTemplateConfigs=[{"LaunchTemplateSpecification": specification, "Overrides": overrides}],
        TargetCapacitySpecification={"TotalTargetCapacity": count, "DefaultTargetCapacityType": market},
        **more,
    )
