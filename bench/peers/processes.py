"""A server with all its processes: kept on one core, its processor time added up, and ended without a remainder."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil

__all__ = ["NotServing", "ServerProcesses", "free_port"]

_MARK = "MARK_PEERS_SERVER"
_TERM_S = 5.0
_KILL_S = 10.0
_LOG_LINES = 12


class NotServing(Exception):
    """A server ended, never answered, or answered wrongly; says what it said last."""


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class ServerProcesses:
    """A started server and whatever it starts, whether or not that stays in its group or below its parent.

    Every process is known by a variable of its environment, which children inherit: some peers start daemons with
    sessions of their own.

    Attributes:
        log: the file with what it says.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], core: int, log: Path) -> None:
        self.log = log
        self._core = core
        self._token = uuid.uuid4().hex
        with log.open("wb") as out:
            self._first = subprocess.Popen(
                ["taskset", "-c", str(core), *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**environment, _MARK: self._token},
                cwd=log.parent,
                start_new_session=True,  # so that Ctrl-C reaches the bench alone, which then ends it
            )

    def check_alive(self) -> None:
        """Raise NotServing, with the end of its log, if the process that was started has ended."""
        if self._first.poll() is not None:
            raise NotServing(f"ended with {self._first.returncode}: {self.last_words()}")

    def last_words(self) -> str:
        """The end of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-_LOG_LINES:]) or "it said nothing"

    def all(self) -> list[psutil.Process]:
        """Its processes that live."""
        return list(_processes_with(self._token))

    def check_pinned(self) -> None:
        """Raise NotServing if one of its threads may run on another core: its figures would be of more than one."""
        for process in self.all():
            with contextlib.suppress(psutil.NoSuchProcess):
                for thread in process.threads():
                    with contextlib.suppress(ProcessLookupError):
                        cores = os.sched_getaffinity(thread.id)
                        if cores != {self._core}:
                            raise NotServing(f"{process.name()} runs on cores {cores}, not on {self._core} alone")

    def cpu_s(self) -> float:
        """User and system time of all its processes so far, and of their children that have ended."""
        return sum(map(_cpu_s, self.all()))

    def end(self, grace_s: float = _TERM_S) -> None:
        """End all of it: asked first, and killed after the grace, until nothing is left.

        Raises:
            NotServing: something of it cannot be killed.
        """
        try:
            self._end(grace_s)
        except BaseException:  # a second Ctrl-C cuts the grace short, and nothing else
            self._kill()
            raise

    def _kill(self) -> None:
        for process in self.all():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def _end(self, grace_s: float) -> None:
        for signum, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, _KILL_S)):
            deadline_s = time.monotonic() + wait_s
            if signum == signal.SIGTERM and self._first.poll() is None:
                self._first.terminate()
            while time.monotonic() < deadline_s:
                self._first.poll()
                left = self.all()
                if not left:
                    self._first.wait()
                    return
                if signum == signal.SIGKILL:
                    self._kill()
                psutil.wait_procs(left, timeout=0.2)
        raise NotServing(f"processes cannot be ended: {[process.pid for process in self.all()]}")


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def _processes_with(token: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(_MARK) == token:
                yield process
