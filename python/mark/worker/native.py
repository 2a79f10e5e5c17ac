"""The worker's native server, and the thread that runs its model: one entry into Python for each batch."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable

from mark._core import ModelBatch, ModelServer, Tracer
from mark.domain.tls import TlsIdentity
from mark.errors import ConfigError, ModelFailed
from mark.protocol.error_names import details_of
from mark.protocol.tls import TlsFolder
from mark.worker.inference import Inference
from mark.worker.throttle import CpuUse, Throttle

__all__ = ["NativeFront"]

_log = logging.getLogger(__name__)

_LOOK_AT_FILES_S = 0.5


class NativeFront:
    """Answers ModelInfer in C++; every other method is passed on to the server beside it.

    Batches run one at a time on a thread of their own, which idles after each as the share of the CPU, or the credits,
    demand: that is part of the batch's latency.

    Thread safety: belongs to one event loop.
    """

    def __init__(
        self,
        inference: Inference,
        throttle: Throttle,
        address: str,
        pass_on_to: str,
        tls: TlsFolder | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        """Bind the address; without a tracer no request is traced.

        Raises:
            ConfigError: it is in use or cannot be bound.
        """
        identity = None if tls is None else _texts(tls.identity())
        try:
            self._server = ModelServer(inference.core_signature, address, 1, pass_on_to, identity, tracer)
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot listen at {address}: {error}") from error
        self._inference = inference
        self._throttle = throttle
        self._tls = tls
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mark-model", daemon=True)
        self._renewing: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """Where it is bound."""
        return self._server.address

    def start(self) -> None:
        """Accept connections."""
        self._thread.start()
        self._server.start()
        if self._tls is not None:
            self._renewing = asyncio.get_running_loop().create_task(self._renew(self._tls))

    async def drain(self, timeout_s: float) -> None:
        """Refuse new requests, and wait for those that were accepted, but no longer than `timeout_s`."""
        loop, answered = asyncio.get_running_loop(), asyncio.Event()

        def told() -> None:
            if self._server.all_answered():
                answered.set()

        loop.add_reader(self._server.fileno(), told)
        try:
            self._server.drain()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(answered.wait(), timeout_s)
        finally:
            loop.remove_reader(self._server.fileno())

    async def close(self) -> None:
        """Close every connection, and wait for the batch that runs, not for the idle time after it."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        self._closing.set()
        await asyncio.to_thread(self._server.stop)
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)

    async def _renew(self, tls: TlsFolder) -> None:
        """Show what replaces the files from the next connection on."""
        while True:
            await asyncio.sleep(_LOOK_AT_FILES_S)
            replaced = await asyncio.to_thread(tls.replaced)
            if replaced is not None:
                self._server.retrust(_texts(replaced))

    def _run(self) -> None:
        while (batch := self._server.take()) is not None:
            began = CpuUse.now()
            began_ns = time.monotonic_ns()
            end = self._computed(batch)
            if batch.is_traced:
                batch.computed(began_ns, time.monotonic_ns())
            ended = CpuUse.now()
            self._closing.wait(self._throttle.idle_s(ended - began, ended.wall_s))
            end()

    def _computed(self, batch: ModelBatch) -> Callable[[], None]:
        """Run the model; what is left is to say what came of it."""
        try:
            outputs = self._inference.run(batch)
        except ModelFailed as error:
            why = details_of(error)
        except Exception:  # noqa: BLE001 - the last line of defence: who waits gets a status, the log the reason
            _log.exception("a batch failed unexpectedly")
            why = "the server failed on this request; its log says why"
        else:
            return lambda: batch.complete(outputs)
        return lambda: batch.fail(why)


def _texts(identity: TlsIdentity) -> tuple[bytes, bytes, bytes]:
    return identity.certificate_pem, identity.key_pem, identity.authorities_pem
