"""IAM policies of the parts of a cluster: no more than what `permissions` says they do."""

from __future__ import annotations

from typing import Any

from mark.cloud.aws.permissions import Grant, Role, grants
from mark.cloud.aws.settings import AwsSettings

__all__ = ["policy", "trust"]

_VERSION = "2012-10-17"  # of the policy language


def policy(role: Role, settings: AwsSettings, account: str = "*") -> dict[str, Any]:
    """The policy of a role as JSON-ready values; `account` is AWS's number of it, "*" for any."""
    return {"Version": _VERSION, "Statement": [_statement(grant) for grant in grants(role, settings, account)]}


def trust(service: str) -> dict[str, Any]:
    """Who may take a role on: a service of AWS, such as "ec2.amazonaws.com"."""
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {"Version": _VERSION, "Statement": [statement]}


def _statement(grant: Grant) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Sid": grant.sid,
        "Effect": "Allow",
        "Action": sorted(grant.actions),
        "Resource": list(grant.resources),
    }
    if grant.conditions:
        statement["Condition"] = {operator: dict(keys) for operator, keys in grant.conditions.items()}
    return statement
