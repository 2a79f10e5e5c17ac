"""Terminals as a reader has them: one that waits for each command, and others in which something runs on."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

__all__ = ["CommandFailed", "Terminal", "run_to_end"]

_END_S = 30.0
_LOOK_S = 0.02
# What a command ends with after Ctrl-C: well, as interrupted, or as killed by the signal.
_INTERRUPTED = (0, 130, -signal.SIGINT)


class CommandFailed(AssertionError):
    """A command did not do what its page says."""


def run_to_end(commands: str, folder: Path, environ: Mapping[str, str], timeout_s: float) -> str:
    """Run commands one after the other and return what they print; raises CommandFailed when one fails."""
    try:
        done = subprocess.run(
            ["bash", "-euc", commands],
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"not done after {timeout_s:g} s; it printed:\n{error.output}") from error
    if done.returncode != 0:
        raise CommandFailed(f"exit status {done.returncode}; it printed:\n{done.stdout}")
    return done.stdout


class Terminal:
    """A terminal in which commands run on while the page goes on elsewhere."""

    def __init__(self, commands: str, folder: Path, environ: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                ["bash", "-euc", commands],
                cwd=folder,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def printed(self) -> str:
        """What was printed until now."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def wait_until(self, missing: Callable[[str], str | None], timeout_s: float) -> None:
        """Wait until nothing is missing from what is printed; raises CommandFailed when it ends or stays silent."""
        until = time.monotonic() + timeout_s
        while (line := missing(self.printed())) is not None:
            if self._process.poll() is not None and missing(self.printed()) is not None:
                raise CommandFailed(f"it ended without printing {line!r}, but:\n{self.printed()}")
            if time.monotonic() > until:
                raise CommandFailed(f"it did not print {line!r} in {timeout_s:g} s, but:\n{self.printed()}")
            time.sleep(_LOOK_S)

    def interrupt(self) -> None:
        """Ctrl-C, and wait for the end; raises CommandFailed when it ends badly or not at all."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
        try:
            status = self._process.wait(_END_S)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise CommandFailed(f"Ctrl-C does not end it in {_END_S:g} s; it printed:\n{self.printed()}") from error
        if status not in _INTERRUPTED:
            raise CommandFailed(f"exit status {status} after Ctrl-C; it printed:\n{self.printed()}")

    def kill(self) -> None:
        """End it at once."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
