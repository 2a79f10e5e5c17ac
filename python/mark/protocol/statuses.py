"""The one table of request errors and gRPC statuses, read in both directions."""

from __future__ import annotations

from collections.abc import Iterable

import grpc

from mark._core import RequestFault, RequestFaultInfo
from mark.errors import (
    DeadlineExceeded,
    InvalidRequest,
    ModelFailed,
    ModelNotFound,
    Overloaded,
    RequestError,
    Unavailable,
)

__all__ = [
    "LINK_CODES",
    "RETRY_PUSHBACK_KEY",
    "details_of",
    "error_of",
    "error_of_fault",
    "status_of",
    "trailing_metadata_of",
]

# Statuses that say nothing about the request: the worker, or the way to it, is at fault.
LINK_CODES = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED, grpc.StatusCode.ABORTED}
)

# gRPC's own retry design (A6) reads it: how long a client should wait before it tries again; negative: it should not.
RETRY_PUSHBACK_KEY = "grpc-retry-pushback-ms"
_NO_RETRY = "-1"

# What gRPC itself says of a message beyond a limit, on either side. Its status is that of an overload, but the same
# message will never fit.
_TOO_LARGE = "larger than max"

# gRPC may refuse trailers beyond 8 KiB, and the client would read RESOURCE_EXHAUSTED instead of the status that was
# sent. A character takes up to 12 bytes there.
_DETAILS_CHARACTERS_MAX = 600

_STATUSES: dict[type[RequestError], grpc.StatusCode] = {
    InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    ModelNotFound: grpc.StatusCode.NOT_FOUND,
    Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
    ModelFailed: grpc.StatusCode.INTERNAL,
}
_ERRORS: dict[grpc.StatusCode, type[RequestError]] = {status: error for error, status in _STATUSES.items()}
# mark never sends it. A server that ends while a call reaches it does, of itself: gRPC cancels what it did not begin.
_ERRORS[grpc.StatusCode.CANCELLED] = Unavailable

_FAULTS: dict[RequestFault, type[RequestError]] = {
    RequestFault.MALFORMED: InvalidRequest,
    RequestFault.INVALID: InvalidRequest,
    RequestFault.UNKNOWN_MODEL: ModelNotFound,
    RequestFault.UNKNOWN_VERSION: ModelNotFound,
}


def status_of(error: RequestError) -> grpc.StatusCode:
    """The gRPC status that a client receives for an error."""
    return next((_STATUSES[kind] for kind in type(error).__mro__ if kind in _STATUSES), grpc.StatusCode.UNKNOWN)


def details_of(error: RequestError) -> str:
    """The text that goes with the status: what UTF-8 cannot say is escaped, what gRPC might not carry is cut off."""
    text = str(error).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= _DETAILS_CHARACTERS_MAX else f"{text[: _DETAILS_CHARACTERS_MAX - 3]}..."


def trailing_metadata_of(error: RequestError) -> tuple[tuple[str, str], ...]:
    """What goes with the status: the pushback of an overloaded server."""
    if isinstance(error, Overloaded):
        return ((RETRY_PUSHBACK_KEY, _NO_RETRY if error.retry_after_ms is None else str(error.retry_after_ms)),)
    return ()


def error_of(code: grpc.StatusCode, details: str, metadata: Iterable[tuple[str, str | bytes]] = ()) -> RequestError:
    """The error that a client raises for a status; a plain RequestError for a status that mark never sends."""
    kind = _ERRORS.get(code)
    if kind is None:
        return RequestError(f"{code.name}: {details}")
    if kind is Overloaded and _TOO_LARGE in details:
        return InvalidRequest(f"{details}; send fewer rows at once, or raise message_bytes_max")
    if kind is Overloaded:
        pushback = next((value for key, value in metadata if key == RETRY_PUSHBACK_KEY), _NO_RETRY)
        text = pushback.decode("ascii", "replace") if isinstance(pushback, bytes) else pushback
        return Overloaded(details, int(text) if text.isdecimal() else None)
    return kind(details)


def error_of_fault(fault: RequestFaultInfo) -> RequestError:
    """The error of a request that the codec refused; its message names the field."""
    return _FAULTS[fault.fault](fault.message)
