"""How a worker process ends: in order when its model lets it, and by force when that takes too long."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from mark.protocol.parent import Parent

__all__ = ["Ending"]

_log = logging.getLogger(__name__)

# Beyond the grace: calls that it cut short get their status, and files are removed.
_CLOSING_S = 0.5


class Ending:
    """Ends this process, whatever its model does: a factory or a batch that hangs can be neither cancelled nor awaited.

    While the model loads, nothing was accepted that could be finished: an orphan ends at once. From `serve` on, the
    process ends in order, and by force when it has not after its grace.

    Thread safety: every method may be called from any thread.

    Invariants:
        - a process that was told to end after `serve` is gone `_CLOSING_S` after its grace;
        - an orphan that loads ends with `_lock` held: it cannot begin to serve, and bind, once its files are removed.
    """

    def __init__(self, address: str, grace_s: float) -> None:
        self._path = Path(address.removeprefix("unix:")) if address.startswith("unix:") else None
        self._grace_s = grace_s
        self._lock = threading.Lock()
        self._stop: Callable[[], None] | None = None
        self._bound = False
        self._parent: Parent | None = None
        self._orphaned = False

    def watch_parent(self) -> None:
        """From now on, end when stdin does."""
        self._parent = Parent()
        self._parent.when_ended(self.orphan)
        atexit.register(self._end_what_the_model_started)  # before the model loads, so after what it registers itself

    def serve(self, stop: Callable[[], None]) -> None:
        """The model is loaded: from now on, end in order by calling `stop`, which any thread may."""
        with self._lock:
            self._stop = stop

    def bound(self) -> None:
        """The socket at the address is this worker's from now on, to be removed."""
        self._bound = True

    def begin(self) -> None:
        """End in order, and by force after the grace."""
        timer = threading.Timer(self._grace_s + _CLOSING_S, self._force)
        timer.daemon = True
        timer.start()
        if self._stop is not None:
            self._stop()

    def orphan(self) -> None:
        """Nobody is left that started this process, or hears it."""
        with self._lock:
            self._orphaned = True
            if self._stop is None:
                self._leave(0)
        self.begin()

    def remove_files(self) -> None:
        """Remove the socket and, of an orphan, the folder once it is empty: the last worker to leave removes it."""
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            if self._bound:
                self._path.unlink(missing_ok=True)
            if self._is_orphan():
                self._path.parent.rmdir()

    def _force(self) -> None:
        if not self._is_orphan():
            _log.error("told to end, and not done %g s later; ending by force", self._grace_s)
        self._leave(1)

    def _leave(self, status: int) -> None:
        self.remove_files()
        self._end_what_the_model_started()
        os._exit(status)

    def _is_orphan(self) -> bool:
        # Asked again: the thread that waits for it may not have had its turn while the main thread was busy.
        return self._orphaned or (self._parent is not None and self._parent.has_ended())

    def _end_what_the_model_started(self) -> None:
        # Whoever started this process ends its session after it; for an orphan nobody does.
        if self._is_orphan() and os.getsid(0) == os.getpid():
            os.killpg(0, signal.SIGKILL)
