"""`mark aws policy`."""

from __future__ import annotations

import enum
import json
from typing import Annotated

import typer

from mark.app.aws import aws_settings
from mark.cli.aws.options import ConfigPath
from mark.cloud.aws.policy import policy as policy_of
from mark.config import load_config

__all__ = ["PolicyRole", "policy"]


class PolicyRole(enum.Enum):
    """Whose policy: a part of the cluster, or who sets it up and takes it down."""

    ROUTER = "router"
    WORKER = "worker"
    FUNCTION = "function"
    ADMIN = "admin"


def policy(
    config: ConfigPath,
    role: Annotated[PolicyRole, typer.Option(help="Whose; admin's is for bootstrap and teardown.")] = PolicyRole.ROUTER,
    account: Annotated[str, typer.Option(help="AWS's number of the account; * for any.")] = "*",
) -> None:
    """Print the IAM policy that a part of the cluster needs, and no more.

    Example: mark aws policy mark.yaml --role admin
    """
    document = policy_of(role.value, aws_settings(load_config(config)), account)
    typer.echo(json.dumps(document, indent=2))
