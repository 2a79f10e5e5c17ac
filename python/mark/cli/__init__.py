"""The command line: `mark serve`, `worker`, `load`, `trace`, `status`, `profile`, `plan`, `demo` and `version`."""

from __future__ import annotations

import os
import sys

from mark.errors import MarkError

__all__ = ["main"]


def main() -> None:
    """Run a command; an error that a person can mend is told in plain words, with exit code 2."""
    # gRPC's core tells of a busy port in its own words beside ours. It reads this when it is imported, so before the
    # commands are; whoever wants its words sets the variable.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from mark.cli.commands import app

    try:
        app()
    except MarkError as error:
        sys.stderr.write(f"mark: {error}\n")
        raise SystemExit(2) from None
