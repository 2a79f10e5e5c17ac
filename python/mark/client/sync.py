"""The blocking client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, cast

import grpc
import numpy.typing as npt

from mark.client import calls
from mark.domain.signature import ModelSignature
from mark.domain.tls import TlsIdentity
from mark.protocol import messages
from mark.protocol.tls import channel_credentials

__all__ = ["Client"]


class Client:
    """A client of any server of the Open Inference Protocol.

        with Client("localhost:8001") as client:
            outputs = client.infer("digits", {"image": images}, deadline_ms=100)

    Every method raises a `mark.errors.RequestError` whose type says what may be done about it.

    Thread safety: may be shared between threads.
    """

    def __init__(self, address: str, *, message_bytes_max: int = 64 << 20, tls: TlsIdentity | None = None) -> None:
        """Connect, over TLS if `tls` says whom to trust; calls wait until the server is there."""
        options = calls.channel_options(message_bytes_max, tls)
        if tls is None:
            self._channel = grpc.insecure_channel(address, options=options)
        else:
            self._channel = grpc.secure_channel(address, channel_credentials(tls), options=options)
        self._infer = self._channel.unary_unary(messages.MODEL_INFER)

    def infer(  # noqa: PLR0913 - the protocol has so many fields
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
        """Run a model.

        Args:
            model: its name.
            inputs: an array for each input; dimension 0 is the rows.
            deadline_ms: give up after this time; the server then stops working on it as well.
            version: of the model; empty for whichever is served.
            outputs: names of the outputs wanted; all by default.
            request_id: whatever the server should call this request in its own records.
            priority: 1 goes first; 0 leaves it to the server. Levels are the server's to set.

        Returns:
            An array for each output, read-only.

        Raises:
            RequestError: the subclass says what may be done about it.
        """
        request = calls.encode_request(model, version, request_id, inputs, outputs, priority)
        try:
            response = self._infer(request, timeout=calls.timeout_s_of(deadline_ms))
        except grpc.RpcError as error:
            raise calls.error_from(error) from error
        return calls.decode_response(response)

    def is_live(self) -> bool:
        """Whether the server answers."""
        return bool(self._ask(messages.SERVER_LIVE).live)

    def is_ready(self) -> bool:
        """Whether every model can be called."""
        return bool(self._ask(messages.SERVER_READY).ready)

    def is_model_ready(self, model: str, version: str = "") -> bool:
        """Whether one model can be called."""
        return bool(self._ask(messages.MODEL_READY, name=model, version=version).ready)

    def server_metadata(self) -> tuple[str, str]:
        """Name and version of the server."""
        answer = self._ask(messages.SERVER_METADATA)
        return answer.name, answer.version

    def model_metadata(self, model: str, version: str = "") -> ModelSignature:
        """What a model takes and gives."""
        return calls.signature_of(self._ask(messages.MODEL_METADATA, name=model, version=version))

    def _ask(self, method: str, **fields: str) -> Any:
        question = calls.encode_question(method, fields)
        try:
            answer = cast(bytes, self._channel.unary_unary(method)(question, timeout=calls.QUESTION_TIMEOUT_S))
        except grpc.RpcError as error:
            raise calls.error_from(error) from error
        return calls.read_answer(method, answer)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
