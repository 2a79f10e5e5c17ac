"""The trace of a request as a server of grpcio sees it: begun from its headers, ended as its handler ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import grpc.aio

from mark._core import BatchTrace, RequestTrace, Tracer
from mark.errors import RequestError
from mark.protocol.error_names import details_of, status_name_of

__all__ = ["end_batch", "sent_headers", "traced"]

_PARENT = "traceparent"
_STATE = "tracestate"


@contextlib.contextmanager
def traced(
    tracer: Tracer, context: grpc.aio.ServicerContext, model: str, now_ns: Callable[[], int]
) -> Iterator[RequestTrace | None]:
    """Trace what is done inside, as one request of a model; None when it is not sampled."""
    parents, states = _trace_headers(context.invocation_metadata() or ())
    trace = tracer.begin("".join(parents), ",".join(states), model, now_ns())
    if trace is None:
        yield None
        return
    try:
        yield trace
    except RequestError as error:
        trace.end(status_name_of(error), details_of(error), now_ns())
        raise
    except asyncio.CancelledError:
        remaining_s = context.time_remaining()
        in_time = remaining_s is None or remaining_s > 0
        trace.end("CANCELLED" if in_time else "DEADLINE_EXCEEDED", "its client waits no longer", now_ns())
        raise
    except BaseException as error:
        trace.end("INTERNAL", f"{type(error).__name__}: {error}", now_ns())
        raise
    else:
        trace.end("OK", "", now_ns())


def sent_headers(trace: BatchTrace | None, worker: str, now_ns: int) -> dict[str, str]:
    """Note that a batch is sent; what goes with it, so that whoever computes it continues the trace; empty without."""
    if trace is None:
        return {}
    trace.sent(worker, now_ns)
    parent, state = trace.call_headers()
    return {_PARENT: parent, _STATE: state} if state else {_PARENT: parent}


def end_batch(trace: BatchTrace | None, status: str, message: str, now_ns: int) -> None:
    """Note how a batch ended, by the name of a gRPC status; nothing without a trace."""
    if trace is not None:
        trace.end(status, message, now_ns)


def _trace_headers(metadata: Any) -> tuple[list[str], list[str]]:
    """Every traceparent and tracestate of a call."""
    found: dict[str, list[str]] = {_PARENT: [], _STATE: []}
    for key, value in metadata:
        if key in found:
            found[key].append(value)
    return found[_PARENT], found[_STATE]
