"""Requests with random contents, for a model known only by its signature."""

from __future__ import annotations

import numpy as np

from mark import _core
from mark.domain.signature import ModelSignature, TensorSpec
from mark.errors import InvalidRequest
from mark.protocol.tensors import DATATYPES, raw_of

__all__ = ["random_requests"]

# Enough different contents that no cache in between makes the answers look fast.
_POOL = 64
_VARIABLE_SIZE = 8


def random_requests(signature: ModelSignature, rows: int, seed: int) -> list[bytes]:
    """A pool of ModelInferRequests of `rows` rows each; any other dimension without a size gets eight.

    Raises:
        InvalidRequest: the model takes a datatype that the protocol lacks; the message names the input.
    """
    if rows < 1:
        raise ValueError(f"rows must be at least 1, not {rows}")
    random = np.random.default_rng(seed)
    return [
        _core.write_infer_request(
            signature.name, signature.version, str(number),
            [_random_tensor(spec, rows, random) for spec in signature.inputs], [],
        )
        for number in range(_POOL)
    ]  # fmt: skip


def _random_tensor(
    spec: TensorSpec, rows: int, random: np.random.Generator
) -> tuple[str, str, tuple[int, ...], memoryview | bytes]:
    shape = (rows, *(_VARIABLE_SIZE if size == -1 else size for size in spec.shape[1:]))
    if spec.datatype == "BYTES":
        words = np.array([b"word %d" % number for number in random.integers(0, 1000, size=shape).ravel()], dtype=object)
        return spec.name, spec.datatype, shape, raw_of(words, "BYTES")
    dtype = DATATYPES.get(spec.datatype)
    if dtype is None:
        raise InvalidRequest(f"input {spec.name!r}: unknown datatype {spec.datatype!r}; known: {', '.join(DATATYPES)}")
    if dtype.kind == "f":
        array = random.standard_normal(shape).astype(dtype)
    else:
        array = random.integers(0, 2 if dtype.kind == "b" else 100, size=shape).astype(dtype)
    return spec.name, spec.datatype, shape, raw_of(array, spec.datatype)
