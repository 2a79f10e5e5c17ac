"""`mark aws check --role` notices what workers, functions and who sets a cluster up may not do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

pytest.importorskip("boto3")
pytest.importorskip("moto")

from unit.aws_cluster import SETTINGS, mark_aws

from mark.cloud.aws.check import check
from mark.cloud.aws.finding import Finding, Verdict
from mark.cloud.aws.permissions import Role, grants
from mark.cloud.aws.policy import policy
from mark.cloud.aws.resources import cluster
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.simulated_permissions import _caller
from mark.testing.aws import FakeAws

ROLES: dict[Role, str] = {"worker": SETTINGS.worker_role, "function": SETTINGS.function_role, "admin": ""}
EVERY = [
    (role, action)
    for role in ROLES
    for action in sorted({action for grant in grants(role, SETTINGS) for action in grant.actions})
]


@pytest.fixture(scope="module")
def aws() -> Iterator[FakeAws]:
    """A cluster that has been set up; each test that changes a policy puts it back."""
    with FakeAws() as fake, pytest.MonkeyPatch.context() as patch:
        for name, value in fake.environment.items():
            patch.setenv(name, value)
        cluster.bootstrap(SETTINGS, AwsSession(SETTINGS))
        yield fake


def found_with(aws: FakeAws, role: Role, document: dict[str, Any]) -> list[Finding]:
    """What is found when the role has this policy."""
    session = AwsSession(SETTINGS)
    name = ROLES[role]
    iam, how = session.client("iam"), {"RoleName": name, "PolicyName": "mark"}
    try:
        if name:
            iam.put_role_policy(**how, PolicyDocument=json.dumps(document))
            aws.allow(policy("admin", SETTINGS, session.account))
        else:
            aws.allow(document)
        return check(SETTINGS, session, role)
    finally:
        aws.allow(None)
        if name:
            iam.put_role_policy(**how, PolicyDocument=json.dumps(policy(role, SETTINGS, session.account)))


def missing(findings: list[Finding]) -> set[str]:
    return {each.what for each in findings if each.verdict is Verdict.MISSING}


def test_every_role_that_is_not_the_router_s_is_here() -> None:
    assert {*ROLES, "router"} == set(get_args(Role))


@pytest.mark.parametrize("role", ROLES)
def test_the_printed_policy_is_enough(aws: FakeAws, role: Role) -> None:
    found = found_with(aws, role, policy(role, SETTINGS, AwsSession(SETTINGS).account))

    assert {each.verdict for each in found} == {Verdict.WELL}
    needed = sum(len(grant.actions) for grant in grants(role, SETTINGS))
    assert (found[-1].what, found[-1].detail[:20].split()[1]) == (f"{needed} permissions", str(needed))


@pytest.mark.parametrize(("role", "action"), EVERY)
def test_an_action_that_is_not_allowed_is_noticed(aws: FakeAws, role: Role, action: str) -> None:
    document = policy(role, SETTINGS, AwsSession(SETTINGS).account)
    for statement in document["Statement"]:
        statement["Action"] = [each for each in statement["Action"] if each != action]
    document["Statement"] = [each for each in document["Statement"] if each["Action"]]

    found = found_with(aws, role, document)

    assert missing(found) == {f"permission {action}"}
    mends = {each.mend for each in found if each.verdict is Verdict.MISSING}
    expected = "mark aws policy CONFIG --role admin, and give it to who sets the cluster up"
    assert mends == {expected if role == "admin" else "mark aws bootstrap CONFIG --yes"}


def test_an_object_that_a_worker_may_not_read_is_named(aws: FakeAws) -> None:
    document = policy("worker", SETTINGS, AwsSession(SETTINGS).account)
    document["Statement"][0]["Resource"] = document["Statement"][0]["Resource"][:2]

    (refused,) = (each for each in found_with(aws, "worker", document) if each.verdict is Verdict.MISSING)

    assert refused.what == "permission s3:GetObject"
    assert refused.detail.endswith("not allowed on arn:aws:s3:::mark-shop-123456789012-us-east-1/tls/trusted.pem")


def test_a_right_under_a_condition_that_does_not_hold_is_none(aws: FakeAws) -> None:
    other = policy("admin", replace(SETTINGS, region="eu-west-1"), AwsSession(SETTINGS).account)
    assert "permission ec2:DescribeInstances" in missing(found_with(aws, "admin", other))


def test_a_role_that_is_not_there_is_told_to_be_made(aws: FakeAws) -> None:
    bare = replace(SETTINGS, cluster="bare")

    refused = check(bare, AwsSession(bare), "worker")[-1]

    assert (refused.what, refused.verdict) == ("role mark-bare-worker", Verdict.MISSING)
    assert refused.mend == "mark aws bootstrap CONFIG --yes"


def test_who_may_not_ask_is_told_what_lacks(aws: FakeAws) -> None:
    session = AwsSession(SETTINGS)
    aws.allow(policy("router", SETTINGS, session.account))
    try:
        found = check(SETTINGS, session, "function")
    finally:
        aws.allow(None)

    assert missing(found) == {"permission iam:SimulatePrincipalPolicy"}


def test_what_iam_does_not_say_is_unknown(aws: FakeAws) -> None:
    aws.fail("iam:SimulatePrincipalPolicy", "InvalidInput", times=1)

    found = check(SETTINGS, AwsSession(SETTINGS), "function")[-1]

    assert (found.what, found.verdict) == ("permissions", Verdict.UNKNOWN)


@pytest.mark.parametrize(
    ("arn", "expected"),
    [
        ("arn:aws:iam::123456789012:user/ops/ann", "arn:aws:iam::123456789012:user/ops/ann"),
        ("arn:aws:sts::123456789012:assumed-role/ops/ann", "arn:aws:iam::123456789012:role/ops"),
        ("arn:aws-cn:iam::123456789012:root", ""),
        ("arn:aws:sts::123456789012:federated-user/ann", "arn:aws:sts::123456789012:federated-user/ann"),
    ],
)
def test_a_session_is_of_its_role(arn: str, expected: str) -> None:
    class Sts:
        def get_caller_identity(self) -> dict[str, str]:
            return {"Arn": arn}

    class Session:
        def client(self, _: str) -> Sts:
            return Sts()

    assert _caller(Session()) == expected  # type: ignore[arg-type]


def test_the_command_takes_a_role(aws: FakeAws, tmp_path: Path) -> None:
    code, said = mark_aws(tmp_path, "check", "--role", "worker", "--json")

    report = json.loads(said)
    assert (code, report["ok"]) == (0, True)
    assert [each["what"] for each in report["findings"]] == ["identity", "3 permissions"]
