"""One instance of EC2: what was asked for, what state it is in, and when it ran."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from typing import Any

__all__ = ["LaunchSpec", "Machine", "Span", "State", "aws_time"]


class State(Enum):
    """States and their codes in EC2's API."""

    PENDING = ("pending", 0)
    RUNNING = ("running", 16)
    SHUTTING_DOWN = ("shutting-down", 32)
    TERMINATED = ("terminated", 48)
    STOPPING = ("stopping", 64)
    STOPPED = ("stopped", 80)

    @property
    def described(self) -> dict[str, Any]:
        """As the API says it."""
        return {"Name": self.value[0], "Code": self.value[1]}


def aws_time(at_s: float) -> datetime:
    """A time as the API shows it: in whole seconds."""
    return datetime.fromtimestamp(int(at_s), timezone.utc)


@dataclass(frozen=True)
class LaunchSpec:
    """What an instance is made from.

    Attributes:
        market: "on-demand" or "spot".
        settings: parameters of RunInstances, merged with those of the launch template.
        tags: of the instance.
        volume_tags: of its volumes.
    """

    instance_type: str
    market: str
    zone: str
    subnet_id: str
    vpc_id: str
    settings: Mapping[str, Any]
    tags: Mapping[str, str]
    volume_tags: Mapping[str, str]
    client_token: str = ""

    @property
    def ends_terminated(self) -> bool:
        """Whether an instance that shuts itself down is terminated, rather than stopped."""
        return self.settings.get("InstanceInitiatedShutdownBehavior", "stop") == "terminate" or self.market == "spot"

    @property
    def security_groups(self) -> list[str]:
        """Ids of its security groups."""
        interfaces = self.settings.get("NetworkInterfaces") or [{}]
        return [*self.settings.get("SecurityGroupIds", []), *interfaces[0].get("Groups", [])]


@dataclass
class Span:
    """A time that an instance ran: from its start to the order to end. Seconds since the epoch.

    Attributes:
        taken: EC2 ended it, by a spot interruption.
    """

    begun_s: float
    ended_s: float | None = None
    taken: bool = False


@dataclass
class Machine:
    """An instance. Changed only by `Machines`, with its lock held."""

    id: str
    reservation_id: str
    spec: LaunchSpec
    address: str
    tags: dict[str, str]
    volumes: dict[str, dict[str, str]]
    spot_request_id: str = ""
    state: State = State.PENDING
    generation: int = 0
    launch_index: int = 0
    begun_s: float = field(default_factory=time.time)
    spans: list[Span] = field(default_factory=list)
    reason: str = ""
    state_reason: dict[str, str] = field(default_factory=dict)
    taken_at_s: float | None = None
    rebalance_at_s: float | None = None
    metadata_options: dict[str, Any] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        """Whether it is, or will again be, of use: not on its way to its end."""
        return self.state not in {State.SHUTTING_DOWN, State.TERMINATED}

    @property
    def counts(self) -> bool:
        """Whether it counts against quotas."""
        return self.state in {State.PENDING, State.RUNNING, State.STOPPING}

    def described(self, account: str) -> dict[str, Any]:
        """As DescribeInstances shows it."""
        spec, live = self.spec, self.state is not State.TERMINATED
        shown: dict[str, Any] = {
            "InstanceId": self.id,
            "InstanceType": spec.instance_type,
            "ImageId": spec.settings.get("ImageId", ""),
            "AmiLaunchIndex": self.launch_index,
            "ClientToken": spec.client_token,
            "State": self.state.described,
            "StateTransitionReason": self.reason,
            "LaunchTime": aws_time(self.begun_s),
            "Placement": {"AvailabilityZone": spec.zone, "Tenancy": "default", "GroupName": ""},
            "Monitoring": {"State": "disabled"},
            "Architecture": "x86_64",
            "RootDeviceType": "ebs",
            "RootDeviceName": "/dev/xvda",
            "VirtualizationType": "hvm",
            "Hypervisor": "xen",
            "MetadataOptions": {"State": "applied", **self.metadata_options},
            "SecurityGroups": [{"GroupId": group} for group in spec.security_groups],
            "Tags": [{"Key": key, "Value": value} for key, value in self.tags.items()],
            "BlockDeviceMappings": [
                {"DeviceName": "/dev/xvda", "Ebs": {"VolumeId": volume, "Status": "attached"}}
                for volume in (self.volumes if live else ())
            ],
        }
        if self.state_reason:
            shown["StateReason"] = self.state_reason
        if live:
            dns = f"ip-{self.address.replace('.', '-')}.ec2.internal"
            shown |= {"PrivateIpAddress": self.address, "PrivateDnsName": dns}
            shown |= {"SubnetId": spec.subnet_id, "VpcId": spec.vpc_id}
        if spec.market == "spot":
            shown |= {"InstanceLifecycle": "spot", "SpotInstanceRequestId": self.spot_request_id}
        profile = spec.settings.get("IamInstanceProfile")
        if profile:
            name = profile.get("Name") or profile.get("Arn", "").rpartition("/")[2]
            shown["IamInstanceProfile"] = {"Arn": f"arn:aws:iam::{account}:instance-profile/{name}", "Id": "AIPAFAKE"}
        return shown
