"""The one table of request errors and names of gRPC statuses, without gRPC: a function starts sooner and smaller so."""

from __future__ import annotations

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

__all__ = ["STATUS_NAMES", "details_of", "error_of_fault", "status_name_of"]

STATUS_NAMES: dict[type[RequestError], str] = {
    InvalidRequest: "INVALID_ARGUMENT",
    ModelNotFound: "NOT_FOUND",
    Overloaded: "RESOURCE_EXHAUSTED",
    DeadlineExceeded: "DEADLINE_EXCEEDED",
    Unavailable: "UNAVAILABLE",
    ModelFailed: "INTERNAL",
}

# gRPC may refuse trailers beyond 8 KiB, and the client would read RESOURCE_EXHAUSTED instead of the status that was
# sent. A character takes up to 12 bytes there.
_DETAILS_CHARACTERS_MAX = 600

_FAULTS: dict[RequestFault, type[RequestError]] = {
    RequestFault.MALFORMED: InvalidRequest,
    RequestFault.INVALID: InvalidRequest,
    RequestFault.UNKNOWN_MODEL: ModelNotFound,
    RequestFault.UNKNOWN_VERSION: ModelNotFound,
}


def status_name_of(error: RequestError) -> str:
    """The name of the gRPC status that a client receives for an error."""
    return next((STATUS_NAMES[kind] for kind in type(error).__mro__ if kind in STATUS_NAMES), "UNKNOWN")


def details_of(error: RequestError) -> str:
    """The text that goes with the status: what UTF-8 cannot say is escaped, what gRPC might not carry is cut off."""
    text = str(error).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= _DETAILS_CHARACTERS_MAX else f"{text[: _DETAILS_CHARACTERS_MAX - 3]}..."


def error_of_fault(fault: RequestFaultInfo) -> RequestError:
    """The error of a request that the codec refused; its message names the field."""
    return _FAULTS[fault.fault](fault.message)
