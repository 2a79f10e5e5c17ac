"""What is watched of a router's models, made of its configuration."""

from __future__ import annotations

from collections.abc import Mapping

from mark.config import Config, ModelConfig
from mark.live.accounts import Accounts
from mark.live.clock import SteadyClock
from mark.live.peak_so_far import PeakSoFar
from mark.live.recorder import MemoryRecorder
from mark.live.sampler import Sampler
from mark.live.server import ServedModel
from mark.live.watch import Watch

__all__ = ["make_watch"]


def make_watch(
    config: Config,
    models: Mapping[str, ServedModel],
    recorder: MemoryRecorder,
    clock: SteadyClock,
    accounts: Accounts,
) -> Watch:
    """A watch of all models, before any of them has served."""
    samplers = {
        model.name: Sampler(models[model.name], recorder, _peak(model, models[model.name])) for model in config.models
    }
    return Watch(samplers, recorder, clock, accounts)


def _peak(model: ModelConfig, served: ServedModel) -> PeakSoFar | None:
    if served.control is None:
        return None
    return PeakSoFar(served.control.capacities, model.controller.window_s, model.controller.headroom)
