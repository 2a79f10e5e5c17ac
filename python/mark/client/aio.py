"""The asyncio client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, cast

import grpc.aio
import numpy.typing as npt

from mark.client import calls
from mark.domain.signature import ModelSignature
from mark.domain.tls import TlsIdentity
from mark.protocol import messages
from mark.protocol.tls import channel_credentials

__all__ = ["AsyncClient"]


class AsyncClient:
    """As `mark.Client`, for asyncio.

    Thread safety: belongs to one event loop.
    """

    def __init__(self, address: str, *, message_bytes_max: int = 64 << 20, tls: TlsIdentity | None = None) -> None:
        options = calls.channel_options(message_bytes_max, tls)
        if tls is None:
            self._channel = grpc.aio.insecure_channel(address, options=options)
        else:
            self._channel = grpc.aio.secure_channel(address, channel_credentials(tls), options=options)
        self._infer = self._channel.unary_unary(messages.MODEL_INFER)

    async def infer(  # noqa: PLR0913 - the protocol has so many fields
        self,
        model: str,
        inputs: Mapping[str, npt.ArrayLike],
        *,
        deadline_ms: float | None = None,
        version: str = "",
        outputs: Sequence[str] = (),
        request_id: str = "",
        priority: int = 0,
    ) -> dict[str, npt.NDArray[Any]]:
        """Run a model; see `mark.Client.infer`."""
        request = calls.encode_request(model, version, request_id, inputs, outputs, priority)
        return calls.decode_response(await self.infer_raw(request, deadline_ms))

    async def infer_raw(self, request: bytes, deadline_ms: float | None = None) -> bytes:
        """Send a serialized ModelInferRequest and return the serialized ModelInferResponse."""
        try:
            return cast(bytes, await self._infer(request, timeout=calls.timeout_s_of(deadline_ms)))
        except grpc.RpcError as error:
            raise calls.error_from(error) from error

    async def is_live(self) -> bool:
        """Whether the server answers."""
        return bool((await self._ask(messages.SERVER_LIVE)).live)

    async def is_ready(self) -> bool:
        """Whether every model can be called."""
        return bool((await self._ask(messages.SERVER_READY)).ready)

    async def is_model_ready(self, model: str, version: str = "") -> bool:
        """Whether one model can be called."""
        return bool((await self._ask(messages.MODEL_READY, name=model, version=version)).ready)

    async def server_metadata(self) -> tuple[str, str]:
        """Name and version of the server."""
        answer = await self._ask(messages.SERVER_METADATA)
        return answer.name, answer.version

    async def model_metadata(self, model: str, version: str = "") -> ModelSignature:
        """What a model takes and gives."""
        return calls.signature_of(await self._ask(messages.MODEL_METADATA, name=model, version=version))

    async def _ask(self, method: str, **fields: str) -> Any:
        question = calls.encode_question(method, fields)
        try:
            answer = cast(bytes, await self._channel.unary_unary(method)(question, timeout=calls.QUESTION_TIMEOUT_S))
        except grpc.RpcError as error:
            raise calls.error_from(error) from error
        return calls.read_answer(method, answer)

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
