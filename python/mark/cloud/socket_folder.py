"""A private folder in which the workers of this machine are reached, gone when nobody needs it."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
import threading
from pathlib import Path

from mark.errors import CloudError

__all__ = ["SocketFolder"]

_SOCKET_PATH_BYTES_MAX = 107  # sun_path of Linux, less its closing zero


class SocketFolder:
    """Hands out addresses of sockets.

    Each socket goes with its worker, the folder with the last of them: nothing is left even when this process is killed
    while no worker runs.

    Thread safety: every method may be called from any thread.

    Invariants:
        - the folder exists exactly while an address is given out.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self._given: set[Path] = set()
        self._numbers = itertools.count(1)

    def address(self) -> str:
        """A new one, "unix:/path"; to be released.

        Raises:
            CloudError: the path would be too long for a socket.
            OSError: the folder cannot be made.
        """
        with self._lock:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="mark-"))  # private to this user
            # A number: what it is for may have a long name, or one that is no file name.
            path = self._folder / str(next(self._numbers))
            if len(os.fsencode(path)) > _SOCKET_PATH_BYTES_MAX:
                self._remove_when_unused()
                raise CloudError(
                    f"{path}: the path of a socket has at most {_SOCKET_PATH_BYTES_MAX} bytes; "
                    "set TMPDIR to a shorter one"
                )
            self._given.add(path)
            return f"unix:{path}"

    def release(self, address: str) -> None:
        """Its worker is gone, or never was: remove the socket that a killed one leaves."""
        path = Path(address.removeprefix("unix:"))
        with self._lock:
            if path not in self._given:
                return
            self._given.remove(path)
            with contextlib.suppress(OSError):  # what cannot be removed now goes with `close`
                path.unlink(missing_ok=True)
            self._remove_when_unused()

    def close(self) -> None:
        """Remove the folder with whatever is in it."""
        with self._lock:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)

    def _remove_when_unused(self) -> None:
        if self._folder is not None and not self._given:
            with contextlib.suppress(OSError):
                self._folder.rmdir()
                self._folder = None
