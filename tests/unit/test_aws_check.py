"""`mark aws check` notices what is missing: things, permissions, quotas, types, zones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("boto3")
pytest.importorskip("moto")

from botocore.exceptions import ClientError
from unit.aws_cluster import SETTINGS, mark_aws, run_instance

from mark.cloud.aws.check import check, permissions_of
from mark.cloud.aws.finding import Finding, Verdict
from mark.cloud.aws.permissions import grants
from mark.cloud.aws.policy import policy
from mark.cloud.aws.resources import cluster
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsSettings
from mark.testing.aws import FakeAws, FakeAwsParams

KINDS = ("instance", "volume")
ACTIONS = sorted({action for grant in grants("router", SETTINGS) for action in grant.actions} - {"ssm:GetParameter"})


@pytest.fixture(scope="module")
def aws() -> Iterator[FakeAws]:
    """A cluster that has been set up, with an instance; tests change what is allowed, and nothing else."""
    with FakeAws(FakeAwsParams(vcpu_quotas={"L-34B43A08": 3.0})) as fake, pytest.MonkeyPatch.context() as patch:
        for name, value in fake.environment.items():
            patch.setenv(name, value)
        session = AwsSession(SETTINGS)
        cluster.bootstrap(SETTINGS, session)
        run_instance(session, "cpu", "c5.large")
        yield fake


def without(action: str, account: str) -> dict[str, Any]:
    """The router's policy without an action."""
    document = policy("router", SETTINGS, account)
    for statement in document["Statement"]:
        statement["Action"] = [each for each in statement["Action"] if each != action]
    document["Statement"] = [each for each in document["Statement"] if each["Action"]]
    return document


def missing(findings: list[Finding]) -> set[str]:
    return {each.what for each in findings if each.verdict is Verdict.MISSING}


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {each.what: each for each in findings}


def test_the_router_s_policy_is_enough(aws: FakeAws) -> None:
    session = AwsSession(SETTINGS)
    aws.allow(policy("router", SETTINGS, session.account))
    try:
        found = list(permissions_of(SETTINGS, session))
    finally:
        aws.allow(None)

    assert len(found) == 1, found
    (line,) = found
    assert (line.verdict, line.what) == (Verdict.WELL, f"{len(ACTIONS)} permissions")


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_that_is_not_allowed_is_noticed(aws: FakeAws, action: str) -> None:
    session = AwsSession(SETTINGS)
    aws.allow(without(action, session.account))
    try:
        found = list(permissions_of(SETTINGS, session))
    finally:
        aws.allow(None)

    assert f"permission {action}" in {each.what for each in found if each.verdict is not Verdict.WELL}
    refused = [each for each in found if each.verdict is Verdict.MISSING]
    assert {each.mend for each in refused} <= {"mark aws policy CONFIG, and give it to who runs the router"}
    if action != "ec2:DescribeImages":  # without the image, no launch can be tried
        assert f"permission {action}" in missing(found)


def test_that_the_image_s_parameter_may_not_be_read_is_noticed_and_mended_by_the_policy(aws: FakeAws) -> None:
    by_parameter = replace(SETTINGS, image=AwsSettings("shop", "us-east-1").image)
    session = AwsSession(by_parameter)
    document = policy("router", by_parameter, session.account)
    aws.allow(document)
    try:
        assert missing(list(permissions_of(by_parameter, session))) == set()
        statements = [each for each in document["Statement"] if each["Action"] != ["ssm:GetParameter"]]
        aws.allow({**document, "Statement": statements})
        found = by_name(list(permissions_of(by_parameter, session)))
    finally:
        aws.allow(None)

    refused = found["permission ssm:GetParameter"]
    assert (refused.verdict, refused.mend[:24]) == (Verdict.MISSING, "mark aws policy CONFIG, ")


def test_the_router_s_policy_reaches_its_own_cluster_s_instances_alone_and_launches_none_untagged(aws: FakeAws) -> None:
    session, launch = AwsSession(SETTINGS), {"ImageId": "ami-12c6146b", "InstanceType": "c5.large"}
    ec2, one = session.client("ec2"), {"MinCount": 1, "MaxCount": 1}
    theirs = [{"ResourceType": each, "Tags": [{"Key": "mark:cluster", "Value": "other"}]} for each in KINDS]
    other = ec2.run_instances(**launch, **one, TagSpecifications=theirs)["Instances"][0]["InstanceId"]
    refused: list[Callable[[], Any]] = [
        lambda: ec2.terminate_instances(InstanceIds=[other]),
        lambda: ec2.stop_instances(InstanceIds=[other]),
        lambda: ec2.run_instances(**launch, **one),
        lambda: ec2.run_instances(**launch, **one, TagSpecifications=theirs),
        lambda: ec2.create_tags(Resources=[other], Tags=[{"Key": "mark:cluster", "Value": "shop"}]),
    ]
    aws.allow(policy("router", SETTINGS, session.account))
    try:
        for call in refused:
            with pytest.raises(ClientError, match="UnauthorizedOperation"):
                call()
    finally:
        aws.allow(None)
        ec2.terminate_instances(InstanceIds=[other])


def test_bootstrap_and_teardown_need_no_more_than_the_admin_s_policy(aws: FakeAws) -> None:
    other = replace(SETTINGS, cluster="other")
    session = AwsSession(other)
    aws.allow(policy("admin", other, session.account))
    try:
        cluster.bootstrap(other, session)
        cluster.bootstrap(other, session)
        cluster.teardown(other, session)
        assert cluster.leftovers(other, session) == []
    finally:
        aws.allow(None)


def test_all_is_well_but_the_quota_of_spot_which_has_the_command_that_mends_it(aws: FakeAws) -> None:
    found = check(SETTINGS, AwsSession(SETTINGS))

    assert missing(found) == {"quota spot/standard"}
    quota = by_name(found)["quota spot/standard"]
    assert quota.detail == "max_count needs 4 vCPUs, the account may run 3"
    assert "--quota-code L-34B43A08 --desired-value 4 --region us-east-1" in quota.mend
    assert "cpu $0.1700/h" in by_name(found)["prices"].detail


def test_a_cluster_that_was_not_set_up_is_told_to_be(aws: FakeAws) -> None:
    bare = replace(SETTINGS, cluster="bare")
    found = check(bare, AwsSession(bare))

    assert {"bucket mark-bare-123456789012-us-east-1", "role mark-bare-worker"} <= missing(found)
    assert {each.mend for each in found if each.what.startswith("bucket")} == {"mark aws bootstrap CONFIG --yes"}


def changed(**changes: Any) -> AwsSettings:
    cpu = replace(SETTINGS.offerings[0], **changes)
    return replace(SETTINGS, offerings=(cpu,))


def test_types_that_are_not_there_or_do_not_run_the_image_are_named(aws: FakeAws) -> None:
    found = by_name(check(changed(types=("c5.large", "c9.none", "c6g.large")), AwsSession(SETTINGS)))

    assert found["type c9.none"].verdict is Verdict.MISSING
    assert found["image ami-12c6146b"].detail == "is for x86_64; not so c6g.large"


def test_a_zone_without_a_subnet_is_named(aws: FakeAws) -> None:
    found = by_name(check(changed(zones=("us-east-1a", "us-east-1z")), AwsSession(SETTINGS)))

    assert found["network"].detail == "no subnet in us-east-1z"


def test_the_command_fails_when_something_is_missing_and_says_what_as_json(aws: FakeAws, tmp_path: Path) -> None:
    code, said = mark_aws(tmp_path, "check", "--json")
    report = json.loads(said)

    assert (code, report["ok"]) == (2, False)
    assert [each["what"] for each in report["findings"] if each["verdict"] == "missing"] == ["quota spot/standard"]
    code, said = mark_aws(tmp_path, "check")
    assert (code, "request-service-quota-increase" in said) == (2, True)
