"""What both clients share: everything but the call itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from mark import _core
from mark.domain.signature import ModelSignature, TensorSpec
from mark.domain.tls import TlsIdentity
from mark.errors import InvalidRequest, RequestError
from mark.protocol import messages
from mark.protocol.statuses import error_of
from mark.protocol.tensors import array_of, datatype_of, raw_of

__all__ = [
    "QUESTION_TIMEOUT_S",
    "channel_options",
    "decode_response",
    "encode_question",
    "encode_request",
    "error_from",
    "read_answer",
    "signature_of",
    "timeout_s_of",
]

Array = npt.NDArray[Any]

# Longer than any server takes to say who it is; one that hangs must not hang its caller.
QUESTION_TIMEOUT_S = 10.0

# Request and response of each question about the server, by method path.
_QUESTIONS = {
    messages.SERVER_LIVE: (messages.ServerLiveRequest, messages.ServerLiveResponse),
    messages.SERVER_READY: (messages.ServerReadyRequest, messages.ServerReadyResponse),
    messages.MODEL_READY: (messages.ModelReadyRequest, messages.ModelReadyResponse),
    messages.SERVER_METADATA: (messages.ServerMetadataRequest, messages.ServerMetadataResponse),
    messages.MODEL_METADATA: (messages.ModelMetadataRequest, messages.ModelMetadataResponse),
}


def channel_options(message_bytes_max: int, tls: TlsIdentity | None) -> list[tuple[str, str | int]]:
    """Options of a client's channel."""
    named = [("grpc.ssl_target_name_override", tls.peer_name)] if tls is not None and tls.peer_name else []
    return [
        *named,
        ("grpc.max_send_message_length", message_bytes_max),
        ("grpc.max_receive_message_length", message_bytes_max),
    ]


def encode_request(
    model: str,
    version: str,
    request_id: str,
    inputs: Mapping[str, npt.ArrayLike],
    outputs: Sequence[str] = (),
    priority: int = 0,
) -> bytes:
    """A ModelInferRequest with raw contents; a priority of 0 leaves it to the server.

    Raises:
        InvalidRequest: an input is no array, or has a type that the protocol lacks; the message names it.
    """
    if type(priority) is not int or not 0 <= priority < 1 << 63:
        raise InvalidRequest(f"priority must be a whole number from 0 on, not {priority!r}")
    tensors = []
    for name, value in inputs.items():
        try:
            array = _array_of(value)
            datatype = datatype_of(array)
            tensors.append((name, datatype, array.shape, raw_of(array, datatype)))
        except ValueError as error:
            raise InvalidRequest(f"input {name!r}: {error}") from error
    return _core.write_infer_request(model, version, request_id, tensors, list(outputs), priority)


def _array_of(value: npt.ArrayLike) -> Array:
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"makes no array; are its rows equally long? {error}") from error


def decode_response(message: bytes) -> dict[str, Array]:
    """The outputs of a ModelInferResponse by name, as read-only arrays.

    Raises:
        RequestError: the server sent something else.
    """
    try:
        tensors = _core.parse_infer_response(message).tensors
        return {name: array_of(raw, datatype, shape) for name, datatype, shape, raw in tensors}
    except ValueError as error:
        raise RequestError(f"the server's answer cannot be read: {error}") from error


def encode_question(method: str, fields: Mapping[str, str]) -> bytes:
    """The request of a question about the server."""
    request, _ = _QUESTIONS[method]
    return bytes(request(**fields).SerializeToString())


def read_answer(method: str, answer: bytes) -> Any:
    """The response to a question about the server.

    Raises:
        RequestError: the server sent something else.
    """
    _, response = _QUESTIONS[method]
    try:
        return response.FromString(answer)
    except DecodeError as error:
        raise RequestError(f"the server's answer to {method} cannot be read: {error}") from error


def signature_of(metadata: Any) -> ModelSignature:
    """A ModelMetadataResponse as a domain value; the protocol does not say how many rows a request may have: 0."""

    def specs(tensors: Any) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(tensor.name, tensor.datatype, tuple(tensor.shape)) for tensor in tensors)

    version = metadata.versions[0] if metadata.versions else ""
    return ModelSignature(metadata.name, version, specs(metadata.inputs), specs(metadata.outputs), rows_max=0)


def error_from(error: grpc.RpcError) -> RequestError:
    """The typed error of a failed call."""
    metadata = error.trailing_metadata() or ()
    return error_of(error.code(), error.details() or "", [(key, value) for key, value in metadata])


def timeout_s_of(deadline_ms: float | None) -> float | None:
    """A deadline as gRPC takes it."""
    return None if deadline_ms is None else deadline_ms / 1e3
