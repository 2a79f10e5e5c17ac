"""What each part of a cluster does in AWS, and why: the one table behind `mark aws policy` and `mark aws check`.

Knows nothing of boto3. Actions, resources and condition keys: AWS's Service Authorization Reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from mark.cloud.aws import tags
from mark.cloud.aws.settings import AwsSettings

__all__ = ["Grant", "Names", "Role", "grants"]

Role = Literal["router", "worker", "function", "admin"]

_SSM = "ssm:"


@dataclass(frozen=True, slots=True)
class Grant:
    """Actions that are allowed together, on the same things and for the same purpose.

    Attributes:
        sid: the purpose, in a word; the id of the policy's statement.
        actions: action -> why it is needed.
        resources: ARNs of what they may be done to.
        conditions: operator -> condition key -> value.
    """

    sid: str
    actions: Mapping[str, str]
    resources: tuple[str, ...]
    conditions: Mapping[str, Mapping[str, str | list[str]]]


@dataclass(frozen=True, slots=True)
class Names:
    """ARNs of a cluster's things; "*" for an account that is not known."""

    settings: AwsSettings
    account: str = "*"

    def arn(self, service: str, resource: str) -> str:
        """Of something in the cluster's region and account."""
        return f"arn:{self._partition}:{service}:{self.settings.region}:{self.account}:{resource}"

    def ec2(self, *kinds: str) -> tuple[str, ...]:
        """Of all of these kinds of things in EC2. Images and snapshots belong to others: they have no account."""
        region = f"arn:{self._partition}:ec2:{self.settings.region}"
        return tuple(f"{region}:{'' if kind in {'image', 'snapshot'} else self.account}:{kind}/*" for kind in kinds)

    def iam(self, resource: str) -> str:
        """Of something in IAM, which has no regions."""
        return f"arn:{self._partition}:iam::{self.account}:{resource}"

    def bucket(self, *keys: str) -> tuple[str, ...]:
        """Of the bucket, or of objects in it."""
        bucket = f"arn:{self._partition}:s3:::{self.settings.bucket(self.account)}"
        return tuple(f"{bucket}/{key}" for key in keys) or (bucket,)

    @property
    def queue(self) -> str:
        """Of the queue of notices."""
        return self.arn("sqs", self.settings.queue)

    @property
    def rule(self) -> str:
        """Of the rule of notices."""
        return self.arn("events", f"rule/{self.settings.rule}")

    @property
    def functions(self) -> str:
        """Of all functions of the cluster."""
        return self.arn("lambda", f"function:{self.settings.stem}-*")

    @property
    def logs(self) -> tuple[str, ...]:
        """Of the log groups of all functions of the cluster, and of what is in them."""
        groups = self.arn("logs", f"log-group:/aws/lambda/{self.settings.stem}-*")
        return groups, f"{groups}:*"

    @property
    def image_parameter(self) -> str | None:
        """Of the public parameter that holds the image, if one does."""
        image, region = self.settings.image, self.settings.region
        owner = "" if image.startswith(f"{_SSM}/aws/") else self.account
        name = image.removeprefix(_SSM).lstrip("/")
        return f"arn:{self._partition}:ssm:{region}:{owner}:parameter/{name}" if image.startswith(_SSM) else None

    @property
    def _partition(self) -> str:
        region = self.settings.region
        return "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"


def grants(role: Role, settings: AwsSettings, account: str = "*") -> tuple[Grant, ...]:
    """What a role needs; `account` is AWS's number of it, "*" for any."""
    made: dict[Role, Callable[[Names], list[Grant]]] = {
        "router": _router, "worker": _worker, "function": _function, "admin": _admin,
    }  # fmt: skip
    return tuple(made[role](Names(settings, account)))


def _grant(sid: str, actions: dict[str, str], resources: tuple[str, ...], **conditions: Any) -> Grant:
    return Grant(sid, MappingProxyType(actions), resources, MappingProxyType(conditions))


def _in_region(names: Names) -> dict[str, str | list[str]]:
    return {"aws:RequestedRegion": names.settings.region}


def _tagged_now(names: Names) -> dict[str, str | list[str]]:
    return {f"aws:RequestTag/{tags.CLUSTER}": names.settings.cluster}


def _tagged_before(names: Names) -> dict[str, str | list[str]]:
    return {f"aws:ResourceTag/{tags.CLUSTER}": names.settings.cluster}


def _router(names: Names) -> list[Grant]:
    return [*_router_ec2(names), *_router_roles(names), *_router_data(names), *_router_functions(names)]


def _router_ec2(names: Names) -> list[Grant]:
    created = {"ec2:CreateAction": ["RunInstances", "CreateFleet", "CreateLaunchTemplate"]}
    new = names.ec2("instance", "volume", "fleet", "launch-template")
    given = names.ec2("image", "snapshot", "subnet", "security-group", "network-interface", "spot-instances-request")
    launch = {
        "ec2:CreateFleet": "launches many instances in one call",
        "ec2:RunInstances": "launches one exact instance, and what CreateFleet launches",
    }
    look = {
        "ec2:DescribeInstances": "reads what runs from its tags",
        "ec2:DescribeSubnets": "finds a subnet in each zone",
        "ec2:DescribeSecurityGroups": "finds the cluster's security group",
        "ec2:DescribeImages": "reads what the image boots from",
        "ec2:DescribeSpotPriceHistory": "reads present spot prices",
        "ec2:DescribeVolumes": "says what volumes cost, for mark aws cost",
        "ec2:DescribeInstanceTypes": "compares types with the image and the quotas, for mark aws check",
        "servicequotas:ListServiceQuotas": "compares quotas with max_count, for mark aws check",
    }
    write = {"ec2:CreateLaunchTemplate": "makes the launch template of a model on an offering"}
    end = {
        "ec2:TerminateInstances": "gives instances back",
        "ec2:StopInstances": "stops standbys",
        "ec2:StartInstances": "starts standbys",
    }
    region, ours = _in_region(names), _tagged_before(names)
    return [
        _grant("LookAtTheRegion", look, ("*",), StringEquals=region),
        _grant("LaunchFromWhatIsThere", launch, given),
        _grant("LaunchFromOwnTemplates", launch, names.ec2("launch-template"), StringEquals=ours),
        _grant("LaunchWhatIsTagged", launch | write, new, StringEquals=_tagged_now(names)),
        _grant(
            "TagWhatIsMade",
            {"ec2:CreateTags": "tags what it makes in the call that makes it"},
            new,
            StringEquals=_tagged_now(names) | created,
        ),
        _grant("EndOwnInstances", end, names.ec2("instance"), StringEquals=ours),
    ]


def _router_roles(names: Names) -> list[Grant]:
    settings = names.settings
    return [
        _grant(
            f"PassThe{who}Role",
            {"iam:PassRole": f"gives {who.lower()}s their role"},
            (names.iam(f"role/{role}"),),
            StringEquals={"iam:PassedToService": service},
        )
        for who, role, service in (
            ("Worker", settings.worker_role, "ec2.amazonaws.com"),
            ("Function", settings.function_role, "lambda.amazonaws.com"),
        )
    ]


def _router_data(names: Names) -> list[Grant]:
    objects = {
        "s3:GetObject": "reads lease, intents and certificates",
        "s3:PutObject": "writes lease, intents, models and certificates",
        "s3:DeleteObject": "forgets intents that were carried out",
    }
    queue = {
        "sqs:GetQueueUrl": "finds the queue of notices",
        "sqs:ReceiveMessage": "reads notices",
        "sqs:DeleteMessage": "deletes notices that it acted on",
    }
    found = [
        _grant("UseTheBucket", objects, names.bucket("*")),
        _grant("ListTheBucket", {"s3:ListBucket": "lists intents"}, names.bucket()),
        _grant("ReadNotices", queue, (names.queue,)),
        _grant("ReadPrices", {"pricing:GetProducts": "reads present on-demand prices"}, ("*",)),
    ]
    parameter = names.image_parameter
    if parameter is not None:
        found.append(_grant("ReadTheImage", {"ssm:GetParameter": "reads the id of the image"}, (parameter,)))
    return found


def _router_functions(names: Names) -> list[Grant]:
    run = {"lambda:InvokeFunction": "answers bursts, and keeps functions warm"}
    deploy = {
        "lambda:CreateFunction": "makes the function of a model",
        "lambda:DeleteFunction": "deletes one that `mark aws check` made, should AWS make it of nothing",
        "lambda:GetFunction": "sees whether it is what the configuration says",
        "lambda:GetFunctionConfiguration": "waits until it can be called",
        "lambda:ListTags": "sees whose it is",
        "lambda:PutFunctionConcurrency": "bounds how many run at once",
        "lambda:TagResource": "marks it as the cluster's",
        "lambda:UpdateFunctionCode": "gives it a new model or a new mark",
        "lambda:UpdateFunctionConfiguration": "gives it more memory or time",
    }
    log = {
        "logs:CreateLogGroup": "makes a function's log group before Lambda does",
        "logs:TagResource": "marks it as the cluster's",
        "logs:PutRetentionPolicy": "has what is older than a month forgotten",
        "logs:DeleteLogGroup": "deletes the one that `mark aws check` made",
    }
    return [
        _grant("KeepTheirLogs", log, names.logs),
        _grant("RunFunctions", run, (names.functions, f"{names.functions}:*")),
        _grant("DeployFunctions", deploy, (names.functions,)),
    ]


def _worker(names: Names) -> list[Grant]:
    read = {"s3:GetObject": "fetches the model and the worker's certificate"}
    send = {"sqs:GetQueueUrl": "finds the queue of notices", "sqs:SendMessage": "passes notices on"}
    # Never tls/authority-key.pem.
    keys = ("models/*", "tls/worker-key.pem", "tls/trusted.pem")
    return [
        _grant("FetchModelAndCertificate", read, names.bucket(*keys)),
        _grant("PassNoticesOn", send, (names.queue,)),
    ]


def _function(names: Names) -> list[Grant]:
    # Its log group is there: one that it made itself after a teardown would carry no tag.
    log = {
        "logs:CreateLogStream": "keeps the function's log",
        "logs:PutLogEvents": "keeps the function's log",
    }
    return [
        _grant("FetchModel", {"s3:GetObject": "fetches the model"}, names.bucket("models/*")),
        _grant("WriteItsLog", log, names.logs),
    ]


def _admin(names: Names) -> list[Grant]:
    return [*_admin_ec2(names), *_admin_iam(names), *_admin_data(names)]


def _admin_ec2(names: Names) -> list[Grant]:
    look = {
        "ec2:DescribeInstances": "finds what runs",
        "ec2:DescribeVolumes": "finds what is left",
        "ec2:DescribeLaunchTemplates": "finds what is left",
        "ec2:DescribeSecurityGroups": "finds the cluster's security group",
        "ec2:DescribeSubnets": "finds the network of the cluster",
        "ec2:DescribeVpcs": "finds the default network",
    }
    look |= {
        "tag:GetResources": "finds everything that carries the cluster's tag",
        "logs:DescribeLogGroups": "finds the logs of functions",
    }
    make = {"ec2:CreateSecurityGroup": "makes the security group"}
    end = {
        "ec2:TerminateInstances": "ends instances",
        "ec2:DeleteVolume": "deletes volumes that stayed behind",
        "ec2:DeleteLaunchTemplate": "deletes launch templates",
        "ec2:DeleteSecurityGroup": "deletes the security group",
        "ec2:AuthorizeSecurityGroupIngress": "lets members of the security group reach each other",
    }
    kinds = ("instance", "volume", "launch-template", "security-group")
    return [
        _grant("LookAtTheRegion", look, ("*",), StringEquals=_in_region(names)),
        _grant("MakeTheSecurityGroup", make, names.ec2("security-group"), StringEquals=_tagged_now(names)),
        _grant("MakeItInANetwork", make, names.ec2("vpc")),
        _grant(
            "TagTheSecurityGroup",
            {"ec2:CreateTags": "tags the security group in the call that makes it"},
            names.ec2("security-group"),
            StringEquals={"ec2:CreateAction": "CreateSecurityGroup"},
        ),
        _grant("ChangeAndEndWhatIsOurs", end, names.ec2(*kinds), StringEquals=_tagged_before(names)),
    ]


def _admin_iam(names: Names) -> list[Grant]:
    settings = names.settings
    roles = {
        "iam:GetRole": "sees whether a role is there",
        "iam:CreateRole": "makes the roles of workers and functions",
        "iam:TagRole": "tags them",
        "iam:PutRolePolicy": "gives them what they need",
        "iam:ListRolePolicies": "takes it away",
        "iam:DeleteRolePolicy": "takes it away",
        "iam:DeleteRole": "deletes them",
    }
    profiles = {
        "iam:GetInstanceProfile": "sees whether the instance profile is there",
        "iam:CreateInstanceProfile": "makes it",
        "iam:TagInstanceProfile": "tags it",
        "iam:AddRoleToInstanceProfile": "puts the workers' role into it",
        "iam:RemoveRoleFromInstanceProfile": "takes it out",
        "iam:DeleteInstanceProfile": "deletes it",
    }
    linked = names.iam("role/aws-service-role/spot.amazonaws.com/*")
    ours = tuple(names.iam(f"role/{role}") for role in (settings.worker_role, settings.function_role))
    passed = {"iam:PassRole": "puts the workers' role into the instance profile"}
    spot = {"iam:CreateServiceLinkedRole": "lets EC2 launch spot instances, once in an account"}
    ask = {"iam:SimulatePrincipalPolicy": "asks what is allowed to whom, for mark aws check"}
    return [
        _grant("KeepRoles", roles, ours),
        _grant("AskWhatIsAllowed", ask, (names.iam("role/*"), names.iam("user/*"))),
        _grant("KeepTheInstanceProfile", profiles, (names.iam(f"instance-profile/{settings.worker_role}"),)),
        _grant("PutTheRoleIn", passed, ours[:1], StringEquals={"iam:PassedToService": "ec2.amazonaws.com"}),
        _grant("LookForTheRoleOfSpot", {"iam:ListRoles": "sees whether EC2 may launch spot instances"}, ("*",)),
        _grant("AllowSpot", spot, (linked,), StringEquals={"iam:AWSServiceName": "spot.amazonaws.com"}),
    ]


def _admin_data(names: Names) -> list[Grant]:
    bucket = {
        "s3:CreateBucket": "makes the bucket",
        "s3:ListBucket": "sees whether it is there, and what is in it",
        "s3:ListBucketVersions": "sees what is in it",
        "s3:PutBucketTagging": "tags it",
        "s3:PutEncryptionConfiguration": "has it encrypted",
        "s3:PutBucketPublicAccessBlock": "keeps it private",
        "s3:PutBucketPolicy": "refuses what does not come over TLS",
        "s3:PutLifecycleConfiguration": "has uploads that were given up deleted",
        "s3:DeleteBucket": "deletes it",
    }
    empty = {"s3:DeleteObject": "empties the bucket", "s3:DeleteObjectVersion": "empties the bucket"}
    queue = {
        "sqs:GetQueueUrl": "sees whether the queue is there",
        "sqs:CreateQueue": "makes it",
        "sqs:TagQueue": "tags it",
        "sqs:SetQueueAttributes": "says who may send to it",
        "sqs:DeleteQueue": "deletes it",
    }
    rule = {
        "events:DescribeRule": "sees whether the rule is there",
        "events:PutRule": "makes it",
        "events:TagResource": "tags it",
        "events:PutTargets": "sends what it matches to the queue",
        "events:RemoveTargets": "takes the queue out",
        "events:DeleteRule": "deletes it",
    }
    log = {
        "logs:ListTagsForResource": "sees whose a log group is",
        "logs:DeleteLogGroup": "deletes what Lambda logged",
    }
    function = {"lambda:ListTags": "sees whose a function is", "lambda:DeleteFunction": "deletes functions"}
    return [
        _grant("KeepTheBucket", bucket, names.bucket()),
        _grant("EmptyTheBucket", empty, names.bucket("*")),
        _grant("KeepTheQueue", queue, (names.queue,)),
        _grant("KeepTheRule", rule, (names.rule,)),
        _grant("FindFunctions", {"lambda:ListFunctions": "finds functions"}, ("*",)),
        _grant("EndFunctions", function, (names.functions,)),
        _grant("DeleteTheirLogs", log, names.logs),
    ]
