"""Models that are a Python callable."""

from __future__ import annotations

import importlib
from typing import cast

from mark.domain.artifact import ModelArtifact
from mark.errors import ModelLoadError
from mark.worker.runtimes import Model

__all__ = ["load_python"]


def load_python(artifact: ModelArtifact) -> Model:
    """Import `package.module` and call its `factory`, which returns the model."""
    module_name, separator, factory_name = artifact.source.partition(":")
    if not separator or not module_name or not factory_name:
        raise ModelLoadError(f"source {artifact.source!r} must have the form package.module:factory")
    factory = getattr(importlib.import_module(module_name), factory_name)
    model = factory()
    if not callable(model):
        raise ModelLoadError(f"{artifact.source} made a {type(model).__name__}, which cannot be called")
    return cast(Model, model)
