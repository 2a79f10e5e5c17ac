"""The cloud that a configuration rents from, and this machine as the one that profiles are measured on."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from functools import partial

from mark.app.extra import needs_extra
from mark.cloud.local import LocalCloud
from mark.cloud.spot_market import SpotMarket
from mark.config import Config
from mark.domain.artifact import ModelArtifact, artifact_to_json
from mark.domain.offering import Offering
from mark.live.clock import SteadyClock
from mark.ports import Cloud
from mark.tracing.params import TracingParams

__all__ = ["make_cloud", "measuring_cloud", "worker_command"]


def worker_command(
    artifact: ModelArtifact, offering: Offering, address: str, tracing: TracingParams | None = None
) -> list[str]:
    """The command line of a local worker process; with `tracing` it continues the traces of its requests."""
    traces = [] if tracing is None else [
        "--trace-endpoint", tracing.endpoint,
        "--trace-share", str(tracing.sample_share),
        "--trace-service", tracing.service_name,
    ]  # fmt: skip
    on_credits = [] if math.isinf(offering.credits_s) else [
        "--baseline-share", str(offering.baseline_share), "--credits-s", str(offering.credits_s),
    ]  # fmt: skip
    return [
        sys.executable, "-m", "mark.worker",
        "--artifact", artifact_to_json(artifact),
        "--address", address,
        "--threads", str(offering.threads),
        "--cpu-share", str(offering.cpu_share),
        "--device", offering.device,
        "--exit-with-parent",
        *on_credits,
        *traces,
    ]  # fmt: skip


def make_cloud(config: Config) -> Cloud:
    """The cloud that the configuration's offerings are rented from.

    Raises:
        ConfigError: what it needs is not installed.
    """
    if config.provider == "aws":
        with needs_extra():
            from mark.app.aws_cloud import make_aws_cloud
        return make_aws_cloud(config, SteadyClock())
    return _local_cloud(config, [offering.as_offering() for offering in config.offerings])


def measuring_cloud(config: Config) -> LocalCloud:
    """Workers of this machine that nothing disturbs: no interruption, and credits without end."""
    offerings = [offering.as_offering() for offering in config.offerings]
    return _local_cloud(config, [replace(each, interruptions_per_hour=0.0, credits_s=math.inf) for each in offerings])


def _local_cloud(config: Config, offerings: list[Offering]) -> LocalCloud:
    clock = SteadyClock()
    spot = SpotMarket.drawn(offerings, config.spot.as_params(), config.spot.seed, began_ns=clock.now_ns())
    command = partial(worker_command, tracing=config.tracing.as_worker_params())
    return LocalCloud(offerings, clock=clock, command=command, spot=spot)
