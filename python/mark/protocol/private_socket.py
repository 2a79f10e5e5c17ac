"""A Unix socket between two halves of one process: what the native server passes on goes through it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

__all__ = ["PrivateSocket"]


class PrivateSocket:
    """A socket that is in the file system only until its server listens.

    From then on it is known by a descriptor of this process: nobody else reaches it, and nothing is left behind,
    however the process ends.

    Thread safety: belongs to one thread.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="mark-"))
        # The number is known before there is a socket that it stands for.
        self._fd = os.open(self._folder, os.O_PATH | os.O_CLOEXEC)

    @property
    def listen_at(self) -> str:
        """Where the server is to listen, as "unix:/path", until `hide`."""
        return f"unix:{self._folder / 'beside.sock'}"

    @property
    def connect_to(self) -> str:
        """Where this process reaches the server, from `hide` on."""
        return f"unix:/proc/self/fd/{self._fd}"

    def hide(self) -> None:
        """Take the socket, at which the server listens now, out of the file system."""
        socket = os.open(self.listen_at.removeprefix("unix:"), os.O_PATH | os.O_CLOEXEC)
        os.dup2(socket, self._fd, inheritable=False)
        os.close(socket)
        shutil.rmtree(self._folder)

    def close(self) -> None:
        """Let go of the socket; once more changes nothing."""
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
