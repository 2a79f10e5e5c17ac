"""What a ModelInfer message means: protobuf reads it, by the project's own descriptors, and plain Python checks it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from mark.protocol.messages import ModelInferRequest, ModelInferResponse

Spec = tuple[str, str, list[int]]

ROWS_MAX = 64
INPUTS: list[Spec] = [("a", "FP32", [-1, 2]), ("b", "BYTES", [-1]), ("c", "INT8", [-1, -1])]
OUTPUTS: list[Spec] = [("y", "FP32", [-1, 2]), ("z", "BYTES", [-1])]

# Field of the typed contents, and what an element is.
TYPES: dict[str, tuple[str, Any]] = {
    "BOOL": ("bool_contents", np.bool_),
    "INT8": ("int_contents", np.int8),
    "INT16": ("int_contents", np.int16),
    "INT32": ("int_contents", np.int32),
    "INT64": ("int64_contents", np.int64),
    "UINT8": ("uint_contents", np.uint8),
    "UINT16": ("uint_contents", np.uint16),
    "UINT32": ("uint_contents", np.uint32),
    "UINT64": ("uint64_contents", np.uint64),
    "FP32": ("fp32_contents", np.float32),
    "FP64": ("fp64_contents", np.float64),
    "BYTES": ("bytes_contents", None),
    "FP16": ("", np.float16),
    "BF16": ("", np.uint16),
}


@dataclass(frozen=True)
class Reading:
    """A valid message; tensors are (name, datatype, shape, raw contents)."""

    id: str
    tensors: list[tuple[str, str, list[int], bytes]]
    outputs: list[int]


class _Invalid(Exception):
    pass


def _check(holds: object) -> None:
    if not holds:
        raise _Invalid


def read_request(message: bytes) -> Reading | None:
    """The request with its inputs in the order of the signature; None when it is not valid."""
    try:
        request = ModelInferRequest.FromString(message)
        return _read_request(request)
    except (DecodeError, _Invalid):
        return None


def read_response(message: bytes) -> Reading | None:
    """The response as a client reads it; None when it is not valid."""
    try:
        response = ModelInferResponse.FromString(message)
        return Reading(response.id, _tensors(response.outputs, response.raw_output_contents), [])
    except (DecodeError, _Invalid):
        return None


def _read_request(request: Any) -> Reading:
    _check(request.model_name == "m")
    _check(request.model_version in {"", "1"})
    names = [name for name, _, _ in INPUTS]
    _check(sorted(tensor.name for tensor in request.inputs) == names)
    tensors = sorted(_tensors(request.inputs, request.raw_input_contents))
    for (_, datatype, shape, _), (_, wanted_datatype, wanted) in zip(tensors, INPUTS, strict=True):
        _check(datatype == wanted_datatype)
        _check(len(shape) == len(wanted))
        _check(all(fixed in {size, -1} for size, fixed in zip(shape, wanted, strict=True)))
        _check(1 <= shape[0] <= ROWS_MAX)
        _check(shape[0] == tensors[0][2][0])
    known = [name for name, _, _ in OUTPUTS]
    asked = [output.name for output in request.outputs] or known
    _check(set(asked) <= set(known))
    _check(len(set(asked)) == len(asked))
    return Reading(request.id, tensors, [known.index(name) for name in asked])


def _tensors(tensors: Sequence[Any], raw: Sequence[bytes]) -> list[tuple[str, str, list[int], bytes]]:
    _check(not raw or len(raw) == len(tensors))
    _check(len({tensor.name for tensor in tensors}) == len(tensors))
    read = []
    for number, tensor in enumerate(tensors):
        shape = list(tensor.shape)
        _check(tensor.datatype in TYPES)
        _check(len(shape) <= 64)
        _check(all(size >= 0 for size in shape))
        _check(math.prod(size for size in shape if size) < 2**63)
        typed = _typed(tensor, 0 if raw else math.prod(shape))
        if raw:
            _check(_count(raw[number], tensor.datatype) == math.prod(shape))
        read.append((tensor.name, tensor.datatype, shape, raw[number] if raw else typed))
    return read


def _typed(tensor: Any, count: int) -> bytes:
    name, dtype = TYPES[tensor.datatype]
    held = {field.name for field, _ in tensor.contents.ListFields()}
    _check(held <= {name})
    values = list(getattr(tensor.contents, name)) if name else []
    _check(len(values) == count)
    if dtype is None:
        return b"".join(len(value).to_bytes(4, "little") + value for value in values)
    if np.issubdtype(dtype, np.integer):
        _check(all(np.iinfo(dtype).min <= value <= np.iinfo(dtype).max for value in values))
    return np.array(values, dtype).tobytes()


def _count(raw: bytes, datatype: str) -> int:
    dtype = TYPES[datatype][1]
    if dtype is not None:
        size = np.dtype(dtype).itemsize
        return len(raw) // size if len(raw) % size == 0 else -1
    count, at = 0, 0
    while at < len(raw):
        at += 4 + int.from_bytes(raw[at : at + 4], "little")
        count += 1
    return count if at == len(raw) else -1
