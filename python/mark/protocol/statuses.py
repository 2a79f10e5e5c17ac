"""The one table of request errors and gRPC statuses, read in both directions."""

from __future__ import annotations

from collections.abc import Iterable

import grpc

from mark._core import LINK_STATUSES
from mark.errors import InvalidRequest, Overloaded, RequestError, Unavailable
from mark.protocol.error_names import STATUS_NAMES, details_of, error_of_fault, status_name_of

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
LINK_CODES = frozenset(grpc.StatusCode[name] for name in LINK_STATUSES)

# gRPC's own retry design (A6) reads it: how long a client should wait before it tries again; negative: it should not.
RETRY_PUSHBACK_KEY = "grpc-retry-pushback-ms"
_NO_RETRY = "-1"

# What gRPC itself says of a message beyond a limit, on either side. Its status is that of an overload, but the same
# message will never fit.
_TOO_LARGE = "larger than max"

_ERRORS: dict[grpc.StatusCode, type[RequestError]] = {
    grpc.StatusCode[name]: error for error, name in STATUS_NAMES.items()
}
# mark never sends it. A server that ends while a call reaches it does, of itself: gRPC cancels what it did not begin.
_ERRORS[grpc.StatusCode.CANCELLED] = Unavailable


def status_of(error: RequestError) -> grpc.StatusCode:
    """The gRPC status that a client receives for an error."""
    return grpc.StatusCode[status_name_of(error)]


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
