"""The command line: `mark serve`, `worker`, `load`, `status`, `demo` and `version`."""

from __future__ import annotations

import sys

import typer

from mark.cli.demo import demo
from mark.cli.load import load
from mark.cli.serve import serve
from mark.cli.status import status
from mark.cli.version import version
from mark.cli.worker import worker
from mark.errors import MarkError

__all__ = ["app", "main"]

app = typer.Typer(
    name="mark",
    help="Serve machine-learning models within a response-time promise, at the least cost.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (serve, worker, load, status, demo, version):
    app.command()(command)


def main() -> None:
    """Run a command; an error that a person can mend is one line and exit code 2."""
    try:
        app()
    except MarkError as error:
        sys.stderr.write(f"mark: {error}\n")
        raise SystemExit(2) from None
