"""Whether those who cannot be asked to try have what their policy gives them: IAM is asked what it would answer.

Simulation: AWS Identity and Access Management API Reference, SimulatePrincipalPolicy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from mark.cloud.aws.errors import DENIED_CODES, code_of, translated
from mark.cloud.aws.finding import Finding, Verdict
from mark.cloud.aws.permissions import Grant, Names, Role, grants
from mark.cloud.aws.resources.calls import GONE, called
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsSettings

__all__ = ["simulated"]

_ASK = "iam:SimulatePrincipalPolicy"
_BOOTSTRAP = "mark aws bootstrap CONFIG --yes"
_POLICY = "mark aws policy CONFIG --role {}, and give it to who {}"
_DOES = {"admin": "sets the cluster up", "router": "runs the router"}
_CALLER = re.compile(r"arn:([^:]+):(?:sts|iam)::(\d+):(user|assumed-role|role|root)(?:/(.*))?")


def simulated(role: Role, settings: AwsSettings, session: AwsSession) -> Iterator[Finding]:
    """What a role's policy allows and IAM would not: for the roles that bootstrap makes, or for who asks.

    Raises:
        CloudError: AWS does not say.
    """
    own = {"worker": settings.worker_role, "function": settings.function_role}.get(role)
    mend = _POLICY.format(role, _DOES[role]) if own is None else _BOOTSTRAP
    principal = _caller(session) if own is None else Names(settings, session.account).iam(f"role/{own}")
    if not principal:
        yield Finding("permissions", Verdict.WELL, "who asks is the account's root, which may do everything")
        return
    needed, given = 0, 0
    for grant in grants(role, settings, session.account):
        try:
            lacking = _lacking(grant, principal, session)
        except Exception as error:
            if code_of(error) in DENIED_CODES:
                mend = _POLICY.format("admin", _DOES["admin"])
                yield Finding(f"permission {_ASK}", Verdict.MISSING, "asks IAM what is allowed: not allowed", mend)
                return
            if code_of(error) in GONE:
                yield Finding(f"role {own or principal}", Verdict.MISSING, "is not there", mend)
                return
            raise translated(error, f"asking IAM what {principal} is allowed") from error
        needed, given = needed + len(grant.actions), given + len(grant.actions) - len(lacking)
        for action, where in lacking.items():
            detail = f"{grant.actions[action]}: not allowed on {', '.join(where)}"
            yield Finding(f"permission {action}", Verdict.MISSING, detail, mend)
    yield Finding(f"{given} permissions", Verdict.WELL, f"of {needed} are given to {principal}")


def _lacking(grant: Grant, principal: str, session: AwsSession) -> dict[str, list[str]]:
    """Action -> what it is not allowed on."""
    denied: dict[str, list[str]] = {action: [] for action in grant.actions}
    for resource in grant.resources:
        for action in _denied(grant, resource, principal, session):
            denied[action].append(resource)
    # An action of EC2 is about some of a grant's kinds of things alone: what IAM says of the others means nothing.
    enough = {action: len(grant.resources) if action.startswith("ec2:") else 1 for action in grant.actions}
    return {action: where for action, where in denied.items() if len(where) >= enough[action]}


def _denied(grant: Grant, resource: str, principal: str, session: AwsSession) -> list[str]:
    context = [
        {"ContextKeyName": key, "ContextKeyValues": [_one(value)], "ContextKeyType": "string"}
        for keys in grant.conditions.values()
        for key, value in keys.items()
    ]
    pages = (
        session.client("iam")
        .get_paginator("simulate_principal_policy")
        .paginate(
            PolicySourceArn=principal,
            ActionNames=sorted(grant.actions),
            ResourceArns=[resource if resource == "*" else resource.replace("*", "check")],
            ContextEntries=context,
        )
    )
    results: list[Any] = [result for page in pages for result in page["EvaluationResults"]]
    allowed = {result["EvalActionName"] for result in results if result["EvalDecision"] == "allowed"}
    return [action for action in grant.actions if action not in allowed]


def _one(value: str | list[str]) -> str:
    return value if isinstance(value, str) else value[0]


def _caller(session: AwsSession) -> str:
    """Who asks, as IAM knows it; empty for the root. A session is one of its role."""
    arn = str(called("asking AWS who this is", session.client("sts").get_caller_identity)["Arn"])
    found = _CALLER.fullmatch(arn)
    if found is None:
        return arn
    partition, account, kind, name = found.groups()
    if kind == "root":
        return ""
    if kind == "assumed-role":
        kind, name = "role", name.partition("/")[0]
    return f"arn:{partition}:iam::{account}:{kind}/{name}"
