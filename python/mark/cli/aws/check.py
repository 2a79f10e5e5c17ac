"""`mark aws check`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mark.app.aws import aws_settings
from mark.app.extra import needs_extra
from mark.cli.aws.options import AsJson, ConfigPath
from mark.cli.aws.policy import PolicyRole
from mark.config import load_config

__all__ = ["check"]


def check(
    config: ConfigPath,
    role: Annotated[
        PolicyRole, typer.Option(help="Who it is for; of all but the router, IAM is asked what they are allowed.")
    ] = PolicyRole.ROUTER,
    as_json: AsJson = False,
) -> None:
    """Say what the account lacks for the cluster, and the command that mends it. Exit code 2 when something is missing.

    Changes nothing but one small object in the bucket and one empty log group, which it deletes again. Run it as who
    runs the router; with --role, as who sets the cluster up.

    Example: mark aws check mark.yaml
    """
    settings = aws_settings(load_config(config))
    with needs_extra():
        from mark.cloud.aws.check import check as findings_of
        from mark.cloud.aws.finding import Verdict
        from mark.cloud.aws.session import AwsSession
    findings = findings_of(settings, AwsSession(settings), role.value)
    missing = any(each.verdict is Verdict.MISSING for each in findings)
    if as_json:
        lines = [asdict(each) | {"verdict": each.verdict.value} for each in findings]
        typer.echo(json.dumps({"ok": not missing, "findings": lines}, indent=2))
    else:
        table = Table("what", "is", "in words", "to mend it")
        colours = {Verdict.WELL: "green", Verdict.MISSING: "red", Verdict.UNKNOWN: "yellow"}
        for each in findings:
            mend = each.mend.replace("CONFIG", str(config))
            # As text, for a bracket in it is no markup.
            verdict = Text(each.verdict.value, style=colours[each.verdict])
            table.add_row(Text(each.what), verdict, Text(each.detail), Text(mend))
        Console().print(table)
    if missing:
        raise typer.Exit(2)
