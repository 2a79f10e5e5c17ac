"""IAM's language, as far as the fake AWS knows it."""

from __future__ import annotations

from typing import Any

import pytest

from mark.testing.aws.policy import Action, Policy

ARN = "arn:aws:ec2:us-east-1:123456789012:instance/i-1"


def allowed(*statements: dict[str, Any], **context: list[str]) -> bool:
    return Policy({"Statement": list(statements)}).allows(Action("ec2:StopInstances", ARN, context))


def statement(**more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "ec2:*", "Resource": "*", **more}


@pytest.mark.parametrize(
    ("action", "resource", "expected"),
    [
        ("ec2:StopInstances", ARN, True),
        (["s3:*", "EC2:stop*"], "arn:aws:ec2:*:*:instance/*", True),
        ("ec2:StartInstances", "*", False),
        ("*", "arn:aws:ec2:*:*:volume/*", False),
        ("ec2:StopInstance?", ["x", "*i-1"], True),
        ("ec2:[S]topInstances", "*", False),
    ],
)
def test_actions_and_resources_are_patterns(action: Any, resource: Any, expected: bool) -> None:
    assert allowed(statement(Action=action, Resource=resource)) is expected


def test_nothing_is_allowed_by_itself_and_a_denial_wins() -> None:
    assert not allowed()
    assert not allowed(statement(), statement(Effect="Deny", Action="ec2:Stop*"))
    assert allowed(statement(), {"Effect": "Deny", "NotAction": "ec2:*", "Resource": "*"})
    assert not allowed({"Effect": "Allow", "Action": "*", "NotResource": "*instance*"})


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"StringEquals": {"aws:ResourceTag/mark:cluster": "digits"}}, True),
        ({"StringEquals": {"aws:resourcetag/mark:cluster": ["a", "digits"]}}, True),
        ({"StringEquals": {"aws:ResourceTag/MARK:cluster": "digits"}}, False),
        ({"StringLike": {"aws:ResourceTag/mark:cluster": "dig*"}}, True),
        ({"StringNotEquals": {"aws:ResourceTag/mark:cluster": "digits"}}, False),
        ({"StringNotEquals": {"aws:ResourceTag/other": "digits"}}, True),
        ({"StringEquals": {"aws:ResourceTag/other": "digits"}}, False),
        ({"StringEqualsIfExists": {"aws:ResourceTag/other": "digits"}}, True),
        ({"ForAllValues:StringLike": {"aws:TagKeys": "mark:*"}}, True),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["mark:cluster"]}}, False),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": ["mark:cluster"]}}, True),
        ({"Null": {"aws:TagKeys": "false", "aws:RequestTag/x": "true"}}, True),
        ({"StringEquals": {"aws:RequestedRegion": "us-east-1"}, "Bool": {"aws:SecureTransport": False}}, False),
    ],
)
def test_conditions(condition: dict[str, Any], expected: bool) -> None:
    context = {
        "aws:resourcetag/mark:cluster": ["digits"],
        "aws:tagkeys": ["mark:cluster", "mark:role"],
        "aws:requestedregion": ["us-east-1"],
        "aws:securetransport": ["true"],
    }
    assert allowed(statement(Condition=condition), **context) is expected


@pytest.mark.parametrize(
    "broken",
    [
        {"Effect": "Maybe"},
        {"Principal": "*"},
        {"NotAction": "s3:*"},
        {"NotResource": "*"},
        {"Condition": {"DateLessThan": {"aws:CurrentTime": "x"}}},
        {"Resource": "arn:aws:s3:::${aws:username}"},
    ],
)
def test_what_it_does_not_know_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"statement|condition"):
        Policy({"Statement": statement(**broken)})
