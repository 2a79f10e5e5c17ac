"""Which operation is whose."""

from __future__ import annotations

from typing import Any

from mark.testing.aws.front import Operation
from mark.testing.aws.instances import Instances
from mark.testing.aws.launching import Launching
from mark.testing.aws.wire import AwsError, Call

__all__ = ["ec2_operations"]


def ec2_operations(launching: Launching, instances: Instances) -> dict[str, Operation]:
    """The operations of EC2 that the fake does itself."""

    def retag(call: Call) -> dict[str, Any] | None:
        names = call.params.get("Resources", [])
        own = [name for name in names if instances.owns(name)]
        if own and len(own) < len(names):
            raise AwsError("UnsupportedOperation", "this fake tags instances and volumes apart from the rest")
        instances.retag(call, own)
        return {} if own else None

    def delete_group(call: Call) -> None:
        if call.params.get("GroupId") in instances.groups_in_use():
            raise AwsError("DependencyViolation", f"resource {call.params['GroupId']} has a dependent object")

    def refuse(call: Call) -> None:
        raise AwsError("UnsupportedOperation", f"this fake does not know {call.operation}")

    return {
        "ec2:RunInstances": launching.run_instances,
        "ec2:CreateFleet": launching.create_fleet,
        "ec2:DescribeInstances": instances.describe_instances,
        "ec2:DescribeInstanceStatus": instances.describe_instance_status,
        "ec2:StartInstances": instances.start_instances,
        "ec2:StopInstances": instances.stop_instances,
        "ec2:TerminateInstances": instances.terminate_instances,
        "ec2:DescribeVolumes": instances.describe_volumes,
        "ec2:DescribeFleets": instances.describe_fleets,
        "ec2:DeleteFleets": instances.delete_fleets,
        "ec2:DeleteVolume": instances.delete_volume,
        "ec2:RebootInstances": refuse,
        "ec2:ModifyInstanceAttribute": refuse,
        "ec2:CreateVolume": refuse,
        "ec2:CreateTags": retag,
        "ec2:DeleteTags": retag,
        "ec2:DeleteSecurityGroup": delete_group,
    }
