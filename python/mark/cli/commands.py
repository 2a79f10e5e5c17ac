"""The commands of the command line."""

from __future__ import annotations

import typer

from mark.cli.aws import aws
from mark.cli.chaos import chaos
from mark.cli.compare import compare
from mark.cli.cost import cost
from mark.cli.demo import demo
from mark.cli.explain import explain
from mark.cli.forecast import forecast
from mark.cli.load import load
from mark.cli.metrics import metrics
from mark.cli.plan import plan
from mark.cli.profile import profile
from mark.cli.replay import replay
from mark.cli.serve import serve
from mark.cli.simulate import simulate
from mark.cli.status import status
from mark.cli.top import top
from mark.cli.trace import trace
from mark.cli.tune import tune
from mark.cli.version import version
from mark.cli.worker import worker

__all__ = ["app"]

app = typer.Typer(
    name="mark",
    help="Serve machine-learning models within a response-time promise, at the least cost.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
COMMANDS = (
    serve,
    worker,
    load,
    status,
    top,
    explain,
    cost,
    tune,
    profile,
    plan,
    simulate,
    compare,
    replay,
    demo,
    version,
)
for command in COMMANDS:
    app.command()(command)
app.add_typer(trace)
app.add_typer(forecast)
app.add_typer(metrics)
app.add_typer(chaos)
app.add_typer(aws)
