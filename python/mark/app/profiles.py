"""Profiles that the configuration lacks, measured on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mark.app.parts import make_cloud
from mark.config import Config
from mark.domain.artifact import ModelArtifact
from mark.domain.fleet import InstanceState
from mark.domain.profile import Profile
from mark.errors import ModelLoadError
from mark.ports import Cloud
from mark.worker.profiling import measure_profile

__all__ = ["measure_missing_profiles", "measure_offering"]


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
        ModelLoadError: the model does not start on an offering.
    """
    models = []
    for model in config.models:
        artifact = model.artifact()
        profiles = dict(model.profiles)
        missing = [offering.name for offering in config.offerings if offering.name not in profiles]
        if artifact is not None and missing:
            cloud = make_cloud(config, undisturbed=True)
            try:
                for name in missing:
                    profile = await measure_offering(cloud, artifact, name, on_progress)
                    profiles[name] = [(point.rows, point.latency_ms) for point in profile.points]
            finally:
                await asyncio.to_thread(cloud.close, 0.0)  # nobody waits for what they still compute
        models.append(model.model_copy(update={"profiles": profiles}))
    return config.model_copy(update={"models": models})


async def measure_offering(
    cloud: Cloud, artifact: ModelArtifact, offering: str, on_progress: Callable[[str, str, int], None] | None
) -> Profile:
    """Measure a model on a worker of its own, launched for it and given back.

    Raises:
        ModelLoadError: the model does not start.
    """
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

    def progress(rows: int) -> None:
        if on_progress is not None:
            on_progress(artifact.signature.name, offering, rows)

    profile = await measure_profile(instance.address, artifact.signature, progress)
    await asyncio.to_thread(cloud.terminate, instance.id)
    return profile
