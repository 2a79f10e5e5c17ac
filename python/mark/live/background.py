"""Threads for work that must not hold up a control loop."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["ThreadBackground"]


class _Job:
    """Work on a thread of its own."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._ended = threading.Event()
        self._returned: object = None
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._returned = self._work()
        except BaseException as error:  # noqa: BLE001 - `outcome` raises it where someone listens
            self._error = error
        finally:
            self._ended.set()

    def wait(self, timeout_s: float) -> bool:
        return self._ended.wait(timeout_s)

    def outcome(self) -> object:
        if self._error is not None:
            raise self._error
        return self._returned


class ThreadBackground:
    """A thread for each piece of work. Implements `mark.forecast.background.Background`.

    The threads are daemons: work that hangs does not keep the process from ending.

    Thread safety: safe to call from any thread.
    """

    def __init__(self, name: str = "background") -> None:
        self._name = name

    def start_work(self, work: Callable[[], object]) -> _Job:
        """Begin on a new thread; never waits for the work."""
        job = _Job(work)
        threading.Thread(target=job.run, name=self._name, daemon=True).start()
        return job
