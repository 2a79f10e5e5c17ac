"""A Unix socket between two halves of one process: what the native server passes on goes through it."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

__all__ = ["PrivateSocket"]

_PREFIX = "mark-beside-"


class PrivateSocket:
    """A folder that only this user may enter, with one socket in it; removed when the process is done with it.

    A process that was killed could not remove its own: the next one does, of every process of this user that is gone.

    Thread safety: every method may be called from any thread.
    """

    def __init__(self) -> None:
        _sweep()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))

    @property
    def folder(self) -> Path:
        """What to remove where the process ends by force."""
        return self._folder

    @property
    def address(self) -> str:
        """Where it is, as "unix:/path"."""
        return f"unix:{self._folder / 'server.sock'}"

    def remove(self) -> None:
        """Remove socket and folder; once more changes nothing."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _sweep() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        with contextlib.suppress(OSError):
            if pid.isdecimal() and folder.stat().st_uid == os.getuid() and not _runs(int(pid)):
                shutil.rmtree(folder, ignore_errors=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
