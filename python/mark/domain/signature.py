"""What a model takes and gives."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ModelSignature", "TensorSpec"]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A named tensor of the Open Inference Protocol.

    Attributes:
        name: as the client spells it.
        datatype: an OIP datatype, such as "FP32".
        shape: dimension 0 is the batch and written -1; another -1 matches any size.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelSignature:
    """Name, version and tensors of one model; `rows_max` bounds the rows of one request."""

    name: str
    version: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    rows_max: int
