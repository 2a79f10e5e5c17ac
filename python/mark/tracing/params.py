"""Where spans go, and of which requests; and what exports them, made when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mark.errors import ConfigError

if TYPE_CHECKING:
    from mark.tracing.export import TraceExport

__all__ = ["TracingParams", "make_trace_export"]

_SCHEMES = {"http", "https"}


@dataclass(frozen=True, slots=True)
class TracingParams:
    """What is traced, and to whom it is told.

    Attributes:
        endpoint: an OTLP receiver over gRPC, "http://host:port", or https for TLS.
        sample_share: of the requests whose client does not say whether they are sampled, in [0, 1].
        service_name: as which the spans name this process.
    """

    endpoint: str
    sample_share: float
    service_name: str

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.endpoint)
            complete = parts.scheme in _SCHEMES and parts.hostname and parts.port and parts.path in {"", "/"}
        except ValueError:  # of a port that is none
            complete = False
        if not complete:
            raise ValueError(f"must be http://host:port or https://host:port, not {self.endpoint!r}")
        if not 0.0 <= self.sample_share <= 1.0:
            raise ValueError(f"a share lies between 0 and 1, not at {self.sample_share:g}")


def make_trace_export(params: TracingParams | None, lanes: int = 1) -> TraceExport | None:
    """What exports spans, and decides which; None without `params`: then nothing is traced.

    Args:
        params: what is traced.
        lanes: threads of the ingress.

    Raises:
        ConfigError: OpenTelemetry is not installed.
    """
    if params is None:
        return None
    try:
        from mark.tracing.export import TraceExport
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "opentelemetry":
            raise
        raise ConfigError("tracing needs OpenTelemetry: pip install 'mark-serve[tracing]'") from error
    return TraceExport(params, lanes)
