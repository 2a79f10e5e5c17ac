"""The gRPC service that router and worker both are: one generic handler in front of an `InferenceService`.

Everything is registered through one generic handler and nothing by `add_…Servicer_to_server`: grpc.aio pays for every
registered method on every call (grpc/grpc#43092); see docs/decisions/0004.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, NoReturn, Protocol

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from mark.domain.signature import ModelSignature, TensorSpec
from mark.errors import ConfigError, ModelFailed, RequestError
from mark.protocol import messages
from mark.protocol.addresses import check_listenable
from mark.protocol.health import Health
from mark.protocol.statuses import details_of, status_of, trailing_metadata_of

__all__ = ["ControlService", "InferenceService", "make_server"]

_log = logging.getLogger(__name__)

_PENDING_CALLS_MAX = 100_000


class InferenceService(Protocol):
    """What stands behind the Open Inference Protocol. Every method may raise a RequestError."""

    async def server_live(self) -> bool:
        """Whether the process answers."""
        ...

    async def server_ready(self) -> bool:
        """Whether every model can be called."""
        ...

    async def model_ready(self, name: str, version: str) -> bool:
        """Whether one model can be called; an empty version means whichever is served."""
        ...

    async def server_metadata(self) -> tuple[str, str]:
        """Name and version of the server."""
        ...

    async def model_metadata(self, name: str, version: str) -> ModelSignature:
        """What a model takes and gives."""
        ...

    async def model_infer(self, request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        """Answer one serialized ModelInferRequest with a serialized ModelInferResponse."""
        ...


class ControlService(Protocol):
    """What stands behind mark.v1.Control."""

    async def get_status(self) -> Any:
        """A StatusResponse."""
        ...

    async def get_bill(self) -> Any:
        """A BillResponse."""
        ...

    async def interrupt(self, request: Any) -> Any:
        """An InterruptResponse to an InterruptRequest."""
        ...

    async def tune(self, request: Any) -> Any:
        """Set what a TuneRequest says; a TuneResponse. May raise a RequestError."""
        ...

    async def get_story(self, request: Any) -> Any:
        """A StoryResponse to a StoryRequest. May raise a RequestError."""
        ...

    def watch(self, request: Any) -> AsyncGenerator[Any, None]:
        """The WatchEvents that a WatchRequest asks for, until the router stops. May raise a RequestError."""
        ...


async def make_server(
    address: str,
    inference: InferenceService,
    *,
    control: ControlService | None = None,
    message_bytes_max: int = 64 << 20,
    concurrent_calls_max: int | None = None,
    credentials: grpc.ServerCredentials | None = None,
) -> tuple[grpc.aio.Server, str]:
    """Make a server and bind it, not yet started; returns it with the address that it is bound to.

    Args:
        address: "host:port", where port 0 takes a free one, or "unix:/path".
        inference: what answers the Open Inference Protocol.
        control: what answers mark's control service, if anything does.
        message_bytes_max: larger messages are refused with RESOURCE_EXHAUSTED.
        concurrent_calls_max: calls beyond it are refused with RESOURCE_EXHAUSTED.
        credentials: what it shows to clients and asks of them; None for connections without TLS.

    Raises:
        ConfigError: the address is in use or cannot be bound.
    """
    check_listenable(address)
    server = grpc.aio.server(
        maximum_concurrent_rpcs=concurrent_calls_max,
        options=[
            # With SO_REUSEPORT two routers could share a port unnoticed, each with half of the requests.
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", message_bytes_max),
            # An answer was paid for already; how large a one it takes is the client's own limit.
            ("grpc.max_send_message_length", -1),
            # gRPC sheds calls that it has not handed over yet, beyond 1,000 by chance and beyond 3,000 always, with a
            # bare CANCELLED. Shedding is the dispatcher's: it knows the deadlines, and its status says what to do.
            ("grpc.server.max_pending_requests", _PENDING_CALLS_MAX),
            ("grpc.server.max_pending_requests_hard_limit", _PENDING_CALLS_MAX),
        ],
    )
    health = Health(inference.server_ready, (messages.INFERENCE_SERVICE,))
    server.add_generic_rpc_handlers((_Handlers(_methods(inference, control, health)),))
    try:
        port = (
            server.add_insecure_port(address) if credentials is None else server.add_secure_port(address, credentials)
        )
    except RuntimeError as error:
        raise ConfigError(f"cannot listen at {address}: the address is in use or not of this machine") from error
    bound = address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}"
    return server, bound


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, methods: dict[str, grpc.RpcMethodHandler]) -> None:
        self._methods = methods

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return self._methods.get(handler_call_details.method)


def _methods(
    inference: InferenceService, control: ControlService | None, health: Health
) -> dict[str, grpc.RpcMethodHandler]:
    services = [messages.INFERENCE_SERVICE, messages.HEALTH_SERVICE, reflection.SERVICE_NAME]
    methods = {**_inference_methods(inference), **_health_methods(health)}
    if control is not None:
        services.append(messages.CONTROL_SERVICE)
        methods[messages.GET_STATUS] = _unary(
            lambda _: control.get_status(), messages.StatusRequest, messages.StatusResponse
        )
        methods[messages.GET_BILL] = _unary(lambda _: control.get_bill(), messages.BillRequest, messages.BillResponse)
        methods[messages.INTERRUPT] = _unary(control.interrupt, messages.InterruptRequest, messages.InterruptResponse)
        methods[messages.GET_STORY] = _unary(control.get_story, messages.StoryRequest, messages.StoryResponse)
        methods[messages.TUNE] = _unary(control.tune, messages.TuneRequest, messages.TuneResponse)
        methods[messages.WATCH] = _stream(control.watch, messages.WatchRequest, messages.WatchEvent)
    methods.update(_reflection_methods(services))
    return methods


def _inference_methods(inference: InferenceService) -> dict[str, grpc.RpcMethodHandler]:
    async def server_live(_: Any) -> Any:
        return messages.ServerLiveResponse(live=await inference.server_live())

    async def server_ready(_: Any) -> Any:
        return messages.ServerReadyResponse(ready=await inference.server_ready())

    async def model_ready(request: Any) -> Any:
        return messages.ModelReadyResponse(ready=await inference.model_ready(request.name, request.version))

    async def server_metadata(_: Any) -> Any:
        name, version = await inference.server_metadata()
        return messages.ServerMetadataResponse(name=name, version=version)

    async def model_metadata(request: Any) -> Any:
        return _metadata_of(await inference.model_metadata(request.name, request.version))

    async def model_infer(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        try:
            return await inference.model_infer(request, context)
        except RequestError as error:
            await _abort(context, error)
        except Exception:  # noqa: BLE001 - the last line of defence: the client gets a status, the log the reason
            _log.exception("a request failed unexpectedly")
            await _abort(context, ModelFailed("the server failed on this request; its log says why"))

    return {
        messages.SERVER_LIVE: _unary(server_live, messages.ServerLiveRequest, messages.ServerLiveResponse),
        messages.SERVER_READY: _unary(server_ready, messages.ServerReadyRequest, messages.ServerReadyResponse),
        messages.MODEL_READY: _unary(model_ready, messages.ModelReadyRequest, messages.ModelReadyResponse),
        messages.SERVER_METADATA: _unary(
            server_metadata, messages.ServerMetadataRequest, messages.ServerMetadataResponse
        ),
        messages.MODEL_METADATA: _unary(model_metadata, messages.ModelMetadataRequest, messages.ModelMetadataResponse),
        # Bytes in, bytes out: no protobuf object is ever made of a tensor.
        messages.MODEL_INFER: grpc.unary_unary_rpc_method_handler(model_infer),
    }


def _health_methods(health: Health) -> dict[str, grpc.RpcMethodHandler]:
    coders = {
        "request_deserializer": health_pb2.HealthCheckRequest.FromString,
        "response_serializer": health_pb2.HealthCheckResponse.SerializeToString,
    }
    return {
        f"/{messages.HEALTH_SERVICE}/Check": grpc.unary_unary_rpc_method_handler(health.check, **coders),
        f"/{messages.HEALTH_SERVICE}/Watch": grpc.unary_stream_rpc_method_handler(health.watch, **coders),
    }


def _reflection_methods(services: Sequence[str]) -> dict[str, grpc.RpcMethodHandler]:
    servicer = reflection.aio.ReflectionServicer(services, pool=messages.POOL)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    return {f"/{reflection.SERVICE_NAME}/ServerReflectionInfo": handler}


def _unary(answer: Callable[[Any], Awaitable[Any]], request: Any, response: Any) -> grpc.RpcMethodHandler:
    async def call(message: Any, context: grpc.aio.ServicerContext) -> Any:
        try:
            return await answer(message)
        except RequestError as error:
            await _abort(context, error)

    return grpc.unary_unary_rpc_method_handler(
        call, request_deserializer=request.FromString, response_serializer=response.SerializeToString
    )


def _stream(answers: Callable[[Any], AsyncGenerator[Any, None]], request: Any, response: Any) -> grpc.RpcMethodHandler:
    async def call(message: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        try:
            async with contextlib.aclosing(answers(message)) as stream:
                async for answer in stream:
                    yield answer
        except RequestError as error:
            await _abort(context, error)

    return grpc.unary_stream_rpc_method_handler(
        call, request_deserializer=request.FromString, response_serializer=response.SerializeToString
    )


async def _abort(context: grpc.aio.ServicerContext, error: RequestError) -> NoReturn:
    await context.abort(status_of(error), details_of(error), trailing_metadata_of(error))
    raise AssertionError("abort raises")


def _metadata_of(signature: ModelSignature) -> Any:
    def tensors(specs: Sequence[TensorSpec]) -> list[Any]:
        kind = messages.ModelMetadataResponse.TensorMetadata
        return [kind(name=spec.name, datatype=spec.datatype, shape=spec.shape) for spec in specs]

    return messages.ModelMetadataResponse(
        name=signature.name,
        versions=[signature.version],
        platform="mark",
        inputs=tensors(signature.inputs),
        outputs=tensors(signature.outputs),
    )
