"""`mark aws bootstrap`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

from mark.app.aws import aws_settings
from mark.app.extra import needs_extra
from mark.cli.aws.options import ConfigPath, Yes
from mark.config import load_config

if TYPE_CHECKING:
    from mark.cloud.aws.resources.cluster import Step

__all__ = ["bootstrap", "print_steps"]


def bootstrap(config: ConfigPath, yes: Yes = False) -> None:
    """Make what the cluster needs in AWS before it serves: roles, bucket, queue, rule and security group.

    What is there already is brought into shape. Without --yes nothing is changed.

    Example: mark aws bootstrap mark.yaml --yes
    """
    settings = aws_settings(load_config(config))
    with needs_extra():
        from mark.cloud.aws.resources import cluster
        from mark.cloud.aws.session import AwsSession
    session = AwsSession(settings)
    steps = cluster.planned(cluster.lasting(settings, session), deleting=False)
    print_steps(steps, f"cluster {settings.cluster} in {settings.region}, account {session.account}")
    if yes:
        cluster.bootstrap(settings, session)
        typer.echo("done; `mark aws check` says whether all else is well")
    elif any(step.action == "create" for step in steps):
        typer.echo("nothing was changed; --yes does it")
    else:
        typer.echo("everything is there; --yes brings it into shape again")


def print_steps(steps: list[Step], title: str) -> None:
    """What is, or would be, done about each resource; one line each."""
    table = Table("action", "what", "name", title=title, title_justify="left")
    for step in steps:
        table.add_row(step.action, step.kind, step.name)
    Console().print(table)
