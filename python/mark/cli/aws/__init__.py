"""`mark aws`: set up, look at and take down what runs on AWS."""

from __future__ import annotations

import typer

from mark.cli.aws.agent import agent
from mark.cli.aws.bootstrap import bootstrap
from mark.cli.aws.check import check
from mark.cli.aws.cost import cost
from mark.cli.aws.package import package
from mark.cli.aws.policy import policy
from mark.cli.aws.teardown import teardown

__all__ = ["aws"]

aws = typer.Typer(name="aws", help="Run on AWS: set up, look at, take down.", no_args_is_help=True)
for command in (policy, bootstrap, check, cost, package, teardown, agent):
    aws.command()(command)


@aws.callback()
def _aws() -> None:
    """Run on AWS: set up, look at, take down."""
