"""The parts that are made from a configuration: capacities, and what the core calls the same things."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mark._core import DispatcherParams, LatencyProfile, WorkerSpec, capacity_rows_per_s
from mark._core import ModelSignature as CoreSignature
from mark.config import BatchingConfig, ModelConfig
from mark.controlplane.controller_params import ControllerParams
from mark.domain.profile import Profile
from mark.domain.signature import ModelSignature
from mark.domain.slo import Slo
from mark.errors import ConfigError

__all__ = [
    "capacities",
    "controller_params",
    "core_profile",
    "core_signature",
    "dispatcher_params",
    "worker_spec",
]


def capacities(model: ModelConfig, profiles: Mapping[str, Profile]) -> dict[str, float]:
    """Rows per second that one instance of each offering serves under the model's SLO; 0 where it cannot meet it.

    Raises:
        ConfigError: no offering meets the SLO.
    """
    slo_ns = model.as_slo().rt_max_ns - round(model.batching.margin_ms * 1e6)
    found = {
        name: capacity_rows_per_s(core_profile(profile, model.batching.sizes), slo_ns, model.batching.rows_max)
        for name, profile in profiles.items()
    }
    if not any(found.values()):
        fastest = ", ".join(
            f"{name} {core_profile(profile, model.batching.sizes).predict_ns(1) / 1e6:.1f} ms"
            for name, profile in profiles.items()
        )
        raise ConfigError(
            f"model {model.name!r}: no offering answers a single row within rt_max_ms {model.slo.rt_max_ms:g} less "
            f"margin_ms {model.batching.margin_ms:g}; measured: {fastest}. Raise rt_max_ms or add a faster offering"
        )
    return found


def core_profile(profile: Profile, sizes: Sequence[int] = ()) -> LatencyProfile:
    """A profile as the core takes it; with `sizes`, of batches that are padded to the next of them."""
    return LatencyProfile(profile.rows, profile.latencies_ns).padded_to(sizes)


def core_signature(signature: ModelSignature) -> CoreSignature:
    """A signature as the core takes it."""
    return CoreSignature(
        signature.name,
        signature.version,
        [(tensor.name, tensor.datatype, tensor.shape) for tensor in signature.inputs],
        [(tensor.name, tensor.datatype, tensor.shape) for tensor in signature.outputs],
        signature.rows_max,
    )


def worker_spec(model: ModelConfig, profile: Profile) -> WorkerSpec:
    """How the dispatcher may use a worker of the model with this profile."""
    batching = model.batching
    return WorkerSpec(
        core_profile(profile, batching.sizes),
        rows_max=batching.rows_max,
        batches_in_flight_max=batching.batches_in_flight_max,
    )


def dispatcher_params(slo: Slo, batching: BatchingConfig, burst_latency_ns: int = 0) -> DispatcherParams:
    """Bounds of the request path of one model; `burst_latency_ns` is a function's, 0 where there are none."""
    return DispatcherParams(
        slo.rt_max_ns,
        rows_max=batching.rows_max,
        queue_requests_max=batching.queue_requests_max,
        queue_bytes_max=batching.queue_bytes_max,
        margin_ns=round(batching.margin_ms * 1e6),
        admission=batching.admission,
        burst_latency_ns=burst_latency_ns,
        corrects=batching.correction,
        priority_levels=batching.priority_levels,
        priority_default=batching.priority_default,
        fixed=_fixed(batching),
    )


def _fixed(batching: BatchingConfig) -> tuple[int, int] | None:
    """Rows and wait of a fixed batch, where the policy is one."""
    if batching.policy == "none":
        return 1, 0
    return (batching.rows_max, round(batching.wait_ms * 1e6)) if batching.policy == "fixed" else None


def controller_params(model: ModelConfig, standbys: frozenset[str] = frozenset()) -> ControllerParams:
    """How the fleet of one model is sized; `standbys` only bridge gaps."""
    settings = model.controller
    return ControllerParams(
        step_s=settings.step_s,
        window_s=settings.window_s,
        horizon_steps=settings.horizon_steps,
        cooldown_s=settings.cooldown_s,
        min_instances=settings.min_instances,
        standbys=standbys,
        policy=settings.policy,
        monitor=model.monitor.as_params(model.slo.sl_min, settings.step_s),
    )
