"""What runs a model: arrays by input name in, arrays by output name out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy.typing as npt

from mark.domain.artifact import ModelArtifact
from mark.domain.device import CPU, Device
from mark.errors import ModelLoadError

__all__ = ["Arrays", "Model", "first_line", "load_model"]

Arrays = Mapping[str, npt.NDArray[Any]]


class Model(Protocol):
    """A loaded model. Called with one batch at a time, from one thread."""

    def __call__(self, inputs: Arrays) -> Arrays:
        """Compute one batch.

        Args:
            inputs: an array for each input of the signature, dimension 0 the rows of the batch. Read-only.

        Returns:
            An array for each output of the signature, dimension 0 as long as the inputs'. It may be a buffer that the
            next batch overwrites.
        """
        ...


def load_model(artifact: ModelArtifact, threads: int, device: Device = CPU) -> Model:
    """Load a model with its runtime and make it compute with `threads` threads on a device.

    Raises:
        ModelLoadError: the file, the factory, the runtime or the device is missing, or the model does not load.
    """
    try:
        return _load(artifact, threads, device)
    except (ModelLoadError, KeyboardInterrupt):
        raise
    except BaseException as error:  # not only Exception: a factory may exit, and a native library may panic
        raise ModelLoadError(f"{artifact.source} does not load: {first_line(error)}") from error


def _load(artifact: ModelArtifact, threads: int, device: Device) -> Model:
    if artifact.runtime == "torchscript":
        from mark.worker.runtimes.torchscript import load_torchscript

        return load_torchscript(artifact, threads, device)
    if artifact.runtime == "onnx":
        from mark.worker.runtimes.onnx import load_onnx

        return load_onnx(artifact, threads, device)
    from mark.worker.runtimes.python import load_python

    return load_python(artifact, device)


def first_line(error: BaseException) -> str:
    """An exception in one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
