"""One unary call by each kind of client, for answers that must be equal by the byte whoever asks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

import grpc
import grpc.aio
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from conformance.raw_http2 import RawConnection
from tritonclient.grpc import service_pb2, service_pb2_grpc

from mark.protocol.messages import MODEL_INFER

__all__ = ["CLIENTS", "NO_LIMITS"]

NO_LIMITS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
_TIMEOUT_S = 20.0


def _grpcio(address: str, message: bytes) -> bytes:
    with grpc.insecure_channel(address, options=NO_LIMITS) as channel:
        return bytes(channel.unary_unary(MODEL_INFER)(message, timeout=_TIMEOUT_S))


def _grpcio_aio(address: str, message: bytes) -> bytes:
    async def call() -> bytes:
        async with grpc.aio.insecure_channel(address, options=NO_LIMITS) as channel:
            return bytes(await channel.unary_unary(MODEL_INFER)(message, timeout=_TIMEOUT_S))

    return asyncio.run(call())


def _raw(address: str, message: bytes) -> bytes:
    with RawConnection(address, timeout_s=_TIMEOUT_S) as connection:
        answer = connection.call(MODEL_INFER, message)
    assert answer.status == 0, answer
    (found,) = answer.messages
    return found


# NVIDIA's client, by its stub, so that the message is the same one, and by its own call, so that it is its own.


def _triton(address: str, message: bytes) -> bytes:
    with triton.InferenceServerClient(address) as client:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(client._channel)
        request = service_pb2.ModelInferRequest.FromString(message)
        return bytes(stub.ModelInfer(request, timeout=_TIMEOUT_S).SerializeToString(deterministic=True))


def _triton_aio(address: str, message: bytes) -> bytes:
    async def call() -> bytes:
        async with triton_aio.InferenceServerClient(address) as client:
            request = service_pb2.ModelInferRequest.FromString(message)
            answer = await cast(Awaitable[service_pb2.ModelInferResponse], client._client_stub.ModelInfer(request))
            return bytes(answer.SerializeToString(deterministic=True))

    return asyncio.run(call())


CLIENTS: dict[str, Callable[[str, bytes], bytes]] = {
    "grpcio": _grpcio,
    "grpcio asyncio": _grpcio_aio,
    "tritonclient": _triton,
    "tritonclient asyncio": _triton_aio,
    "raw": _raw,
}
