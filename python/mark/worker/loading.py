"""Loads a model as whatever serves it does: with its threads, on its device, and warm."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mark.domain.artifact import ModelArtifact
from mark.domain.device import CPU, Device
from mark.errors import ConfigError, ModelLoadError

if TYPE_CHECKING:
    from mark.worker.runtimes import Model

__all__ = ["load_warm"]

# Read by the math libraries when they are imported, which is why the imports below wait for it.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def load_warm(artifact: ModelArtifact, threads: int, device: Device = CPU) -> Model:
    """Load a model and run every batch size that it may be sent, so that its first client waits for nothing.

    Call it before NumPy is imported: the thread settings of the math libraries are read then.

    Raises:
        ModelLoadError: the model does not load, or fails on inputs of ones.
        ConfigError: less than one thread.
    """
    if threads < 1:
        raise ConfigError(f"threads must be 1 or more, not {threads}")
    for variable in _THREAD_VARIABLES:
        os.environ[variable] = str(threads)
    from mark.worker.example_inputs import warm_up
    from mark.worker.runtimes import first_line, load_model

    model = load_model(artifact, threads, device)
    if artifact.runtime != "python":  # which may do more than compute, and prepares itself
        try:
            warm_up(model, artifact.signature)
        except Exception as error:
            raise ModelLoadError(
                f"{artifact.source} loads, but fails on inputs of ones: {first_line(error)}"
            ) from error
    return model
