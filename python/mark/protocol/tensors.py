"""NumPy arrays and the raw tensors of the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["DATATYPES", "array_of", "datatype_of", "raw_of"]

Array = npt.NDArray[Any]

# BF16 has no NumPy type: its bits travel as uint16, and a model that wants it reinterprets them.
DATATYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("bool"),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
_NAMES = {dtype: name for name, dtype in DATATYPES.items() if name != "BF16"}


def datatype_of(array: Array) -> str:
    """The protocol's name of an array's type; strings and objects are BYTES.

    Raises:
        ValueError: the protocol has no such type (complex numbers, dates, records).
    """
    if array.dtype.kind in "OSU":
        return "BYTES"
    name = _NAMES.get(array.dtype.newbyteorder("<"))
    if name is None:
        raise ValueError(
            f"an array of {array.dtype} has no datatype in the protocol; "
            f"convert it to one of {', '.join(DATATYPES)} or BYTES"
        )
    return name


def raw_of(array: Array, datatype: str) -> memoryview | bytes:
    """An array as the protocol's raw contents: little-endian, row-major; BYTES elements each behind a 4-byte length.

    Copies only what is not laid out so already.

    Raises:
        ValueError: the array does not hold what `datatype` says.
    """
    if datatype == "BYTES":
        return _bytes_raw(array)
    wanted = DATATYPES.get(datatype)
    if wanted is None:
        raise ValueError(f"unknown datatype {datatype!r}")
    if array.dtype.newbyteorder("<") != wanted:
        raise ValueError(f"holds {array.dtype}, which is not {datatype}")
    return np.ascontiguousarray(array, dtype=wanted).reshape(-1).view(np.uint8).data


def array_of(raw: bytes | memoryview, datatype: str, shape: Sequence[int]) -> Array:
    """Raw contents as an array: a read-only view, except for BYTES, which become an array of `bytes` objects.

    Raises:
        ValueError: the contents do not fit datatype and shape.
    """
    if datatype == "BYTES":
        return _bytes_array(raw, shape)
    dtype = DATATYPES.get(datatype)
    if dtype is None:
        raise ValueError(f"unknown datatype {datatype!r}")
    expected = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if len(raw) != expected:
        raise ValueError(f"{datatype} of shape {list(shape)} takes {expected} bytes, not {len(raw)}")
    return np.frombuffer(raw, dtype=dtype).reshape(shape)


def _bytes_raw(array: Array) -> bytes:
    parts = []
    for element in array.reshape(-1).tolist():
        if isinstance(element, str):
            data = element.encode()
        elif isinstance(element, bytes):
            data = element
        else:
            raise ValueError(f"BYTES holds text or bytes, not {type(element).__name__}")
        parts += [len(data).to_bytes(4, "little"), data]
    return b"".join(parts)


def _bytes_array(raw: bytes | memoryview, shape: Sequence[int]) -> Array:
    view, elements, offset = memoryview(raw), [], 0
    while offset < len(view):
        end = offset + 4 + int.from_bytes(view[offset : offset + 4], "little")
        if offset + 4 > len(view) or end > len(view):
            raise ValueError(f"a BYTES element at byte {offset} reaches past the end of the contents")
        elements.append(bytes(view[offset + 4 : end]))
        offset = end
    count = int(np.prod(shape, dtype=np.int64))
    if len(elements) != count:
        raise ValueError(f"BYTES of shape {list(shape)} has {count} elements, not {len(elements)}")
    array = np.empty(count, dtype=object)
    array[:] = elements
    return array.reshape(shape)
