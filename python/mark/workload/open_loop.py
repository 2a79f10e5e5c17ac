"""An open-loop load generator: it sends at instants fixed beforehand, whatever the answers do.

A generator that waits for answers sends less when the server is slow, and so hides what a client would have suffered
(coordinated omission). Here latency counts from the instant at which a request was to be sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mark.client import AsyncClient
from mark.errors import RequestError
from mark.workload.pacing import Pacer
from mark.workload.report import CANCELLED, NOT_SENT, OK, LoadReport

__all__ = ["OpenLoop"]

Check = Callable[[int, bytes], bool]
"""(index of the request, response) -> whether the answer is right. It holds up the event loop, so it must be quick."""

_TELL_EVERY_S = 0.1
_GRACE_S = 2.0


class OpenLoop:
    """Sends a pool of requests, over and over, at given instants.

    Thread safety: belongs to one event loop. One `run` for each object.

    Invariants:
        - every request that fell due ends exactly once: with "OK", with the name of an error, with "Cancelled" when
          the run was stopped before its answer came, or with "NotSent";
        - at most `in_flight_max` requests wait for their answers. Beyond that a request is not sent, so that a server
          that answers nothing cannot exhaust this machine's memory; it is "NotSent", and a broken promise.
    """

    def __init__(
        self,
        client: AsyncClient,
        requests: Sequence[bytes],
        *,
        deadline_ms: float | None = None,
        check: Check | None = None,
        in_flight_max: int = 20_000,
    ) -> None:
        if not requests:
            raise ValueError("needs at least one request to send")
        if in_flight_max < 1:
            raise ValueError(f"in_flight_max must be at least 1, not {in_flight_max}")
        self._client = client
        self._requests = requests
        self._deadline_ms = deadline_ms
        self._check = check
        self._in_flight_max = in_flight_max
        self._statuses: list[str] = []
        self._latencies_ms = self._lags_ms = np.zeros(0)
        self._ended: list[float] = []
        self._wrong = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._pacer: Pacer | None = None
        self._stopped = False
        self._failure: BaseException | None = None

    @property
    def sent(self) -> int:
        """Requests that fell due so far."""
        return len(self._statuses)

    def latencies_ms(self, since: int) -> list[float]:
        """Latencies of the answers so far, without the first `since`, in the order in which they came."""
        return self._ended[since:]

    def stop(self, grace_s: float = _GRACE_S) -> None:
        """Send nothing more, and end what has no answer after `grace_s`; `run` then reports what was done until now."""
        self._stopped = True
        if self._pacer is not None:
            self._pacer.wake()
        asyncio.get_running_loop().call_later(grace_s, self._give_up)

    async def run(
        self, instants_s: npt.NDArray[np.float64], on_progress: Callable[[int], None] | None = None
    ) -> LoadReport:
        """Send one request at each instant and wait for every answer, or until `stop`.

        When cancelled, it stops sending, gives up what is in flight, and raises as usual. What the check or
        `on_progress` raises ends the run and is raised here.

        Args:
            instants_s: increasing, in seconds from now.
            on_progress: told how many fell due, about ten times a second.
        """
        if self._pacer is not None:
            raise RuntimeError("an OpenLoop runs once; make another")
        if np.any(np.diff(instants_s) < 0):
            raise ValueError("instants_s must increase")
        self._latencies_ms, self._lags_ms = np.zeros(len(instants_s)), np.zeros(len(instants_s))
        began_s = time.monotonic()
        pacer = self._pacer = Pacer()
        telling = self._start(self._tell(on_progress)) if on_progress is not None else None
        try:
            await self._send_all(pacer, began_s, instants_s)
            while self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            pacer.close()
            await self._end(telling)
        if self._failure is not None:
            raise self._failure
        if on_progress is not None:
            on_progress(self.sent)
        return self._report(instants_s, time.monotonic() - began_s)

    async def _send_all(self, pacer: Pacer, began_s: float, instants_s: npt.NDArray[np.float64]) -> None:
        for instant_s in instants_s.tolist():
            await pacer.until(began_s + instant_s)
            if self._stopped:
                return
            self._send(began_s + instant_s)

    def _send(self, due_s: float) -> None:
        index = len(self._statuses)
        if len(self._tasks) >= self._in_flight_max:
            self._statuses.append(NOT_SENT)
            self._lags_ms[index] = (time.monotonic() - due_s) * 1e3
            return
        self._statuses.append(CANCELLED)  # stands unless something else ends it
        self._tasks.add(self._start(self._one(index, due_s)))

    async def _one(self, index: int, due_s: float) -> None:
        self._lags_ms[index] = (time.monotonic() - due_s) * 1e3
        request = self._requests[index % len(self._requests)]
        try:
            response = await self._client.infer_raw(request, self._deadline_ms)
        except RequestError as error:
            self._statuses[index] = type(error).__name__
            self._latencies_ms[index] = (time.monotonic() - due_s) * 1e3
            return
        latency_ms = (time.monotonic() - due_s) * 1e3
        self._statuses[index] = OK
        self._latencies_ms[index] = latency_ms
        self._ended.append(latency_ms)
        if self._check is not None and not self._check(index, response):
            self._wrong += 1

    async def _tell(self, on_progress: Callable[[int], None]) -> None:
        while True:
            await asyncio.sleep(_TELL_EVERY_S)
            on_progress(self.sent)

    def _start(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._on_done)
        return task

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None and self._failure is None:
            self._failure = failure
            self.stop(grace_s=0.0)

    def _give_up(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _end(self, telling: asyncio.Task[None] | None) -> None:
        self._give_up()
        ending = set(self._tasks)
        if telling is not None:
            telling.cancel()
            ending.add(telling)
        await asyncio.gather(*ending, return_exceptions=True)

    def _report(self, instants_s: npt.NDArray[np.float64], duration_s: float) -> LoadReport:
        return LoadReport(
            instants_s=instants_s[: self.sent],
            latencies_ms=self._latencies_ms[: self.sent],
            lags_ms=self._lags_ms[: self.sent],
            statuses=tuple(self._statuses),
            answers_wrong=self._wrong,
            duration_s=duration_s,
        )
