"""What a model takes and gives."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

__all__ = ["ModelSignature", "TensorSpec", "signature_hash"]


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
    """Name, version and tensors of one model.

    Attributes:
        name: as the client spells it.
        version: likewise.
        inputs: what it takes.
        outputs: what it gives.
        rows_max: rows of one request, at most.
        sizes: the numbers of rows that it is sent, increasing; empty where any will do.
    """

    name: str
    version: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    rows_max: int
    sizes: tuple[int, ...] = ()


def signature_hash(signature: ModelSignature) -> str:
    """What tells models of one name and version apart by their tensors: 16 hexadecimal digits.

    `rows_max` and `sizes` are not part of it: a model that may be sent other batches is the same model.
    """
    tensors = [
        [(tensor.name, tensor.datatype, tensor.shape) for tensor in side]
        for side in (signature.inputs, signature.outputs)
    ]
    return hashlib.sha256(json.dumps(tensors).encode()).hexdigest()[:16]
