"""The section `tracing`: which requests leave spans, and where these go."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from mark.config.values import NotBool, Section, wrong
from mark.tracing.params import TracingParams

__all__ = ["TracingConfig"]


class TracingConfig(Section):
    """Spans of sampled requests, by OpenTelemetry's OTLP over gRPC; without an endpoint nothing is traced."""

    endpoint: str | None = None
    sample_share: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), NotBool] = 0.01
    service_name: Annotated[str, Field(min_length=1)] = "mark"

    @field_validator("endpoint")
    @classmethod
    def _check_endpoint(cls, endpoint: str | None) -> str | None:
        if endpoint is not None:
            try:
                TracingParams(endpoint, 0.0, "")
            except ValueError as error:
                raise wrong(str(error)) from error
        return endpoint

    def as_params(self) -> TracingParams | None:
        """What a router traces; None: nothing."""
        return None if self.endpoint is None else TracingParams(self.endpoint, self.sample_share, self.service_name)

    def as_worker_params(self) -> TracingParams | None:
        """What its workers trace: the requests that the router sampled, and no others."""
        return None if self.endpoint is None else TracingParams(self.endpoint, 0.0, f"{self.service_name}-worker")
