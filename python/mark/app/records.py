"""The decision log of a router: where it is written, and what its first record says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mark import __version__
from mark.config import Config, ModelConfig
from mark.live.record_file import RecordFile

__all__ = ["record_file_of", "served_on"]

_REPLAYED = {"cluster", "spot", "offerings"}
_ON_AWS_ALONE = {"types", "zones"}
_NOT_REPLAYED: Any = {"workers": True, "serverless": {"package", "image", "include"}}


def record_file_of(config: Config) -> RecordFile | None:
    """What writes records to the file that the configuration names; None when it names none."""
    settings = config.decision_log
    if settings.path is None:
        return None
    return RecordFile(Path(settings.path), settings.bytes_max, settings.files_max)


def served_on(config: Config, model: ModelConfig) -> dict[str, Any]:
    """What a decision log says of a model when it begins: all that a replay needs, and nothing else.

    `config` is a configuration in itself, with this one model and measured profiles, on processes of one machine.
    """
    # A budget is of all models together: one alone is kept to it as it was only where there is no other.
    kept = _REPLAYED | {"budget"} if len(config.models) == 1 else _REPLAYED
    replayed = config.model_dump(mode="json", include=kept, exclude={"offerings": {"__all__": _ON_AWS_ALONE}})
    for offering, dumped in zip(config.offerings, replayed["offerings"], strict=True):
        dumped["price_usd_per_hour"] = offering.as_offering().price_usd_per_hour
    return {
        "version": __version__,
        "slo": {"rt_max_ms": model.slo.rt_max_ms, "sl_min": model.slo.sl_min},
        "step_s": model.controller.step_s,
        "policy": model.controller.policy,
        "config": {**replayed, "models": [model.model_dump(mode="json", exclude=_NOT_REPLAYED)]},
    }
