"""The native data plane's server: started, observed and stopped from one event loop, without a part in its requests."""

from __future__ import annotations

import asyncio

from mark._core import AllAnswered, DispatcherParams, ModelSignature, NativeServer, Tracer
from mark.errors import ConfigError
from mark.live.burst_loop import BurstLoop
from mark.live.native_path import NativeRequestPath
from mark.protocol.addresses import check_listenable
from mark.protocol.private_socket import PrivateSocket

__all__ = ["NativeIngress"]


class NativeIngress:
    """Answers ModelInfer natively, and passes every other method on to a server beside it.

    Thread safety: belongs to one event loop.

    Invariant: from `start` until `stop`, what the native threads tell is acted on.
    """

    def __init__(self, address: str, *, threads: int, message_bytes_max: int, tracer: Tracer | None = None) -> None:
        """Bind the address.

        Args:
            address: "host:port", where port 0 takes a free one, or "unix:/path".
            threads: that serve connections.
            message_bytes_max: larger messages are refused with RESOURCE_EXHAUSTED.
            tracer: with a lane for each thread; None: no request is traced.

        Raises:
            ConfigError: the address is in use or cannot be bound.
        """
        check_listenable(address)
        self._socket = PrivateSocket()
        try:
            self._server = NativeServer(address, threads, self._socket.connect_to, message_bytes_max, tracer)
        except (OSError, ValueError) as error:
            self._socket.close()
            raise ConfigError(
                f"cannot listen at {address}: the address is in use or not of this machine: {error}"
            ) from error
        self._paths: list[NativeRequestPath] = []
        self._answered = asyncio.Event()
        self._running = False
        self._loop = asyncio.get_running_loop()

    @property
    def beside(self) -> str:
        """Where the server is to listen that all other methods are passed on to, until `hide_beside`."""
        return self._socket.listen_at

    def hide_beside(self) -> None:
        """Once that server listens: nobody else is to reach it."""
        self._socket.hide()

    @property
    def address(self) -> str:
        """That it is bound to."""
        return self._server.address

    def add_model(
        self, signature: ModelSignature, params: DispatcherParams, bursts: BurstLoop | None
    ) -> NativeRequestPath:
        """Make the request path of a model, before `start`."""
        native = self._server.add_model(signature, params, bursts is not None)
        path = NativeRequestPath(self._server, native, bursts)
        self._paths.append(path)
        return path

    def counts(self) -> dict[str, int]:
        """What the server counted so far: connections, calls, refusals and bytes."""
        return self._server.counts()

    def start(self) -> None:
        """Begin to serve."""
        self._loop.add_reader(self._server.fileno(), self._take)
        self._server.start()
        self._running = True
        for path in self._paths:
            path.server_started()

    async def drain(self, timeout_s: float) -> bool:
        """Refuse new requests and wait for those in flight; False when `timeout_s` passed before all were answered."""
        if not self._running:
            return True
        await asyncio.to_thread(self._server.drain)
        try:
            await asyncio.wait_for(self._answered.wait(), timeout_s)
        except asyncio.TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """Write what is answered, close every connection and end the threads."""
        if self._running:
            self._running = False
            await asyncio.to_thread(self._server.stop)
            self._take()
            self._loop.remove_reader(self._server.fileno())
        for path in self._paths:
            path.server_ended()
        self._socket.close()

    def _take(self) -> None:
        for number, notice in self._server.take_notices():
            if isinstance(notice, AllAnswered):
                self._answered.set()
            else:
                self._paths[number].told(notice)
