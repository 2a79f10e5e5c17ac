"""The section of the configuration for functions that take what instances cannot answer in time."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from mark.config.values import COUNT_MAX, DAY_S, Count, Milliseconds, NotBool, Section, Share, wrong
from mark.domain.offering import Serverless

__all__ = ["BreakerConfig", "ServerlessConfig", "check_serverless"]

_Usd = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False), NotBool]
_PositiveSeconds = Annotated[float, Field(gt=0, le=DAY_S, allow_inf_nan=False), NotBool]
_PositiveMilliseconds = Annotated[float, Field(gt=0, le=DAY_S * 1000, allow_inf_nan=False), NotBool]
_IMAGE = r"^[a-z0-9.-]+/[a-z0-9._/-]+(:[\w.-]+|@sha256:[0-9a-f]{64})$"


class BreakerConfig(Section):
    """When functions are not asked any more because they fail, and when they are asked again."""

    failures_max: Annotated[int, Field(ge=0, le=COUNT_MAX), NotBool] = 5
    open_s: _PositiveSeconds = 5.0


class ServerlessConfig(Section):
    """Functions of one model: AWS Lambda's, or local processes that come, go and are billed as these do."""

    memory_gb: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False), NotBool] = 1.0
    price_usd_per_gb_s: _Usd
    price_usd_per_request: _Usd = 0.0
    concurrency_max: Count = 10
    keep_warm: Annotated[int, Field(ge=0, le=COUNT_MAX), NotBool] = 0
    ping_s: _PositiveSeconds = 60.0
    idle_s: _PositiveSeconds = 300.0
    latency_ms: _PositiveMilliseconds | None = None
    timeout_s: _PositiveSeconds = 30.0
    budget_usd_per_hour: _Usd | None = None
    breaker: BreakerConfig = BreakerConfig()
    threads: Annotated[int, Field(ge=1, le=1024), NotBool] = 1
    cpu_share: Share = 1.0
    package: Annotated[str, Field(min_length=1)] | None = None
    image: Annotated[str, Field(pattern=_IMAGE)] | None = None
    include: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=list)

    @model_validator(mode="after")
    def _check_warmth(self) -> ServerlessConfig:
        if self.keep_warm > self.concurrency_max:
            raise wrong(
                f"{self.keep_warm} functions cannot be kept warm where concurrency_max is {self.concurrency_max}; "
                "lower one or raise the other",
                "keep_warm",
            )
        if self.keep_warm and self.ping_s >= self.idle_s:
            raise wrong(
                f"{self.ping_s:g} s is not less than idle_s, {self.idle_s:g} s: functions would end between two pings",
                "ping_s",
            )
        return self

    def as_serverless(self, usd_per_request: float, latency_ms: float) -> Serverless:
        """What a plan has to know."""
        return Serverless("serverless", usd_per_request * 1e6, latency_ms, self.concurrency_max)


def check_serverless(
    serverless: ServerlessConfig | None, *, has_source: bool, admission: bool, rt_max_ms: Milliseconds
) -> None:
    """Refuse functions that could never take a request.

    Raises:
        PydanticCustomError: naming what keeps them from it.
    """
    if serverless is None:
        return
    if not has_source:
        raise wrong(
            "functions load the model themselves: give runtime and source, or leave serverless out", "serverless"
        )
    if not admission:
        raise wrong(
            "takes what is refused because no worker would answer in time; with batching.admission: false nothing is",
            "serverless",
        )
    if serverless.latency_ms is not None and serverless.latency_ms >= rt_max_ms:
        raise wrong(
            f"{serverless.latency_ms:g} ms is not less than slo.rt_max_ms, {rt_max_ms:g} ms: no function would answer "
            "in time; give functions more threads or cpu_share, raise rt_max_ms, or leave serverless out",
            "serverless", "latency_ms",
        )  # fmt: skip
