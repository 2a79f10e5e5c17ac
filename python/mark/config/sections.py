"""The sections of the configuration: each option is defined once, here, with its unit in its name."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mark.domain.artifact import ModelArtifact
from mark.domain.offering import Market, Offering
from mark.domain.profile import Profile, ProfilePoint
from mark.domain.signature import ModelSignature, TensorSpec
from mark.domain.slo import Slo

__all__ = [
    "BatchingConfig",
    "Config",
    "ControllerConfig",
    "ModelConfig",
    "OfferingConfig",
    "ServerConfig",
    "SloConfig",
    "TensorConfig",
    "WorkerConfig",
]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9._-]+$")]
Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64",
    "FP16", "BF16", "FP32", "FP64", "BYTES",
]  # fmt: skip
ProfilePoints = Annotated[list[tuple[Count, Positive]], Field(min_length=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerConfig(_Section):
    """Where the router listens."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8001
    message_bytes_max: Count = 64 << 20
    drain_s: NotNegative = 10.0


class SloConfig(_Section):
    """The promise of one model."""

    rt_max_ms: Positive
    sl_min: Share = 0.98


class TensorConfig(_Section):
    """A tensor of the model; dimension 0 of its shape is the batch, -1."""

    name: Annotated[str, Field(min_length=1)]
    datatype: Datatype
    shape: Annotated[list[int], Field(min_length=1)]

    @model_validator(mode="after")
    def _check_shape(self) -> TensorConfig:
        if self.shape[0] != -1:
            raise ValueError(f"shape must begin with -1, the batch dimension, not {self.shape[0]}")
        if any(size < 1 and size != -1 for size in self.shape[1:]):
            raise ValueError(f"every further dimension of shape must be positive, or -1 for any size: {self.shape}")
        return self

    def spec(self) -> TensorSpec:
        """As a domain value."""
        return TensorSpec(self.name, self.datatype, tuple(self.shape))


class BatchingConfig(_Section):
    """Bounds of the request path."""

    rows_max: Count = 32
    margin_ms: NotNegative = 2.0
    queue_requests_max: Count = 4096
    queue_bytes_max: Count = 256 << 20
    admission: bool = True
    batches_in_flight_max: Count = 1


class ControllerConfig(_Section):
    """How the fleet is sized."""

    step_s: Positive = 60.0
    window_s: Positive = 5.0
    horizon_steps: Count = 60
    headroom: Positive = 1.2
    maximum_of_steps: Count = 10
    cooldown_s: NotNegative = 300.0
    min_instances: Annotated[int, Field(ge=0)] = 1

    @model_validator(mode="after")
    def _check_window(self) -> ControllerConfig:
        windows = self.step_s / self.window_s
        if windows < 1 or abs(windows - round(windows)) > 1e-9:
            raise ValueError(f"step_s ({self.step_s}) must be a whole number of windows of window_s ({self.window_s})")
        return self


class WorkerConfig(_Section):
    """A worker that is not ours to launch: any server of the Open Inference Protocol."""

    address: Annotated[str, Field(min_length=1)]
    profile: ProfilePoints

    def as_profile(self) -> Profile:
        """As a domain value."""
        return _profile(self.profile)


class ModelConfig(_Section):
    """One model: what it is, its promise, and what is known of its speed."""

    name: Name
    version: Annotated[str, Field(min_length=1)] = "1"
    runtime: Literal["torchscript", "onnx", "python"] | None = None
    source: str | None = None
    inputs: Annotated[list[TensorConfig], Field(min_length=1)]
    outputs: Annotated[list[TensorConfig], Field(min_length=1)]
    slo: SloConfig
    batching: BatchingConfig = BatchingConfig()
    controller: ControllerConfig = ControllerConfig()
    profiles: dict[str, ProfilePoints] = Field(default_factory=dict)
    workers: list[WorkerConfig] = Field(default_factory=list)

    @model_validator(mode="after")
    def _check_source(self) -> ModelConfig:
        if (self.runtime is None) != (self.source is None):
            raise ValueError("runtime and source belong together: give both, or neither and list workers")
        if (self.source is None) == (not self.workers):
            raise ValueError("needs either runtime and source, for the offerings to serve, or workers to send to")
        return self

    def signature(self) -> ModelSignature:
        """What the model takes and gives."""
        return ModelSignature(
            name=self.name,
            version=self.version,
            inputs=tuple(tensor.spec() for tensor in self.inputs),
            outputs=tuple(tensor.spec() for tensor in self.outputs),
            rows_max=self.batching.rows_max,
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


class OfferingConfig(_Section):
    """A kind of worker process that this machine rents out."""

    name: Name
    market: Literal["on_demand", "spot", "burstable"] = "on_demand"
    price_usd_per_hour: NotNegative
    threads: Count = 1
    cpu_share: Share = 1.0
    boot_s: NotNegative = 0.0
    max_count: Count = 1

    def as_offering(self) -> Offering:
        """As a domain value."""
        return Offering(
            name=self.name,
            market=Market(self.market),
            price_usd_per_hour=self.price_usd_per_hour,
            boot_s=self.boot_s,
            max_count=self.max_count,
            threads=self.threads,
            cpu_share=self.cpu_share,
        )


class Config(_Section):
    """The whole file."""

    cluster: Name = "mark"
    server: ServerConfig = ServerConfig()
    offerings: list[OfferingConfig] = Field(default_factory=list)
    models: Annotated[list[ModelConfig], Field(min_length=1)]

    @model_validator(mode="after")
    def _check_names(self) -> Config:
        for kind, names in (
            ("offerings", [offering.name for offering in self.offerings]),
            ("models", [model.name for model in self.models]),
        ):
            doubles = sorted({name for name in names if names.count(name) > 1})
            if doubles:
                raise ValueError(f"{kind} must have different names; {doubles[0]!r} is given twice")
        known = [offering.name for offering in self.offerings]
        for model in self.models:
            for name in model.profiles:
                if name not in known:
                    raise ValueError(
                        f"model {model.name!r} has a profile for {name!r}, which is no offering; "
                        f"known are {', '.join(known)}"
                    )
            if model.source is not None and not known:
                raise ValueError(f"model {model.name!r} needs at least one entry under offerings to run on")
        return self


def _profile(points: list[tuple[int, float]]) -> Profile:
    return Profile(tuple(ProfilePoint(rows, latency_ms) for rows, latency_ms in points))
