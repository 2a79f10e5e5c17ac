"""A receiver of OTLP's spans: gRPC, on a port of this machine, as a collector is one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

__all__ = ["OtlpReceiver", "ReceivedSpan"]

_PATIENCE_S = 20.0


@dataclass(frozen=True)
class ReceivedSpan:
    """A span as it came, with the service that sent it."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    links: tuple[str, ...]
    began_ns: int
    ended_ns: int
    attributes: dict[str, Any]
    is_error: bool


class OtlpReceiver(TraceServiceServicer):
    """A context manager; `port` 0 takes a free one."""

    def __init__(self, port: int = 0) -> None:
        self._changed = threading.Condition()
        self._spans: list[ReceivedSpan] = []
        self._server = grpc.server(ThreadPoolExecutor(2))
        add_TraceServiceServicer_to_server(self, self._server)  # type: ignore[no-untyped-call]  # generated
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def Export(self, request: Any, context: grpc.ServicerContext) -> ExportTraceServiceResponse:  # noqa: N802
        with self._changed:
            for resource_spans in request.resource_spans:
                about = {each.key: each.value.string_value for each in resource_spans.resource.attributes}
                for scope_spans in resource_spans.scope_spans:
                    self._spans += [_received(span, about["service.name"]) for span in scope_spans.spans]
            self._changed.notify_all()
        return ExportTraceServiceResponse()

    @property
    def spans(self) -> list[ReceivedSpan]:
        """What came so far."""
        with self._changed:
            return list(self._spans)

    def until(self, holds: Callable[[list[ReceivedSpan]], bool]) -> list[ReceivedSpan]:
        """Wait for spans, and return all."""
        with self._changed:
            assert self._changed.wait_for(lambda: holds(self._spans), _PATIENCE_S), self._spans
            return list(self._spans)

    def __enter__(self) -> OtlpReceiver:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop(None).wait()


def _received(span: Any, service: str) -> ReceivedSpan:
    values = {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}
    return ReceivedSpan(
        service=service,
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        links=tuple(link.span_id.hex() for link in span.links),
        began_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
        attributes=values,
        is_error=span.status.code == 2,
    )
