"""Runs the commands of a page as they stand: `python tests/docs/run_page.py docs/tutorial.md [FOLDER]`.

They run in an empty folder, in a network of their own where the system allows it. Prints each command and, at the end,
how long all of them took; exits with 1 at the first that fails.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import psutil
from docs.own_network import enter_own_network
from docs.page import Fence, Page, read_page
from docs.shown import missing_line
from docs.terminal import CommandFailed, Terminal, run_to_end

__all__ = ["PageRun", "main"]

_COMMAND_S = 300.0
_START_S = 60.0
_PR_SET_CHILD_SUBREAPER = 36


class PageRun:
    """One run through a page."""

    def __init__(self, page: Page, folder: Path, environ: dict[str, str], logs: Path) -> None:
        self._page = page
        self._folder = folder
        self._environ = environ
        self._logs = logs
        self._terminals: dict[str, Terminal] = {}

    def run(self) -> None:
        """Do what the page says.

        Raises:
            CommandFailed: a command fails, or does not print what is shown, or leaves a process behind.
        """
        try:
            for fence, output in self._page.steps():
                try:
                    self._step(fence, output.text if output else "")
                except CommandFailed as error:
                    raise CommandFailed(f"{self._page.path}:{fence.line}:\n{fence.text}{error}") from error
            for terminal in self._terminals.values():
                terminal.interrupt()
        finally:
            for terminal in self._terminals.values():
                terminal.kill()
        _check_nothing_left()

    def _step(self, fence: Fence, output: str) -> None:
        if fence.file:
            (self._folder / fence.file).write_text(fence.text, encoding="utf-8")
        elif fence.is_interrupt:
            _say(f"^C in the {fence.terminal}")
            terminal = self._terminals.pop(fence.terminal)
            terminal.interrupt()
            _compare(fence.text, terminal.printed())
        elif fence.is_command and not fence.needs:
            _say(fence.text.rstrip())
            if fence.terminal:
                self._start(fence, output)
            else:
                _compare(output, run_to_end(fence.text, self._folder, self._environ, _COMMAND_S))

    def _start(self, fence: Fence, output: str) -> None:
        if fence.terminal in self._terminals:
            self._terminals.pop(fence.terminal).interrupt()
        log = self._logs / f"{fence.line}.log"
        terminal = Terminal(fence.text, self._folder, self._environ, log)
        self._terminals[fence.terminal] = terminal
        terminal.wait_until(lambda printed: missing_line(output, printed), _START_S)


def _compare(shown: str, printed: str) -> None:
    line = missing_line(shown, printed)
    if line is not None:
        raise CommandFailed(f"the page shows {line!r}; it printed:\n{printed}")


def _check_nothing_left() -> None:
    """All that was started became ours, at the latest when whoever started it ended."""
    _, alive = psutil.wait_procs(psutil.Process().children(recursive=True), timeout=10)
    for process in alive:
        process.kill()
    if alive:
        raise CommandFailed(f"processes were left behind: {[process.pid for process in alive]}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _environment(tools: Path) -> dict[str, str]:
    """With `mark` and `python` of this very interpreter."""
    options = "-S " if sys.flags.no_site else ""
    for name, arguments in (("mark", "-m mark "), ("python", "")):
        tool = tools / name
        tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" {options}{arguments}"$@"\n', encoding="utf-8")
        tool.chmod(0o755)
    return {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "120"}


def main() -> int:
    """Run the page that the command line names."""
    page = read_page(Path(sys.argv[1]).resolve())
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever a shell in the background made of it
    if not enter_own_network():
        _say("no network of its own: the ports that the page names must be free")
    with tempfile.TemporaryDirectory(prefix="mark-page-") as scratch:
        tools, logs = Path(scratch, "bin"), Path(scratch, "logs")
        folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(scratch, "page")
        for each in (tools, logs, folder):
            each.mkdir(exist_ok=True)
        began_s = time.monotonic()
        try:
            PageRun(page, folder, _environment(tools), logs).run()
        except CommandFailed as error:
            _say(f"failed: {error}")
            return 1
        _say(f"{page.path.name}: {time.monotonic() - began_s:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
