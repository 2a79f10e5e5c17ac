"""A thread that does something again and again, and never ends because it failed once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from mark.cloud.aws.pace import Pace
from mark.errors import CloudError

__all__ = ["Rounds"]

_log = logging.getLogger(__name__)

_PAUSE_S = 1.0
_PAUSE_MAX_S = 60.0


class Rounds:
    """Calls `work`, waits as long as it returned, and so on; after an error as its pace says.

    Thread safety: every method may be called from any thread.

    Invariant: `work` runs on one thread, and never after `end` has returned.
    """

    def __init__(self, name: str, work: Callable[[], float], pace: Pace | None = None, gap_s: float = 0.0) -> None:
        """Prepare a thread; `work` returns how many seconds to wait before the next call.

        Args:
            name: of the thread, and for the log.
            work: what is done in each round.
            pace: how long to wait after errors; left out, a second at first and a minute at most.
            gap_s: between two rounds, however often `soon` is called.
        """
        self._name = name
        self._work = work
        self._pace = Pace(_PAUSE_S, _PAUSE_MAX_S) if pace is None else pace
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
        while not self._ended.is_set():
            self._wake.clear()
            if self._ended.is_set():
                return
            wait_s = self._round()
            if wait_s is None:
                self._ended.wait(self._pace.failed())
                continue
            self._pace.succeeded()
            if not self._ended.wait(min(self._gap_s, wait_s)):
                self._wake.wait(max(0.0, wait_s - self._gap_s))

    def _round(self) -> float | None:
        """Do it once; None when it failed."""
        try:
            return self._work()
        except CloudError as error:
            _log.warning("%s: %s", self._name, error)
        except Exception:  # noqa: BLE001 - the fleet must not go unwatched for a fault
            _log.exception("%s: a fault of mark; it goes on", self._name)
        return None
