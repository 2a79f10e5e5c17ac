"""A thread that does something again and again, and never ends because it failed once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from mark.errors import CloudError

__all__ = ["Rounds"]

_log = logging.getLogger(__name__)

_PAUSE_S = 1.0
_PAUSE_MAX_S = 60.0


class Rounds:
    """Calls `work`, waits as long as it returned, and so on; after an error with a pause that doubles, up to a minute.

    Thread safety: every method may be called from any thread.

    Invariant: `work` runs on one thread, and never after `end` has returned.
    """

    def __init__(self, name: str, work: Callable[[], float], pause_s: float = _PAUSE_S, gap_s: float = 0.0) -> None:
        """Prepare a thread; `work` returns how many seconds to wait before the next call.

        Args:
            name: of the thread, and for the log.
            work: what is done in each round.
            pause_s: after the first error.
            gap_s: between two rounds, however often `soon` is called.
        """
        self._name = name
        self._work = work
        self._pause_s = pause_s
        self._gap_s = gap_s
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"mark-aws-{name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def soon(self) -> None:
        """Begin the next round at once, unless the last one failed: then it waits all the same."""
        self._wake.set()

    def tell_end(self) -> None:
        """Let the round that runs be the last; does not wait."""
        self._ended.set()
        self._wake.set()

    def end(self) -> None:
        """Wait until no round runs, and begin none any more. Idempotent."""
        self.tell_end()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        failures = 0
        while not self._ended.is_set():
            self._wake.clear()
            if self._ended.is_set():
                return
            try:
                wait_s = self._work()
                failures = 0
            except CloudError as error:
                failures += 1
                _log.warning("%s: %s", self._name, error)
            except Exception:  # noqa: BLE001 - the fleet must not go unwatched for a fault
                failures += 1
                _log.exception("%s: a fault of mark; it goes on", self._name)
            if failures:
                self._ended.wait(min(_PAUSE_MAX_S, self._pause_s * 2.0 ** min(failures - 1, 16)))
            elif not self._ended.wait(min(self._gap_s, wait_s)):
                self._wake.wait(max(0.0, wait_s - self._gap_s))
