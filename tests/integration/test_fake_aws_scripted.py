"""What is scripted: permissions, faults of each service, and the same from other processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from integration.fake_aws_world import client, fleet, template, wait_until

from mark.testing.aws import FakeAws

A = "us-east-1a"
TAG = "aws:RequestTag/mark:cluster"


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    with FakeAws() as running:
        yield running


def failure(call: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as failed:
        call()
    return str(failed.value.response["Error"]["Code"])


def ask(url: str, body: object = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method="GET" if body is None else "POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


CALLS: dict[str, Callable[[Any], Any]] = {
    "ec2": lambda ec2: ec2.describe_images(Owners=["self"]),
    "s3": lambda s3: s3.list_buckets(),
    "sqs": lambda sqs: sqs.list_queues(),
    "events": lambda events: events.list_rules(),
    "iam": lambda iam: iam.list_roles(),
    "lambda": lambda functions: functions.list_functions(),
    "ssm": lambda ssm: ssm.describe_parameters(),
    "service-quotas": lambda quotas: quotas.list_service_quotas(ServiceCode="ec2"),
    "pricing": lambda pricing: pricing.get_products(ServiceCode="AmazonEC2"),
    "cloudwatch": lambda watch: watch.list_metrics(),
}


@pytest.mark.parametrize("service", CALLS)
def test_every_service_fails_as_told_and_is_denied_in_its_own_words(aws: FakeAws, service: str) -> None:
    asked = client(aws, service)
    allowed = {"Statement": {"Effect": "Allow", "Action": "sts:*", "Resource": "*"}}
    aws.allow(allowed)
    code = failure(lambda: CALLS[service](asked))
    assert code in {"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"}
    aws.allow(None)
    [operation] = [name for name in aws.calls if name.startswith(f"{service}:")]
    aws.fail(operation, "Throttling")
    assert failure(lambda: CALLS[service](asked)) == "Throttling"
    assert aws.calls[operation] == 2
    if service != "cloudwatch":
        CALLS[service](asked)


def scoped(tag: str = "digits", region: str = "us-east-1") -> dict[str, Any]:
    """What a launch of tagged instances needs, and no more."""
    in_region = {"aws:RequestedRegion": region}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["ec2:RunInstances", "ec2:CreateFleet", "ec2:CreateTags"],
                "Resource": [f"arn:aws:ec2:*:*:{kind}/*" for kind in ["instance", "volume"]],
                "Condition": {"StringEquals": {TAG: tag, **in_region}},
            },
            {
                "Effect": "Allow",
                "Action": ["ec2:RunInstances", "ec2:CreateFleet"],
                "Resource": [
                    "arn:aws:ec2:*::image/*",
                    *(
                        f"arn:aws:ec2:*:*:{kind}/*"
                        for kind in ["subnet", "network-interface", "launch-template", "security-group", "fleet"]
                    ),
                ],
                "Condition": {"StringEquals": in_region},
            },
            {
                "Effect": "Allow",
                "Action": "ec2:TerminateInstances",
                "Resource": "*",
                "Condition": {"StringEquals": {"ec2:ResourceTag/mark:cluster": tag}},
            },
        ],
    }


def test_a_policy_that_is_scoped_by_tag_and_region_is_enough(aws: FakeAws) -> None:
    name = template(aws)
    aws.allow(scoped())
    answer = fleet(aws, name, 1, ("c5.large", A))
    ids = answer["Instances"][0]["InstanceIds"]
    ec2 = client(aws, "ec2")
    assert failure(lambda: ec2.stop_instances(InstanceIds=ids)) == "UnauthorizedOperation"
    untagged = {"MinCount": 1, "MaxCount": 1, "ImageId": "ami-12345678", "InstanceType": "c5.large"}
    assert failure(lambda: ec2.run_instances(**untagged)) == "UnauthorizedOperation"
    tagged = [{"ResourceType": kind, "Tags": [{"Key": "mark:cluster", "Value": "digits"}]} for kind in KINDS]
    assert failure(lambda: ec2.run_instances(**untagged, TagSpecifications=tagged, DryRun=True)) == "DryRunOperation"
    aws.allow(scoped(tag="another"))
    assert failure(lambda: fleet(aws, name, 1, ("c5.large", A))) == "UnauthorizedOperation"
    assert failure(lambda: ec2.terminate_instances(InstanceIds=ids)) == "UnauthorizedOperation"
    aws.allow(scoped(region="eu-west-1"))
    assert failure(lambda: fleet(aws, name, 1, ("c5.large", A))) == "UnauthorizedOperation"
    aws.allow(scoped())
    ec2.terminate_instances(InstanceIds=ids)
    assert len(aws.instances()) == 1
    assert client(aws, "sts").get_caller_identity()["Account"] == "123456789012"


KINDS = ["instance", "volume"]


def test_a_role_is_passed_only_if_allowed(aws: FakeAws) -> None:
    iam = client(aws, "iam")
    iam.create_role(RoleName="worker", AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(InstanceProfileName="worker")
    iam.add_role_to_instance_profile(InstanceProfileName="worker", RoleName="worker")
    name = template(aws, IamInstanceProfile={"Name": "worker"})
    policy = scoped()
    aws.allow(policy)
    assert failure(lambda: fleet(aws, name, 1, ("c5.large", A))) == "UnauthorizedOperation"
    passing = {
        "Effect": "Allow",
        "Action": "iam:PassRole",
        "Resource": "arn:aws:iam::*:role/worker",
        "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
    }
    aws.allow({"Statement": [*policy["Statement"], passing]})
    assert fleet(aws, name, 1, ("c5.large", A))["Errors"] == []


def test_keys_of_a_bucket_are_resources(aws: FakeAws) -> None:
    s3 = client(aws, "s3")
    s3.create_bucket(Bucket="models")
    s3.put_object(Bucket="models", Key="public/a", Body=b"1")
    s3.put_object(Bucket="models", Key="private/a", Body=b"1")
    aws.allow({"Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::models/public/*"}})
    assert s3.get_object(Bucket="models", Key="public/a")["Body"].read() == b"1"
    assert failure(lambda: s3.get_object(Bucket="models", Key="private/a")) == "AccessDenied"
    assert failure(lambda: s3.put_object(Bucket="models", Key="public/a", Body=b"2")) == "AccessDenied"


def test_a_put_of_what_must_not_be_there_succeeds_once(aws: FakeAws) -> None:
    from concurrent.futures import ThreadPoolExecutor

    s3 = client(aws, "s3")
    s3.create_bucket(Bucket="lease")

    def put(number: int) -> bool:
        try:
            s3.put_object(Bucket="lease", Key="lease.json", Body=b"%d" % number, IfNoneMatch="*")
        except ClientError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(put, range(16))) == 1


def test_other_processes_script_it_by_http(aws: FakeAws) -> None:
    url = f"{aws.endpoint_url}/fake"
    assert ask(f"{url}/sell_out", {"instance_type": "c5.large", "zone": A}) == (200, None)
    assert fleet(aws, template(aws), 1, ("c5.large", A))["Instances"] == []
    assert ask(f"{url}/fail", {"operation": "ec2:CreateFleet", "code": "InternalError"}) == (200, None)
    assert failure(lambda: fleet(aws, "mark-digits-worker", 1, ("c5.large", A))) == "InternalError"
    assert ask(f"{url}/calls")[1]["ec2:CreateFleet"] == 2
    assert ask(f"{url}/instances") == (200, [])
    assert ask(f"{url}/record") == (200, {"usd": 0.0, "lines": []})
    assert len(ask(f"{url}/tagged?cluster=digits")[1]) == 1
    status, answer = ask(f"{url}/close", {})
    assert (status, "there is no 'close'" in answer["error"]) == (404, True)
    assert ask(f"{url}/fail", {"unknown": 1})[0] == 400
    assert ask(f"{url}/interrupt", {"instance_ids": ["i-1"]})[0] == 400
    assert ask(f"{url}/allow", {"policy_document": {"Statement": {"Effect": "Perhaps"}}})[0] == 400


@pytest.mark.parametrize("end", ["SIGTERM", "its parent"])
def test_it_runs_as_a_process_of_its_own(end: str) -> None:
    command = [sys.executable, "-m", "mark.testing.aws", "--port", "0", "--pending-s", "0.01"]
    if end == "its parent":
        # A shell that waits for its input; the fake is its child.
        command = ["/bin/sh", "-c", f"{' '.join(command)} & echo $!; read _"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = process.pid if end == "SIGTERM" else int(process.stdout.readline())
        url = process.stdout.readline().strip()
        ec2 = boto3.client(
            "ec2", endpoint_url=url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
        )
        ec2.run_instances(MinCount=1, MaxCount=1, ImageId="ami-12345678", InstanceType="c5.large")
        wait_until(lambda: ask(f"{url}/fake/instances")[1][0]["State"]["Name"] == "running", "running")
        process.send_signal(signal.SIGTERM if end == "SIGTERM" else signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "its end")
    if end == "SIGTERM":
        assert process.returncode == 0
