"""What a worker serves its model with: all by grpcio, or ModelInfer natively and the rest by grpcio beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from mark._core import Tracer
from mark.domain.signature import ModelSignature
from mark.protocol.service import make_server
from mark.worker.runtimes import Model
from mark.worker.servicer import WorkerService
from mark.worker.throttle import Throttle

if TYPE_CHECKING:
    import grpc.aio

    from mark.protocol.tls import TlsFolder
    from mark.worker.native import NativeFront

__all__ = ["GrpcioServing", "NativeServing", "Serving"]


class Serving(Protocol):
    """A worker's server, for one event loop: start and stop, in this order, each once."""

    async def start(self) -> str:
        """Bind the address, accept connections, and say which address it is.

        Raises:
            ConfigError: it is in use or cannot be bound.
        """
        ...

    async def stop(self, grace_s: float) -> None:
        """Refuse what is new, answer what was accepted, for `grace_s` at the most, and release the address."""
        ...


class GrpcioServing:
    """grpcio serves everything."""

    def __init__(
        self,
        signature: ModelSignature,
        model: Model,
        throttle: Throttle,
        address: str,
        tls: TlsFolder | None,
        tracer: Tracer | None = None,
    ) -> None:
        """Make it; ValueError for a signature that no request could fit."""
        self._service = WorkerService(signature, model, throttle, tracer)
        self._address = address
        self._tls = tls
        self._server: grpc.aio.Server | None = None

    async def start(self) -> str:
        """As `Serving`."""
        # Batches may be larger than one client's message, so the worker sets no limit of its own.
        credentials = None if self._tls is None else self._tls.server_credentials()
        self._server, address = await make_server(
            self._address, self._service, message_bytes_max=-1, credentials=credentials
        )
        await self._server.start()
        return address

    async def stop(self, grace_s: float) -> None:
        """As `Serving`."""
        self._service.drain()
        if self._server is not None:
            await self._server.stop(grace_s)
        self._service.close()


class NativeServing:
    """The native server answers ModelInfer, and passes the rest on to a grpcio server beside it."""

    def __init__(
        self,
        signature: ModelSignature,
        model: Model,
        throttle: Throttle,
        address: str,
        tls: TlsFolder | None,
        tracer: Tracer | None = None,
    ) -> None:
        """Make it; ValueError for a signature that no request could fit."""
        from mark.protocol.private_socket import PrivateSocket

        self._service = WorkerService(signature, model, throttle)
        self._throttle = throttle
        self._tracer = tracer
        self._address = address
        self._tls = tls
        self._socket = PrivateSocket()
        self._beside: grpc.aio.Server | None = None
        self._front: NativeFront | None = None

    async def start(self) -> str:
        """As `Serving`."""
        from mark.protocol.addresses import check_listenable
        from mark.worker.native import NativeFront

        check_listenable(self._address)
        self._beside, _ = await make_server(self._socket.listen_at, self._service, message_bytes_max=-1)
        await self._beside.start()
        self._socket.hide()
        self._front = NativeFront(
            self._service.inference, self._throttle, self._address, self._socket.connect_to, self._tls, self._tracer
        )
        self._front.start()
        return self._front.address

    async def stop(self, grace_s: float) -> None:
        """As `Serving`."""
        self._service.drain()
        if self._front is not None:
            await self._front.drain(grace_s)
            await self._front.close()
        if self._beside is not None:
            await self._beside.stop(None)
        self._service.close()
        self._socket.close()
