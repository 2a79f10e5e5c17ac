"""What IAM would answer: SimulatePrincipalPolicy, which moto does not have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mark.testing.aws.front import Operation
from mark.testing.aws.identities import policy_of_role, role_names
from mark.testing.aws.policy import Action, Policy, context_key
from mark.testing.aws.wire import AwsError, Call

__all__ = ["simulation"]


def simulation(policy_of: Callable[[str], Policy | None]) -> Operation:
    """The operation; `policy_of` gives the policy of an access key, None for one that may do everything.

    The fake knows no users: whichever user is asked about has the policy of the key that asks.
    """

    def simulate(call: Call) -> Mapping[str, Any]:
        kind, _, name = str(call.params["PolicySourceArn"]).rpartition(":")[2].partition("/")
        if kind == "role" and name not in role_names():
            raise AwsError("NoSuchEntity", f"The role with name {name} cannot be found.")
        policy = Policy(policy_of_role(name)) if kind == "role" else policy_of(call.key)
        entries = call.params.get("ContextEntries") or []
        context = {context_key(each["ContextKeyName"]): list(each["ContextKeyValues"]) for each in entries}
        return {
            "IsTruncated": False,
            "EvaluationResults": [
                {
                    "EvalActionName": action,
                    "EvalResourceName": resource,
                    "EvalDecision": _decision(policy, Action(action, resource, context)),
                }
                for action in call.params["ActionNames"]
                for resource in call.params.get("ResourceArns") or ["*"]
            ],
        }

    return simulate


def _decision(policy: Policy | None, action: Action) -> str:
    return "allowed" if policy is None or policy.allows(action) else "implicitDeny"
