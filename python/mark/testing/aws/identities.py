"""Roles and instance profiles, as moto's IAM has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from moto.backends import get_backend

from mark.testing.aws.ec2_state import ACCOUNT

__all__ = ["policy_of_role", "role_arns", "role_names", "role_of_profile"]


def role_arns(profile: Mapping[str, str]) -> list[str]:
    """ARNs of the roles in an instance profile that is given by name or ARN."""
    name = profile.get("Name") or profile.get("Arn", "").rpartition("/")[2]
    known = list(_iam().instance_profiles.values())
    return [str(role.arn) for each in known if each.name == name for role in each.roles]


def role_of_profile(profile: Mapping[str, str]) -> str:
    """ARN of the role that an instance of a profile has; empty for none."""
    return next(iter(role_arns(profile)), "")


def role_names() -> set[str]:
    """Of the roles that are there."""
    return {str(role.name) for role in list(_iam().roles.values())}


def policy_of_role(name: str) -> dict[str, Any]:
    """What a role is allowed now by its inline policies, as one document: nothing, for one that is not there."""
    roles = [role for role in list(_iam().roles.values()) if role.name == name]
    documents = [json.loads(text) for role in roles for text in list(role.policies.values())]
    statements: list[Any] = []
    for document in documents:
        found = document.get("Statement", [])
        statements += found if isinstance(found, list) else [found]
    return {"Statement": statements}


def _iam() -> Any:
    return get_backend("iam")[ACCOUNT]["aws"]
