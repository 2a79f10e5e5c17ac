"""The part of CBOR (RFC 8949) that AWS's newest protocol uses: CloudWatch speaks it and moto does not."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

__all__ = ["dumps", "loads"]

_BREAK = 0xFF
_EPOCH_TAG = 1
_WIDTHS = {24: (1, ">B"), 25: (2, ">H"), 26: (4, ">I"), 27: (8, ">Q")}
_FLOATS = {25: (2, ">e"), 26: (4, ">f"), 27: (8, ">d")}
_SIMPLE = {20: False, 21: True, 22: None, 23: None}


def dumps(value: object) -> bytes:
    """A value as bytes.

    Raises:
        TypeError: a value of a type that JSON would not hold either, nor a datetime.
    """
    for kind, written in _WRITERS:
        if isinstance(value, kind):
            return written(value)
    raise TypeError(f"{type(value).__name__} has no form in CBOR here")


def loads(data: bytes) -> Any:
    """The value that bytes hold.

    Raises:
        ValueError: the bytes are cut short, or hold what AWS's protocol does not use.
    """
    try:
        value, end = _load(data, 0)
    except (IndexError, struct.error) as error:
        raise ValueError(f"CBOR of {len(data)} bytes is cut short") from error
    if end != len(data):
        raise ValueError(f"{len(data) - end} bytes follow the CBOR")
    return value


def _head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes([major << 5 | argument])
    for code, (width, layout) in _WIDTHS.items():
        if argument < 1 << 8 * width:
            return bytes([major << 5 | code]) + struct.pack(layout, argument)
    raise ValueError(f"{argument} is too large for CBOR")


def _load(data: bytes, at: int) -> tuple[Any, int]:
    major, code = data[at] >> 5, data[at] & 31
    if major == 7:
        if code in _FLOATS:
            width, layout = _FLOATS[code]
            return struct.unpack_from(layout, data, at + 1)[0], at + 1 + width
        return _SIMPLE[code], at + 1
    size, at = _argument(data, code, at + 1)
    if major in {0, 1}:
        return (size if major == 0 else -1 - (size or 0)), at
    if major in {2, 3}:
        return _string(data, at, size or 0, text=major == 3)
    if major == 6:
        value, at = _load(data, at)
        return (datetime.fromtimestamp(value, timezone.utc) if size == _EPOCH_TAG else value), at
    items, at = _items(data, at, None if size is None else size * (major - 3))
    return (items if major == 4 else dict(zip(items[::2], items[1::2], strict=True))), at


def _string(data: bytes, at: int, size: int, text: bool) -> tuple[str | bytes, int]:
    if at + size > len(data):
        raise IndexError
    found = data[at : at + size]
    return (found.decode() if text else found), at + size


def _argument(data: bytes, code: int, at: int) -> tuple[int | None, int]:
    if code < 24:
        return code, at
    if code == 31:
        return None, at
    width, layout = _WIDTHS[code]
    return struct.unpack_from(layout, data, at)[0], at + width


def _items(data: bytes, at: int, count: int | None) -> tuple[list[Any], int]:
    items: list[Any] = []
    while count is None or len(items) < count:
        if count is None and data[at] == _BREAK:
            return items, at + 1
        item, at = _load(data, at)
        items.append(item)
    return items, at


def _simple(value: bool | None) -> bytes:
    return {None: b"\xf6", False: b"\xf4", True: b"\xf5"}[value]


def _text(value: str) -> bytes:
    encoded = value.encode()
    return _head(3, len(encoded)) + encoded


def _map(value: Mapping[str, object]) -> bytes:
    return _head(5, len(value)) + b"".join(dumps(key) + dumps(item) for key, item in value.items())


_WRITERS: tuple[tuple[Any, Callable[[Any], bytes]], ...] = (
    ((bool, type(None)), _simple),
    (int, lambda value: _head(0, value) if value >= 0 else _head(1, -1 - value)),
    (float, lambda value: struct.pack(">Bd", 0xFB, value)),
    (datetime, lambda value: _head(6, _EPOCH_TAG) + dumps(value.timestamp())),
    (bytes, lambda value: _head(2, len(value)) + value),
    (str, _text),
    (Mapping, _map),
    (Sequence, lambda value: _head(4, len(value)) + b"".join(map(dumps, value))),
)
