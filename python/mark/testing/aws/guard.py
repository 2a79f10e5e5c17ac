"""Ends the processes of a fake AWS that was killed and could not end them itself."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading

__all__ = ["Guard", "main"]


class Guard:
    """A process that outlives this one by a moment: when its pipe breaks, it kills every session that it watches.

    Thread safety: every method may be called from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._folders: list[str] = []

    def keep(self, folder: str) -> None:
        """A folder that is to be removed, too; told before the first session is."""
        self._folders.append(folder)

    def watch(self, session: int) -> None:
        """A session of processes has begun."""
        self._say(f"+{session}\n")

    def release(self, session: int) -> None:
        """It has ended."""
        self._say(f"-{session}\n")

    def close(self) -> None:
        """Nothing is left to watch."""
        with self._lock:
            if self._process is not None:
                with contextlib.suppress(BrokenPipeError):
                    self._process.communicate()
                self._process = None

    def _say(self, line: str) -> None:
        with self._lock:
            if self._process is None:
                self._process = subprocess.Popen(  # noqa: S603 - this very file
                    [sys.executable, "-S", __file__, *self._folders], stdin=subprocess.PIPE, start_new_session=True
                )
            with contextlib.suppress(BrokenPipeError):
                os.write(self._process.stdin.fileno(), line.encode())  # type: ignore[union-attr]


def main() -> None:
    """Read "+session" and "-session" lines until the pipe breaks; then kill what is left."""
    sessions: set[int] = set()
    for line in sys.stdin:
        session = int(line[1:])
        if line[0] == "+":
            sessions.add(session)
        else:
            sessions.discard(session)
    for session in sessions:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(session, signal.SIGKILL)
    for folder in sys.argv[1:]:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
