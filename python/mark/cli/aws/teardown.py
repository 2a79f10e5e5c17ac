"""`mark aws teardown`."""

from __future__ import annotations

import typer

from mark.app.aws import aws_settings
from mark.app.extra import needs_extra
from mark.cli.aws.bootstrap import print_steps
from mark.cli.aws.options import ConfigPath, Yes
from mark.config import load_config
from mark.errors import CloudError

__all__ = ["teardown"]


def teardown(config: ConfigPath, yes: Yes = False) -> None:
    """End everything that the cluster has in AWS, models and certificates too, and prove that nothing is left.

    Stop the router first: it would launch again. Without --yes nothing is changed. Exit code 1 when something is left.

    Example: mark aws teardown mark.yaml --yes
    """
    settings = aws_settings(load_config(config))
    with needs_extra():
        from mark.cloud.aws.resources import cluster
        from mark.cloud.aws.session import AwsSession
    session = AwsSession(settings)
    steps = cluster.planned(cluster.doomed(settings, session), deleting=True)
    print_steps(steps, f"cluster {settings.cluster} in {settings.region}, account {session.account}")
    if not yes:
        typer.echo("nothing was changed; --yes does it")
        return
    failure = None
    try:
        cluster.teardown(settings, session)
    except CloudError as error:
        failure = error  # told below what is left of it
        typer.echo(f"mark: {error}", err=True)
    left = cluster.leftovers(settings, session)
    for each in left:
        typer.echo(f"left: {each}")
    if left or failure:
        raise typer.Exit(1)
    typer.echo(f"nothing that is tagged mark:cluster={settings.cluster} is left")
