"""The sections of the configuration: each option is defined once, here, with its unit in its name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mark.config.aws import AwsConfig, InstanceType, check_provider, listed_usd_per_hour
from mark.config.aws_functions import check_functions
from mark.config.forecasting import ForecastConfig
from mark.config.http import HttpConfig
from mark.config.monitor import MonitorConfig
from mark.config.padding import Sizes, check_largest, with_rows_max
from mark.config.server import ServerConfig
from mark.config.serverless import ServerlessConfig, check_serverless
from mark.config.spot import SpotConfig
from mark.config.values import (
    COUNT_MAX,
    DAY_S,
    INT32_MAX,
    Count,
    Datatype,
    Device,
    Int32,
    Int64,
    Milliseconds,
    Name,
    NotBool,
    ProfilePoints,
    Rows,
    Seconds,
    Section,
    Share,
    Whole,
    wrong,
)
from mark.domain.artifact import ModelArtifact
from mark.domain.offering import Market, Offering
from mark.domain.profile import Profile, ProfilePoint
from mark.domain.signature import ModelSignature, TensorSpec
from mark.domain.slo import Slo

__all__ = [
    "BatchingConfig",
    "Config",
    "ControllerConfig",
    "ForecastConfig",
    "ModelConfig",
    "OfferingConfig",
    "ServerConfig",
    "SloConfig",
    "TensorConfig",
    "WorkerConfig",
]


class SloConfig(Section):
    """The promise of one model."""

    rt_max_ms: Annotated[float, Field(ge=0.01, le=DAY_S * 1000, allow_inf_nan=False), NotBool]
    sl_min: Share = 0.98


class TensorConfig(Section):
    """A tensor of the model; dimension 0 of its shape is the batch, -1."""

    name: Annotated[str, Field(min_length=1)]
    datatype: Datatype
    shape: Annotated[list[Whole], Field(min_length=1)]

    @model_validator(mode="after")
    def _check_shape(self) -> TensorConfig:
        batch, *sizes = self.shape
        if batch != -1:
            raise wrong(f"must begin with -1, the batch dimension, not {batch}", "shape")
        if any(size < 1 and size != -1 for size in sizes):
            raise wrong(f"every further dimension must be positive, or -1 for any size: {self.shape}", "shape")
        if math.prod(size for size in sizes if size != -1) > INT32_MAX:
            raise wrong(f"a row must have at most {INT32_MAX} elements: {self.shape}", "shape")
        return self

    def spec(self) -> TensorSpec:
        """As a domain value."""
        return TensorSpec(self.name, self.datatype, tuple(self.shape))


class BatchingConfig(Section):
    """Bounds of the request path."""

    rows_max: Rows = 32
    sizes: Sizes = Field(default_factory=list)
    margin_ms: Milliseconds = 2.0
    queue_requests_max: Int32 = 4096
    queue_bytes_max: Int64 = 256 << 20
    admission: bool = True
    batches_in_flight_max: Int32 = 1
    correction: bool = True
    policy: Literal["adaptive", "fixed", "none"] = "adaptive"
    wait_ms: Milliseconds = 5.0
    priority_levels: Annotated[int, Field(ge=1, le=16), NotBool] = 2
    priority_default: Annotated[int, Field(ge=1, le=16), NotBool] | None = None

    @model_validator(mode="before")
    @classmethod
    def _take_rows_max(cls, section: object) -> object:
        return with_rows_max(section)

    @model_validator(mode="after")
    def _check_sizes(self) -> BatchingConfig:
        check_largest(self.sizes, self.rows_max)
        return self

    @model_validator(mode="after")
    def _check_priority(self) -> BatchingConfig:
        if self.priority_default is not None and self.priority_default > self.priority_levels:
            raise wrong(
                f"must lie between 1 and priority_levels ({self.priority_levels}), not {self.priority_default}",
                "priority_default",
            )
        return self


class ControllerConfig(Section):
    """How the fleet is sized."""

    step_s: Annotated[float, Field(gt=0, le=DAY_S, allow_inf_nan=False), NotBool] = 60.0
    window_s: Annotated[float, Field(ge=0.01, le=DAY_S, allow_inf_nan=False), NotBool] = 5.0
    horizon_steps: Count = 60
    headroom: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False), NotBool] = 1.2
    maximum_of_steps: Count = 10
    cooldown_s: Seconds = 300.0
    min_instances: Annotated[int, Field(ge=0, le=COUNT_MAX), NotBool] = 1
    policy: Literal["greedy", "refined"] = "refined"
    forecast: ForecastConfig = ForecastConfig()

    @model_validator(mode="after")
    def _check_window(self) -> ControllerConfig:
        windows = self.step_s / self.window_s
        if windows < 1 or abs(windows - round(windows)) > 1e-9:
            raise wrong(f"must be a whole number of windows of window_s ({self.window_s}), not {self.step_s}", "step_s")
        return self


class WorkerConfig(Section):
    """A worker that is not ours to launch: any server of the Open Inference Protocol."""

    address: Annotated[str, Field(min_length=1)]
    profile: ProfilePoints

    def as_profile(self) -> Profile:
        """As a domain value."""
        return _profile(self.profile)


class ModelConfig(Section):
    """One model: what it is, its promise, and what is known of its speed."""

    name: Name
    version: Annotated[str, Field(min_length=1)] = "1"
    runtime: Literal["torchscript", "onnx", "python"] | None = None
    source: Annotated[str, Field(min_length=1)] | None = None
    inputs: Annotated[list[TensorConfig], Field(min_length=1)]
    outputs: Annotated[list[TensorConfig], Field(min_length=1)]
    slo: SloConfig
    batching: BatchingConfig = BatchingConfig()
    controller: ControllerConfig = ControllerConfig()
    monitor: MonitorConfig = MonitorConfig()
    profiles: dict[str, ProfilePoints] = Field(default_factory=dict)
    workers: list[WorkerConfig] = Field(default_factory=list)
    serverless: ServerlessConfig | None = None

    @model_validator(mode="after")
    def _check_source(self) -> ModelConfig:
        if (self.runtime is None) != (self.source is None):
            raise wrong("runtime and source belong together: give both, or neither and list workers")
        if (self.source is None) == (not self.workers):
            raise wrong("needs either runtime and source, for the offerings to serve, or workers to send to")
        return self

    @model_validator(mode="after")
    def _check_tensors(self) -> ModelConfig:
        for kind, tensors in (("inputs", self.inputs), ("outputs", self.outputs)):
            index = _second_of_a_name([tensor.name for tensor in tensors])
            if index is not None:
                raise wrong(f"{tensors[index].name!r} is given twice; {kind} need different names", kind, index, "name")
        return self

    @model_validator(mode="after")
    def _check_margin(self) -> ModelConfig:
        margin_ms, rt_max_ms = self.batching.margin_ms, self.slo.rt_max_ms
        # Compared as the dispatcher does, in whole nanoseconds.
        if round(margin_ms * 1e6) >= self.as_slo().rt_max_ns:
            raise wrong(
                f"{margin_ms:g} ms is not less than slo.rt_max_ms, {rt_max_ms:g} ms: no time is left to answer; "
                "lower margin_ms or raise rt_max_ms",
                "batching", "margin_ms",
            )  # fmt: skip
        return self

    @model_validator(mode="after")
    def _check_serverless(self) -> ModelConfig:
        check_serverless(
            self.serverless,
            has_source=self.source is not None,
            admission=self.batching.admission,
            rt_max_ms=self.slo.rt_max_ms,
        )
        return self

    def signature(self) -> ModelSignature:
        """What the model takes and gives."""
        return ModelSignature(
            name=self.name,
            version=self.version,
            inputs=tuple(tensor.spec() for tensor in self.inputs),
            outputs=tuple(tensor.spec() for tensor in self.outputs),
            rows_max=self.batching.rows_max,
            sizes=tuple(self.batching.sizes),
        )

    def artifact(self) -> ModelArtifact | None:
        """What a worker loads; None when the model is served by foreign workers alone."""
        if self.runtime is None or self.source is None:
            return None
        return ModelArtifact(signature=self.signature(), runtime=self.runtime, source=self.source)

    def as_slo(self) -> Slo:
        """The promise as a domain value."""
        return Slo(self.slo.rt_max_ms, self.slo.sl_min)

    def as_profiles(self) -> dict[str, Profile]:
        """Known profiles by offering."""
        return {name: _profile(points) for name, points in self.profiles.items()}


class OfferingConfig(Section):
    """A kind of machine that can be rented: on this machine, a kind of worker process."""

    name: Name
    market: Literal["on_demand", "spot", "burstable"] = "on_demand"
    price_usd_per_hour: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False), NotBool] | None = None
    threads: Annotated[int, Field(ge=1, le=1024), NotBool] = 1
    cpu_share: Share = 1.0
    device: Device = "cpu"
    boot_s: Seconds = 0.0
    max_count: Count = 1
    interruptions_per_hour: Annotated[float, Field(ge=0, le=DAY_S, allow_inf_nan=False), NotBool] = 0.0
    standby: bool = False
    stopped: Annotated[int, Field(ge=0, le=COUNT_MAX), NotBool] = 0
    baseline_share: Share = 1.0
    credits_s: Seconds | None = None
    types: list[InstanceType] = Field(default_factory=list)
    zones: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=list)

    @model_validator(mode="after")
    def _check_market(self) -> OfferingConfig:
        if self.interruptions_per_hour > 0 and self.market != "spot":
            raise wrong("only what is rented on spot is interrupted: market: spot", "interruptions_per_hour")
        if self.standby and self.market != "burstable":
            raise wrong("a standby is bought as burstable: market: burstable", "standby")
        if (self.credits_s is not None or self.baseline_share < 1) and self.market != "burstable":
            raise wrong("only what is burstable runs on credits: market: burstable", "credits_s")
        if self.stopped > self.max_count:
            raise wrong(f"{self.stopped} cannot be kept of {self.max_count}; raise max_count or lower it", "stopped")
        return self

    def as_offering(self) -> Offering:
        """As a domain value."""
        listed = self.price_usd_per_hour
        return Offering(
            name=self.name,
            market=Market(self.market),
            price_usd_per_hour=(listed_usd_per_hour(self.types, self.market) or 0.0) if listed is None else listed,
            boot_s=self.boot_s,
            max_count=self.max_count,
            threads=self.threads,
            cpu_share=self.cpu_share,
            interruptions_per_hour=self.interruptions_per_hour,
            stopped=self.stopped,
            baseline_share=self.baseline_share,
            credits_s=math.inf if self.credits_s is None else self.credits_s,
            device=self.device,
        )


class Config(Section):
    """The whole file."""

    cluster: Name = "mark"
    provider: Literal["local", "aws"] = "local"
    aws: AwsConfig | None = None
    server: ServerConfig = ServerConfig()
    http: HttpConfig = HttpConfig()
    spot: SpotConfig = SpotConfig()
    offerings: list[OfferingConfig] = Field(default_factory=list)
    models: Annotated[list[ModelConfig], Field(min_length=1)]

    @property
    def standbys(self) -> frozenset[str]:
        """Names of the offerings that are launched to bridge a gap, and for nothing else."""
        return frozenset(offering.name for offering in self.offerings if offering.standby)

    @model_validator(mode="after")
    def _check_names(self) -> Config:
        for kind, entries in (("offerings", self.offerings), ("models", self.models)):
            index = _second_of_a_name([entry.name for entry in entries])
            if index is not None:
                raise wrong(f"{entries[index].name!r} is given twice; {kind} need different names", kind, index, "name")
        known = [offering.name for offering in self.offerings]
        for index, model in enumerate(self.models):
            for name in model.profiles:
                if name not in known:
                    raise wrong(
                        f"model {model.name!r} has a profile for {name!r}, which is no offering; "
                        f"known are {', '.join(known)}",
                        "models", index, "profiles", name,
                    )  # fmt: skip
            if model.source is not None and all(offering.standby for offering in self.offerings):
                raise wrong(
                    f"model {model.name!r} needs at least one entry under offerings to run on that is no standby",
                    "models", index,
                )  # fmt: skip
        return self

    @model_validator(mode="after")
    def _check_provider(self) -> Config:
        check_provider(self.provider, self.aws, self.offerings)
        check_functions(self.provider, self.cluster, self.models)
        return self

    @model_validator(mode="after")
    def _check_counts(self) -> Config:
        # A model whose least fleet cannot be had would never be ready.
        available, kept = sum(offering.max_count for offering in self.offerings if not offering.standby), 0
        for index, model in enumerate(self.models):
            kept += model.controller.min_instances if model.source is not None else 0
            if kept > available:
                raise wrong(
                    f"the models keep {kept} instances in all, but max_count of the "
                    f"offerings{', standbys left out,' if self.standbys else ''} adds up to {available}; "
                    "lower one or raise the other",
                    "models", index, "controller", "min_instances",
                )  # fmt: skip
        return self


def _second_of_a_name(names: Sequence[str]) -> int | None:
    """Index of the first name that stands further up already."""
    return next((index for index, name in enumerate(names) if name in names[:index]), None)


def _profile(points: list[tuple[int, float]]) -> Profile:
    return Profile(tuple(ProfilePoint(rows, latency_ms) for rows, latency_ms in points))
