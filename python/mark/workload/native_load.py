"""The load generator on the native data plane: the instants are kept by a thread that runs no Python.

One core sends more than a hundred thousand requests per second so, where asyncio and grpcio send a few thousand, and a
request leaves at its instant even while Python is busy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import grpc
import numpy as np
import numpy.typing as npt

from mark import _core
from mark.domain.tls import TlsIdentity
from mark.errors import ConfigError
from mark.protocol.statuses import error_of
from mark.workload.open_loop import Check
from mark.workload.report import CANCELLED, NOT_SENT, OK, LoadReport

__all__ = ["AnswerCheck", "NativeLoad", "native_load_available"]

_TELL_EVERY_S = 0.1
_GRACE_S = 2.0
_CODES = {code.value[0]: code for code in grpc.StatusCode}


def native_load_available() -> bool:
    """Whether mark was built with its native data plane."""
    return bool(_core.native_available)


@dataclass(frozen=True, slots=True)
class AnswerCheck:
    """How answers are looked at.

    Attributes:
        is_right: (index of the request, response) -> whether the answer is right.
        every: so many-th answer is kept until the end, and looked at.
    """

    is_right: Check
    every: int = 1


class NativeLoad:
    """Sends a pool of requests, over and over: at given instants, or so that a number of them is in flight.

    Thread safety: belongs to one event loop. One run for each object.

    Invariants:
        - every request that fell due ends exactly once, as in `OpenLoop`;
        - latency counts from the instant at which a request was to be sent; in a closed loop, from when it was sent.
    """

    def __init__(  # noqa: PLR0913 - as OpenLoop, with what a connection of its own needs
        self,
        address: str,
        requests: Sequence[bytes],
        *,
        deadline_ms: float | None = None,
        connections: int = 1,
        check: AnswerCheck | None = None,
        in_flight_max: int = 20_000,
        tls: TlsIdentity | None = None,
    ) -> None:
        """Prepare to send.

        Args:
            address: host:port, [IPv6]:port or unix:/path.
            requests: serialized ModelInferRequests.
            deadline_ms: gRPC deadline of each request, from when it is sent.
            connections: that the requests take in turn.
            check: which answers are looked at, once all are there.
            in_flight_max: as in `OpenLoop`.
            tls: whom to trust, and what to show; None: no TLS.

        Raises:
            ConfigError: the address is of another form, or what `tls` shows does not belong together.
            ValueError: a number is out of range, or there is no request.
        """
        self._check = check
        try:
            params = _core.LoadParams(
                address,
                connections=connections,
                timeout_ns=None if deadline_ms is None else round(deadline_ms * 1e6),
                in_flight_max=in_flight_max,
                keep_every=0 if check is None else check.every,
                identity=None if tls is None else _texts(tls),
            )
        except ValueError as error:
            raise ConfigError(f"the native load generator cannot call it: {error}") from error
        self._generator = _core.LoadGenerator(params, list(requests))

    @property
    def sent(self) -> int:
        """Requests that fell due so far."""
        return self._generator.due

    def stop(self, grace_s: float = _GRACE_S) -> None:
        """Send nothing more, and end what has no answer after `grace_s`; the run then reports what was done."""
        self._generator.stop(round(grace_s * 1e9))

    async def run(
        self, instants_s: npt.NDArray[np.float64], on_progress: Callable[[int], None] | None = None
    ) -> LoadReport:
        """Send one request at each instant and wait for every answer, or until `stop`; as `OpenLoop.run`."""
        if np.any(np.diff(instants_s) < 0):
            raise ValueError("instants_s must increase")
        instants_ns = np.rint(instants_s * 1e9).astype(np.int64)
        return await self._run(lambda: self._generator.run_open(instants_ns), on_progress)

    async def run_closed(
        self, in_flight: int, duration_s: float, on_progress: Callable[[int], None] | None = None
    ) -> LoadReport:
        """Keep `in_flight` requests waiting for answers until `duration_s` has passed, and wait for the last ones."""
        duration_ns = round(duration_s * 1e9)
        return await self._run(lambda: self._generator.run_closed(in_flight, duration_ns), on_progress)

    async def _run(
        self, work: Callable[[], _core.LoadOutcome], on_progress: Callable[[int], None] | None
    ) -> LoadReport:
        running = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            while not (await asyncio.wait({running}, timeout=_TELL_EVERY_S))[0]:
                if on_progress is not None:
                    on_progress(self.sent)
        finally:
            # Cancelled, or told of a failure: the thread must not outlive this.
            self.stop(grace_s=0.0)
            await asyncio.wait({running})
        if on_progress is not None:
            on_progress(self.sent)
        return self._report(running.result())

    def _report(self, outcome: _core.LoadOutcome) -> LoadReport:
        names = np.array([_name_of(*ending) for ending in outcome.endings], dtype=object)
        check = self._check
        return LoadReport(
            instants_s=outcome.take_due_ns() / 1e9,
            latencies_ms=outcome.take_latency_ns() / 1e6,
            lags_ms=outcome.take_lag_ns() / 1e6,
            statuses=tuple(names[outcome.take_ending()].tolist()),
            answers_wrong=0 if check is None else sum(not check.is_right(*kept) for kept in outcome.kept),
            duration_s=outcome.duration_ns / 1e9,
        )


def _texts(tls: TlsIdentity) -> tuple[bytes, bytes, bytes, str]:
    return tls.certificate_pem, tls.key_pem, tls.authorities_pem, tls.peer_name


def _name_of(ending: _core.LoadEnding, code: int, details: str, metadata: list[tuple[str, str]]) -> str:
    match ending:
        case _core.LoadEnding.ANSWERED:
            return OK
        case _core.LoadEnding.CANCELLED:
            return CANCELLED
        case _core.LoadEnding.NOT_SENT:
            return NOT_SENT
    return type(error_of(_CODES[code], details, metadata)).__name__
