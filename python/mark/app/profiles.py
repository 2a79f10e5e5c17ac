"""Profiles of the configuration's models, measured on this machine."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone

from mark.app.clouds import measuring_cloud
from mark.cloud.local import LocalCloud
from mark.config import Config, ModelConfig, OfferingConfig
from mark.domain.artifact import ModelArtifact
from mark.domain.fleet import InstanceState
from mark.domain.measured_profile import MeasuredModel, MeasuredProfile, WorkerKind
from mark.domain.profile import Profile
from mark.domain.signature import signature_hash
from mark.errors import ConfigError, ModelLoadError
from mark.worker.measuring import Effort
from mark.worker.profiling import SweepProgress, measure_batches, measure_profile

__all__ = [
    "ProfileOptions",
    "log_profiling",
    "measure_missing_profiles",
    "measure_model",
    "measure_offering",
    "profiled_offerings",
]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProfileOptions:
    """What to measure, and how well.

    Attributes:
        offerings: which of the configuration's; empty for all.
        device: measured on this one instead of the offerings' own.
        threads: measured with so many instead of the offerings' own.
        effort: when to stop.
    """

    offerings: tuple[str, ...] = ()
    device: str | None = None
    threads: int | None = None
    effort: Effort = field(default_factory=Effort)


def log_profiling(model: str, offering: str, rows: int) -> None:
    """Say in the log what is measured now."""
    _log.info("profiling %s on %s: %d rows", model, offering, rows)


def profiled_offerings(config: Config, options: ProfileOptions) -> list[OfferingConfig]:
    """The offerings that are measured, as they are measured.

    Raises:
        ConfigError: one is named that does not exist.
    """
    known = {offering.name: offering for offering in config.offerings}
    unknown = [name for name in options.offerings if name not in known]
    if unknown:
        raise ConfigError(f"--offering {unknown[0]}: there is no such offering; known are {', '.join(known)}")
    changes = {"device": options.device, "threads": options.threads}
    update = {name: value for name, value in changes.items() if value is not None}
    return [known[name].model_copy(update=update) for name in dict.fromkeys(options.offerings or known)]


async def measure_model(
    config: Config,
    model: ModelConfig,
    options: ProfileOptions,
    on_progress: Callable[[WorkerKind, SweepProgress], None] | None = None,
) -> MeasuredModel:
    """Measure a model on every kind of worker that the offerings rent; those that agree in it are measured once.

    Each kind is measured on a worker process of its own, started for it and ended, one after the other.

    Raises:
        ConfigError: there is no such offering, or the model is served by workers that are not ours to start.
        ModelLoadError: the model does not start on an offering.
        RequestError: a worker did not answer a batch.
    """
    artifact = model.artifact()
    if artifact is None:
        raise ConfigError(
            f"model {model.name!r} is served by workers that others start; mark profile starts its own: give runtime "
            "and source"
        )
    kinds = {WorkerKind.of(each.as_offering()): each for each in reversed(profiled_offerings(config, options))}
    measured = []
    for kind, offering in reversed(kinds.items()):
        alone = config.model_copy(update={"offerings": [offering.model_copy(update={"boot_s": 0.0})]})
        cloud = measuring_cloud(alone)
        async with _worker(cloud, artifact, offering.name) as address:

            def tell(progress: SweepProgress, kind: WorkerKind = kind) -> None:
                if on_progress is not None:
                    on_progress(kind, progress)

            batches = await measure_batches(address, artifact.signature, options.effort, tell)
        measured.append(MeasuredProfile(kind, batches))
    return MeasuredModel(
        name=model.name,
        version=model.version,
        signature_hash=signature_hash(artifact.signature),
        measured_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        profiles=tuple(measured),
    )


async def measure_missing_profiles(
    config: Config, on_progress: Callable[[str, str, int], None] | None = None
) -> Config:
    """Measure the profile of every model on every offering that the configuration has none for.

    Each is measured on a worker of its own, launched for it and given back, one at a time: on one machine they would
    disturb each other.

    Args:
        config: what is served.
        on_progress: told model, offering and rows of each batch size before it is measured.

    Returns:
        The configuration with all profiles filled in.

    Raises:
        ConfigError: one is missing, and what it is of is not this machine's.
        ModelLoadError: the model does not start on an offering.
    """
    models = []
    for model in config.models:
        artifact = model.artifact()
        profiles = dict(model.profiles)
        if artifact is not None:
            for name in (each.name for each in config.offerings if each.name not in profiles):
                if config.provider != "local":
                    raise ConfigError(
                        f"model {model.name!r} has no profile on offering {name!r}, and only workers of this machine "
                        f"are measured at start: run `mark profile FILE --offering {name}` on an instance of its type, "
                        "and name the file that it writes under profiles"
                    )
                profiles[name] = await _quick_profile(config, artifact, name, on_progress)
        models.append(model.model_copy(update={"profiles": profiles}))
    return config.model_copy(update={"models": models})


async def _quick_profile(
    config: Config, artifact: ModelArtifact, offering: str, on_progress: Callable[[str, str, int], None] | None
) -> list[tuple[int, float]]:
    profile = await measure_offering(measuring_cloud(config), artifact, offering, on_progress)
    return [(point.rows, point.latency_ms) for point in profile.points]


async def measure_offering(
    cloud: LocalCloud, artifact: ModelArtifact, offering: str, on_progress: Callable[[str, str, int], None] | None
) -> Profile:
    """Take a quick look at a model on a worker of its own, launched for it in a cloud that is closed afterwards.

    Raises:
        ModelLoadError: the model does not start.
    """

    def tell(rows: int) -> None:
        if on_progress is not None:
            on_progress(artifact.signature.name, offering, rows)

    async with _worker(cloud, artifact, offering) as address:
        return await measure_profile(address, artifact.signature, tell)


@asynccontextmanager
async def _worker(cloud: LocalCloud, artifact: ModelArtifact, offering: str) -> AsyncIterator[str]:
    """The address of a worker of an offering, which ends afterwards, as does the cloud."""
    try:
        launched = await asyncio.to_thread(cloud.launch, offering, artifact, f"profile-{offering}")
        changes = 0
        while True:
            instance = next(known for known in cloud.list_instances() if known.id == launched.id)
            if instance.state is InstanceState.GONE:
                raise ModelLoadError(
                    f"model {artifact.signature.name} does not start on offering {offering}: {instance.detail}"
                )
            if instance.state is InstanceState.READY and instance.address is not None:
                break
            changes = await asyncio.to_thread(cloud.wait_for_change, changes, 1.0)
        yield instance.address
    finally:
        await asyncio.to_thread(cloud.close, 0.0)  # nobody waits for what it still computes
