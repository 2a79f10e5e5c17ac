"""Models that are a Python callable."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any, cast

from mark.domain.artifact import ModelArtifact
from mark.domain.device import CPU, Device
from mark.errors import ModelLoadError
from mark.worker.runtimes import Model

__all__ = ["load_python"]


def load_python(artifact: ModelArtifact, device: Device = CPU) -> Model:
    """Import `package.module` and call its `factory`, which returns the model.

    A factory with a parameter `device` is given it by name, as "cpu" or "cuda:0"; one without can be on the processor
    alone, for nobody but the model could place it.
    """
    module_name, separator, factory_name = artifact.source.partition(":")
    if not separator or not module_name or not factory_name:
        raise ModelLoadError(f"source {artifact.source!r} must have the form package.module:factory")
    factory = getattr(importlib.import_module(module_name), factory_name)
    model = factory(device=str(device)) if _takes_device(factory) else _on_cpu(factory, artifact.source, device)
    if not callable(model):
        raise ModelLoadError(f"{artifact.source} made a {type(model).__name__}, which cannot be called")
    return cast(Model, model)


def _takes_device(factory: Callable[..., Any]) -> bool:
    try:
        return "device" in inspect.signature(factory).parameters
    except (TypeError, ValueError):  # no callable, or one of C that does not tell
        return False


def _on_cpu(factory: Callable[..., Any], source: str, device: Device) -> Any:
    if device.kind != "cpu":
        raise ModelLoadError(
            f"device {device}: {source} takes no device; give the factory a parameter named device and place the model "
            "there, or set the offering's device to cpu"
        )
    return factory()
