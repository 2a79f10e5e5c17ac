"""Inputs that fit a model's signature: to warm it up, and to measure it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mark._core import write_infer_request
from mark.domain.signature import ModelSignature
from mark.protocol.tensors import DATATYPES, raw_of
from mark.worker.runtimes import Model

__all__ = ["batch_sizes", "example_inputs", "example_request", "warm_up"]

_VARIABLE_SIZE = 8
_WARM_UP_RUNS = 3


def batch_sizes(signature: ModelSignature) -> list[int]:
    """The sizes that a model is sent, and nothing else; where any will do, 1, 2, 4 ... and `rows_max`."""
    if signature.sizes:
        return list(signature.sizes)
    sizes = []
    rows = 1
    while rows < signature.rows_max:
        sizes.append(rows)
        rows *= 2
    return [*sizes, signature.rows_max]


def example_inputs(signature: ModelSignature, rows: int) -> dict[str, npt.NDArray[Any]]:
    """An array of ones (or of a word, for BYTES) for each input; a dimension of any size gets eight."""
    inputs: dict[str, npt.NDArray[Any]] = {}
    for spec in signature.inputs:
        shape = (rows, *(_VARIABLE_SIZE if size == -1 else size for size in spec.shape[1:]))
        if spec.datatype == "BYTES":
            inputs[spec.name] = np.full(shape, b"word", dtype=object)
        else:
            inputs[spec.name] = np.ones(shape, dtype=DATATYPES[spec.datatype])
    return inputs


def example_request(signature: ModelSignature, rows: int) -> bytes:
    """A ModelInferRequest of `example_inputs`."""
    arrays = example_inputs(signature, rows)
    tensors = [
        (spec.name, spec.datatype, arrays[spec.name].shape, raw_of(arrays[spec.name], spec.datatype))
        for spec in signature.inputs
    ]
    return write_infer_request(signature.name, signature.version, "profile", tensors, [])


def warm_up(model: Model, signature: ModelSignature) -> None:
    """Run every batch size a few times, so that no client pays for what a runtime does on its first calls.

    TorchScript optimises in its first runs of a shape, ONNX Runtime plans its memory: either can take longer than a
    response-time promise.
    """
    for rows in batch_sizes(signature):
        inputs = example_inputs(signature, rows)
        for _ in range(_WARM_UP_RUNS):
            model(inputs)
