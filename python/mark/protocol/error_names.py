"""The one table of request errors and names of gRPC statuses, without gRPC: a function starts sooner and smaller so."""

from __future__ import annotations

from mark._core import EndKind, RequestEnd, RequestFaultInfo, end_of_fault, status_text
from mark._core import status_name_of as core_status_name_of
from mark.errors import (
    DeadlineExceeded,
    InvalidRequest,
    ModelFailed,
    ModelNotFound,
    Overloaded,
    RequestError,
    Unavailable,
)

__all__ = ["STATUS_NAMES", "details_of", "end_of_error", "error_of_end", "error_of_fault", "status_name_of"]

_ERRORS: dict[EndKind, type[RequestError]] = {
    EndKind.INVALID_REQUEST: InvalidRequest,
    EndKind.MODEL_NOT_FOUND: ModelNotFound,
    EndKind.OVERLOADED: Overloaded,
    EndKind.DEADLINE_EXCEEDED: DeadlineExceeded,
    EndKind.UNAVAILABLE: Unavailable,
    EndKind.MODEL_FAILED: ModelFailed,
}

STATUS_NAMES: dict[type[RequestError], str] = {error: core_status_name_of(kind) for kind, error in _ERRORS.items()}


def status_name_of(error: RequestError) -> str:
    """The name of the gRPC status that a client receives for an error."""
    return next((STATUS_NAMES[kind] for kind in type(error).__mro__ if kind in STATUS_NAMES), "UNKNOWN")


def details_of(error: RequestError) -> str:
    """The text that goes with the status: what UTF-8 cannot say is escaped, what gRPC might not carry is cut off."""
    return status_text(str(error).encode("utf-8", "backslashreplace"))


def error_of_fault(fault: RequestFaultInfo) -> RequestError:
    """The error of a request that the codec refused; its message names the field."""
    return error_of_end(end_of_fault(fault))


def error_of_end(end: RequestEnd) -> RequestError:
    """The error of a request that got no answer, in the core's words."""
    if end.kind is EndKind.OVERLOADED:
        return Overloaded(end.message, end.retry_after_ms)
    return _ERRORS[end.kind](end.message)


def end_of_error(error: RequestError) -> RequestEnd:
    """The same the other way round, where the core tells the client; a plain RequestError is a failure of the model."""
    kind = next((kind for kind, error_type in _ERRORS.items() if isinstance(error, error_type)), EndKind.MODEL_FAILED)
    return RequestEnd(kind, details_of(error), error.retry_after_ms if isinstance(error, Overloaded) else None)
