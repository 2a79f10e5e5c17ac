"""The ARNs of what a call names, for policies that are scoped by resource."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mark.testing.aws.ec2_state import ACCOUNT
from mark.testing.aws.wire import Call

__all__ = ["resource_of"]

Params = Mapping[str, Any]

# Parameter of EC2 -> kind of the resource that it names.
_EC2_NAMES = {
    "GroupId": "security-group",
    "LaunchTemplateId": "launch-template",
    "InstanceId": "instance",
    "VolumeId": "volume",
}
_EC2_MADE = {"CreateLaunchTemplate": "launch-template", "CreateSecurityGroup": "security-group"}
_EC2_PREFIXES = {
    "i": "instance",
    "vol": "volume",
    "lt": "launch-template",
    "sg": "security-group",
    "subnet": "subnet",
    "vpc": "vpc",
    "fleet": "fleet",
}


def resource_of(call: Call, region: str) -> Iterable[str]:
    """The ARNs; "*" for a call that names none, such as one that lists."""
    by_service: Mapping[str, Callable[[Call, str], list[str]]] = {
        "ec2": _ec2,
        "s3": _s3,
        "sqs": _sqs,
        "events": _events,
        "iam": _iam,
        "lambda": _lambda,
        "logs": _logs,
        "ssm": _ssm,
    }
    named = by_service[call.service](call, region) if call.service in by_service else []
    return named or ["*"]


def _ec2(call: Call, region: str) -> list[str]:
    if call.operation.startswith("Describe"):
        return []
    stem = f"arn:aws:ec2:{region}:{ACCOUNT}"
    if call.operation in _EC2_MADE:
        return [f"{stem}:{_EC2_MADE[call.operation]}/*"]
    found = [f"{stem}:instance/{name}" for name in call.params.get("InstanceIds") or []]
    for name in call.params.get("Resources") or []:
        found.append(f"{stem}:{_EC2_PREFIXES.get(name.split('-')[0], '*')}/{name}")
    found += [f"{stem}:{kind}/{call.params[key]}" for key, kind in _EC2_NAMES.items() if call.params.get(key)]
    if not found and call.params.get("LaunchTemplateName"):
        found.append(f"{stem}:launch-template/{_template_id(call.params['LaunchTemplateName'], region)}")
    return found


def _template_id(name: str, region: str) -> str:
    from moto.backends import get_backend

    known = get_backend("ec2")[ACCOUNT][region].launch_template_name_to_ids
    return str(known.get(name, "*"))


def _s3(call: Call, _: str) -> list[str]:
    bucket = call.params.get("Bucket")
    if not bucket:
        return []
    stem = f"arn:aws:s3:::{bucket}"
    if call.operation == "DeleteObjects":
        objects = (call.params.get("Delete") or {}).get("Objects", [])
        return [f"{stem}/{each['Key']}" for each in objects]
    return [f"{stem}/{call.params['Key']}" if call.params.get("Key") else stem]


def _sqs(call: Call, region: str) -> list[str]:
    name = call.params.get("QueueName") or (call.params.get("QueueUrl") or "").rpartition("/")[2]
    return [f"arn:aws:sqs:{region}:{ACCOUNT}:{name}"] if name else []


def _events(call: Call, region: str) -> list[str]:
    if arn := call.params.get("ResourceARN"):
        return [arn]
    name = call.params.get("Rule") or call.params.get("Name")
    return [f"arn:aws:events:{region}:{ACCOUNT}:rule/{name}"] if name else []


def _iam(call: Call, _: str) -> list[str]:
    stem = f"arn:aws:iam::{ACCOUNT}"
    if name := call.params.get("InstanceProfileName"):
        return [f"{stem}:instance-profile/{name}"]
    if name := call.params.get("RoleName"):
        return [f"{stem}:role/{name}"]
    named = call.params.get("PolicyArn") or call.params.get("PolicySourceArn")
    return [named] if named else []


def _lambda(call: Call, region: str) -> list[str]:
    name = call.params.get("FunctionName") or call.params.get("Resource") or ""
    if name.startswith("arn:"):
        return [name]
    return [f"arn:aws:lambda:{region}:{ACCOUNT}:function:{name}"] if name else []


def _logs(call: Call, region: str) -> list[str]:
    if arn := call.params.get("resourceArn"):
        return [arn]
    name = call.params.get("logGroupName")
    return [f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{name}"] if name else []


def _ssm(call: Call, region: str) -> list[str]:
    names = [*(call.params.get("Names") or []), *([call.params["Name"]] if call.params.get("Name") else [])]
    stem = f"arn:aws:ssm:{region}:"
    return [
        f"{stem}{'' if name.startswith('/aws/service/') else ACCOUNT}:parameter/{name.lstrip('/')}" for name in names
    ]
