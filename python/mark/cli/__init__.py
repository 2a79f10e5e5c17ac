"""The command line: `mark --help` lists the commands."""

from __future__ import annotations

import contextlib
import os
import sys

from mark.errors import MarkError

__all__ = ["main"]


def main() -> None:
    """Run a command; an error that a person can mend is told in plain words, with exit code 2."""
    # gRPC's core tells of a busy port in its own words beside ours. It reads this when it is imported, so before the
    # commands are; whoever wants its words sets the variable.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        _run()
    except KeyboardInterrupt:  # also in the last moment, when all is done
        raise SystemExit(130) from None


def _run() -> None:
    try:
        from mark.cli.commands import app  # takes a while, in which somebody may change their mind

        app()
    except MarkError as error:
        with contextlib.suppress(OSError):  # nobody may be left to read it
            sys.stderr.write(f"mark: {error}\n")
        raise SystemExit(2) from None
    finally:
        _drop_what_nobody_reads()


def _drop_what_nobody_reads() -> None:
    """Let the exit code tell how the command ended, though whoever read its stderr has gone.

    What could not be written stays in the buffer. Python tries it once more at its end, and then exits with 120.
    """
    try:
        sys.stderr.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stderr.fileno())
        os.close(nowhere)
