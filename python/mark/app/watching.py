"""What is watched of a router's models and told to whoever looks on, made of its configuration."""

from __future__ import annotations

from collections.abc import Mapping

from mark import __version__
from mark.config import Config, ModelConfig
from mark.live.accounts import Accounts
from mark.live.clock import SteadyClock
from mark.live.peak_so_far import PeakSoFar
from mark.live.recorder import MemoryRecorder
from mark.live.sampler import Sampler
from mark.live.server import ServedModel
from mark.live.telling import Telling
from mark.live.watch import Watch

__all__ = ["make_telling"]


def make_telling(
    config: Config,
    models: Mapping[str, ServedModel],
    recorder: MemoryRecorder,
    clock: SteadyClock,
    accounts: Accounts,
) -> Telling:
    """A telling of all models, before any of them has served."""
    samplers = {
        model.name: Sampler(models[model.name], recorder, _peak(model, models[model.name])) for model in config.models
    }
    about = {
        "version": __version__,
        "cluster": config.cluster,
        "models": [
            {"name": model.name, "version": model.version, "rt_max_ms": model.slo.rt_max_ms, "sl_min": model.slo.sl_min}
            for model in config.models
        ],
    }
    return Telling(Watch(samplers, recorder, clock, accounts), recorder, about)


def _peak(model: ModelConfig, served: ServedModel) -> PeakSoFar | None:
    if served.control is None:
        return None
    return PeakSoFar(served.control.capacities, model.controller.window_s, model.controller.headroom)
