"""Harmless calls that show whether an action is allowed.

EC2's have DryRun. The others ask for, change or delete what is not there (a function, a message), or make and delete
one small object of the bucket and one empty log group. AWS refuses what is not allowed before it looks for what is
named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mark.cloud.aws import tags
from mark.cloud.aws.permissions import Names
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsSettings

__all__ = ["Probe", "Sample", "probes"]

Probe = Callable[[], object]
"""Makes one call; what it raises says whether it was allowed."""

_KEY = "check/permission"


@dataclass(frozen=True, slots=True)
class Sample:
    """What is there to try on; empty where it is not.

    Attributes:
        instance: id of one of the cluster's instances.
        launch: parameters of RunInstances that say image, network and role.
        queue_url: of the queue of notices.
    """

    instance: str = ""
    launch: Mapping[str, Any] = field(default_factory=dict)
    queue_url: str = ""


def probes(settings: AwsSettings, session: AwsSession, sample: Sample) -> dict[str, Probe]:
    """Action -> what tries it. What there is nothing to try on is not in it."""
    found = _ec2(settings, session, sample)
    found |= _data(settings, session, sample)
    found |= _functions(settings, session)
    return found


def _ec2(settings: AwsSettings, session: AwsSession, sample: Sample) -> dict[str, Probe]:
    ec2 = session.client("ec2")
    kind = settings.offerings[0].types[0] if settings.offerings else "c5.large"
    carried = tags.tag_list({tags.CLUSTER: settings.cluster})

    def tagged(*kinds: str) -> dict[str, Any]:
        return {"TagSpecifications": [{"ResourceType": each, "Tags": carried} for each in kinds]}

    template = {"LaunchTemplateSpecification": {"LaunchTemplateName": f"{settings.template}-none", "Version": "1"}}
    one = {"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "on-demand"}
    launch = dict(sample.launch, InstanceType=kind, MinCount=1, MaxCount=1, DryRun=True)
    found: dict[str, Probe] = {
        "ec2:DescribeInstances": lambda: ec2.describe_instances(DryRun=True),
        "ec2:DescribeVolumes": lambda: ec2.describe_volumes(DryRun=True),
        "ec2:DescribeSubnets": lambda: ec2.describe_subnets(DryRun=True),
        "ec2:DescribeSecurityGroups": lambda: ec2.describe_security_groups(DryRun=True),
        "ec2:DescribeImages": lambda: ec2.describe_images(Owners=["self"], DryRun=True),
        "ec2:DescribeInstanceTypes": lambda: ec2.describe_instance_types(DryRun=True),
        "ec2:DescribeSpotPriceHistory": lambda: ec2.describe_spot_price_history(DryRun=True),
        "ec2:CreateLaunchTemplate": lambda: ec2.create_launch_template(
            LaunchTemplateName=f"{settings.template}-check",
            LaunchTemplateData={"InstanceType": kind},
            DryRun=True,
            **tagged("launch-template"),
        ),
        "ec2:CreateFleet": lambda: ec2.create_fleet(
            Type="instant", LaunchTemplateConfigs=[template], TargetCapacitySpecification=one, DryRun=True,
            **tagged("fleet"),
        ),
    }  # fmt: skip
    if sample.launch:
        # What is launched is tagged and given its role: a refusal of either is told by this one.
        found["ec2:RunInstances"] = lambda: ec2.run_instances(**launch, **tagged("instance", "volume"))
    if sample.instance:
        ids = {"InstanceIds": [sample.instance], "DryRun": True}
        found["ec2:TerminateInstances"] = lambda: ec2.terminate_instances(**ids)
        found["ec2:StopInstances"] = lambda: ec2.stop_instances(**ids)
        found["ec2:StartInstances"] = lambda: ec2.start_instances(**ids)
    return found


def _data(settings: AwsSettings, session: AwsSession, sample: Sample) -> dict[str, Probe]:
    s3, sqs, bucket = session.client("s3"), session.client("sqs"), settings.bucket(session.account)
    pricing, quotas = session.client("pricing", "us-east-1"), session.client("service-quotas")
    found: dict[str, Probe] = {
        # In this order: what is read was written, and is deleted.
        "s3:ListBucket": lambda: s3.list_objects_v2(Bucket=bucket, MaxKeys=1),
        "s3:PutObject": lambda: s3.put_object(Bucket=bucket, Key=_KEY, Body=b"by mark aws check"),
        "s3:GetObject": lambda: len(s3.get_object(Bucket=bucket, Key=_KEY)["Body"].read()),
        "s3:DeleteObject": lambda: s3.delete_object(Bucket=bucket, Key=_KEY),
        "sqs:GetQueueUrl": lambda: sqs.get_queue_url(QueueName=settings.queue),
        "pricing:GetProducts": lambda: pricing.get_products(ServiceCode="AmazonEC2", MaxResults=1),
        "servicequotas:ListServiceQuotas": lambda: quotas.list_service_quotas(ServiceCode="ec2", MaxResults=1),
    }
    if sample.queue_url:
        url = sample.queue_url
        found["sqs:ReceiveMessage"] = lambda: sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=1, VisibilityTimeout=0, WaitTimeSeconds=0
        )
        found["sqs:DeleteMessage"] = lambda: sqs.delete_message(QueueUrl=url, ReceiptHandle="none")
    if settings.image.startswith("ssm:"):
        name = settings.image.removeprefix("ssm:")
        found["ssm:GetParameter"] = lambda: session.client("ssm").get_parameter(Name=name)
    return found


def _functions(settings: AwsSettings, session: AwsSession) -> dict[str, Probe]:
    client, name = session.client("lambda"), f"{settings.stem}-check-none"
    names = Names(settings, session.account)
    arn = names.arn("lambda", f"function:{name}")
    nowhere = {"S3Bucket": settings.bucket(session.account), "S3Key": "check/none"}

    def create() -> None:
        role = names.iam(f"role/{settings.function_role}")
        client.create_function(
            FunctionName=name, Role=role, Code=nowhere, Runtime="python3.12", Handler="none.none",
            Tags={tags.CLUSTER: settings.cluster},
        )  # fmt: skip
        client.delete_function(FunctionName=name)  # it cannot be made of nothing; should it be, it goes at once

    logs, group = session.client("logs"), f"/aws/lambda/{name}"
    log_arn, carried = names.arn("logs", f"log-group:{group}"), {tags.CLUSTER: settings.cluster}

    return {
        # In this order: what is bounded, tagged and deleted was made.
        "logs:CreateLogGroup": lambda: logs.create_log_group(logGroupName=group, tags=carried),
        "logs:TagResource": lambda: logs.tag_resource(resourceArn=log_arn, tags=carried),
        "logs:PutRetentionPolicy": lambda: logs.put_retention_policy(logGroupName=group, retentionInDays=1),
        "logs:DeleteLogGroup": lambda: logs.delete_log_group(logGroupName=group),
        # Its role is passed to it: a refusal of that is told by this one.
        "lambda:CreateFunction": create,
        "lambda:InvokeFunction": lambda: client.invoke(FunctionName=name, InvocationType="DryRun"),
        "lambda:GetFunction": lambda: client.get_function(FunctionName=name),
        "lambda:GetFunctionConfiguration": lambda: client.get_function_configuration(FunctionName=name),
        "lambda:UpdateFunctionCode": lambda: client.update_function_code(FunctionName=name, DryRun=True, **nowhere),
        "lambda:UpdateFunctionConfiguration": lambda: client.update_function_configuration(FunctionName=name),
        "lambda:PutFunctionConcurrency": lambda: client.put_function_concurrency(
            FunctionName=name, ReservedConcurrentExecutions=1
        ),
        "lambda:DeleteFunction": lambda: client.delete_function(FunctionName=name),
        "lambda:ListTags": lambda: client.list_tags(Resource=arn),
        "lambda:TagResource": lambda: client.tag_resource(Resource=arn, Tags={tags.CLUSTER: settings.cluster}),
    }
