"""What the core notes of a sampled request, as OpenTelemetry's spans."""

from __future__ import annotations

from collections.abc import Callable

import grpc
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from mark import __version__
from mark._core import Span, SpanName, TraceContext

__all__ = ["spans_of"]

_SERVICE, _METHOD = "inference.GRPCInferenceService", "ModelInfer"
_NAMES = {
    SpanName.REQUEST: f"{_SERVICE}/{_METHOD}",
    SpanName.QUEUE: "mark.queue",
    SpanName.BATCH: "mark.batch",
    SpanName.COMPUTE: "mark.compute",
    SpanName.FUNCTION: "mark.function",
}
_SCOPE = InstrumentationScope("mark", __version__)
# Of a server, what its client did wrong is no error of its span: OpenTelemetry's conventions for gRPC.
_SERVER_ERRORS = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}


def spans_of(ended: list[Span], resource: Resource, unix_ns: Callable[[int], int]) -> list[ReadableSpan]:
    """The spans, in the same order.

    Args:
        ended: as a tracer gives them.
        resource: who tells of them.
        unix_ns: an instant of the drivers' clock -> the same of the calendar's, since 1970.
    """
    return [_span_of(span, resource, unix_ns) for span in ended]


def _span_of(span: Span, resource: Resource, unix_ns: Callable[[int], int]) -> ReadableSpan:
    parent = None
    if span.parent_id is not None:
        parent = _context(span.context, span.parent_id, is_remote=span.is_parent_remote)
    return ReadableSpan(
        name=_NAMES[span.name],
        context=_context(span.context, span.context.span_id, is_remote=False),
        parent=parent,
        resource=resource,
        attributes=_attributes(span),
        links=[Link(_context(each, each.span_id, is_remote=False)) for each in span.links],
        kind=_kind(span),
        status=_status(span),
        start_time=unix_ns(span.began_ns),
        end_time=unix_ns(span.ended_ns),
        instrumentation_scope=_SCOPE,
    )


def _context(context: TraceContext, span_id: int, *, is_remote: bool) -> SpanContext:
    state = TraceState.from_header([context.state]) if context.state else None
    return SpanContext(context.trace_id, span_id, is_remote, TraceFlags(TraceFlags.SAMPLED), state)


def _kind(span: Span) -> SpanKind:
    if span.name is SpanName.REQUEST:
        return SpanKind.SERVER
    return SpanKind.CLIENT if span.is_call else SpanKind.INTERNAL


def _status(span: Span) -> Status:
    failed = span.status in _SERVER_ERRORS if span.name is SpanName.REQUEST else span.status != "OK"
    return Status(StatusCode.ERROR, span.message or span.status) if failed else Status()


def _attributes(span: Span) -> dict[str, str | int | float]:
    attributes: dict[str, str | int | float] = {"mark.model": span.model}
    if span.name is SpanName.REQUEST or span.is_call:
        attributes |= {"rpc.system": "grpc", "rpc.service": _SERVICE, "rpc.method": _METHOD}
        attributes["rpc.grpc.status_code"] = grpc.StatusCode[span.status].value[0]
    if span.name is SpanName.BATCH:
        attributes |= {"mark.batch.requests": span.requests, "mark.batch.rows": span.rows}
        if span.size > 0:
            attributes["mark.batch.size"] = span.size
    if span.is_call and span.worker:
        attributes["mark.worker"] = span.worker
    if span.reason is not None:
        attributes["mark.batch.reason"] = span.reason.name.lower()
    if span.predicted_finish_ns is not None and span.is_call:
        attributes["mark.batch.predicted_ms"] = (span.predicted_finish_ns - span.began_ns) / 1e6
    return attributes
