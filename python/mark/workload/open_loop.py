"""An open-loop load generator: it sends at instants fixed beforehand, whatever the answers do.

A generator that waits for answers sends less when the server is slow, and so hides what a client would have suffered
(coordinated omission). Here latency counts from the instant at which a request was to be sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from mark.client import AsyncClient
from mark.errors import RequestError
from mark.workload.report import OK, LoadReport

__all__ = ["OpenLoop"]

Check = Callable[[int, bytes], bool]
"""(index of the request, response) -> whether the answer is right."""

# Instants closer than this are sent in one turn of the event loop.
_TURN_S = 0.001


class OpenLoop:
    """Sends a pool of requests, over and over, at given instants.

    Thread safety: belongs to one event loop. One `run` for each object.

    Invariant: every request that was sent ends exactly once, with "OK" or the name of an error.
    """

    def __init__(
        self,
        client: AsyncClient,
        requests: Sequence[bytes],
        *,
        deadline_ms: float | None = None,
        check: Check | None = None,
    ) -> None:
        if not requests:
            raise ValueError("needs at least one request to send")
        self._client = client
        self._requests = requests
        self._deadline_ms = deadline_ms
        self._check = check
        self._latencies_ms: list[float] = []
        self._lags_ms: list[float] = []
        self._statuses: list[str] = []
        self._ended: list[float] = []
        self._wrong = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def sent(self) -> int:
        """Requests sent so far."""
        return len(self._statuses)

    def latencies_ms(self, since: int) -> list[float]:
        """Latencies of the answers so far, without the first `since`, in the order in which they came."""
        return self._ended[since:]

    async def run(
        self, instants_s: npt.NDArray[np.float64], on_progress: Callable[[int], None] | None = None
    ) -> LoadReport:
        """Send one request at each instant and wait for every answer.

        When cancelled, it stops sending, gives up what is in flight, and raises as usual.

        Args:
            instants_s: increasing, in seconds from now.
            on_progress: told how many were sent, about ten times a second.
        """
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        told_s = began_s
        try:
            for instant_s in instants_s.tolist():
                ahead_s = began_s + instant_s - loop.time()
                if ahead_s > _TURN_S:
                    await asyncio.sleep(ahead_s)
                elif len(self._statuses) % 64 == 0:
                    await asyncio.sleep(0)  # behind schedule: answers still have to be read
                self._send(loop, began_s + instant_s)
                if on_progress is not None and loop.time() - told_s > 0.1:
                    told_s = loop.time()
                    on_progress(len(self._statuses))
            await asyncio.gather(*self._tasks)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if on_progress is not None:
            on_progress(len(self._statuses))
        return self._report(instants_s, loop.time() - began_s)

    def _send(self, loop: asyncio.AbstractEventLoop, due_s: float) -> None:
        index = len(self._statuses)
        self._statuses.append("")
        self._latencies_ms.append(0.0)
        self._lags_ms.append((loop.time() - due_s) * 1e3)
        task = loop.create_task(self._one(loop, index, due_s))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _one(self, loop: asyncio.AbstractEventLoop, index: int, due_s: float) -> None:
        try:
            response = await self._client.infer_raw(self._requests[index % len(self._requests)], self._deadline_ms)
        except RequestError as error:
            status = type(error).__name__
        else:
            status = OK
            if self._check is not None and not self._check(index, response):
                self._wrong += 1
        self._statuses[index] = status
        self._latencies_ms[index] = (loop.time() - due_s) * 1e3
        if status == OK:
            self._ended.append(self._latencies_ms[index])

    def _report(self, instants_s: npt.NDArray[np.float64], duration_s: float) -> LoadReport:
        return LoadReport(
            instants_s=instants_s,
            latencies_ms=np.array(self._latencies_ms, dtype=np.float64),
            lags_ms=np.array(self._lags_ms, dtype=np.float64),
            statuses=tuple(self._statuses),
            answers_wrong=self._wrong,
            duration_s=duration_s,
        )
