"""Changes to a message that keep it well-formed, or nearly so: what a fuzzer that knows the wire format would do."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st
from unit.oip_messages import chunk, varint

_VARINT, _FIXED64, _BYTES, _GROUP, _END_GROUP, _FIXED32 = range(6)
# Field numbers of the protocol, and two that it does not know.
_NUMBERS = st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8, 15, 200])
_PADDED_VARINTS = st.sampled_from([b"\xff\xff\xff\xff\x0f", b"\x81\x80\x00", b"\xff" * 9 + b"\x01", b"\xff" * 10])


def _number_at(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (message[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if message[at - 1] < 0x80:
            return value, at


def fields_of(message: bytes) -> list[bytes] | None:
    """The message cut between its fields; None when it is not made of numbers, fixed sizes and bytes."""
    fields = []
    begin = 0
    try:
        while begin < len(message):
            tag, at = _number_at(message, begin)
            if tag & 7 == _BYTES:
                size, at = _number_at(message, at)
                end = at + size
            elif tag & 7 == _VARINT:
                _, end = _number_at(message, at)
            else:
                end = at + {_FIXED64: 8, _FIXED32: 4}[tag & 7]
            if end > len(message):
                return None
            fields.append(message[begin:end])
            begin = end
    except (IndexError, KeyError):
        return None
    return fields


@st.composite
def stray_fields(draw: st.DrawFn) -> bytes:
    """A field of any number and type; now and then what no message may hold."""
    number = draw(_NUMBERS)
    kind = draw(st.sampled_from([_VARINT, _FIXED64, _BYTES, _GROUP, _FIXED32, _END_GROUP]))
    tag = varint(number << 3 | kind)
    if kind == _VARINT:
        return tag + draw(st.one_of(st.integers(0, 300).map(varint), _PADDED_VARINTS))
    if kind == _BYTES:
        return chunk(number, draw(st.one_of(st.binary(max_size=5), st.just(b"a"), stray_fields())))
    if kind == _GROUP:
        return tag + draw(st.one_of(st.just(b""), stray_fields())) + varint(number << 3 | _END_GROUP)
    return tag + bytes({_FIXED64: 8, _FIXED32: 4, _END_GROUP: 0}[kind])


def _inside(draw: st.DrawFn, field: bytes) -> bytes:
    """A field with a change inside, or bytes with one byte changed."""
    tag, at = _number_at(field, 0)
    if tag & 7 != _BYTES:
        return field
    _, at = _number_at(field, at)
    payload = field[at:]
    if fields_of(payload) is None:
        return chunk(tag >> 3, draw(st.one_of(st.just(payload), st.binary(max_size=3).map(lambda end: payload + end))))
    return chunk(tag >> 3, draw(changed(payload)))


def _in_two(draw: st.DrawFn, field: bytes) -> bytes:
    """The field twice, each with a part of what it holds."""
    tag, at = _number_at(field, 0)
    if tag & 7 != _BYTES:
        return field + field
    _, at = _number_at(field, at)
    parts = fields_of(field[at:]) or [field[at:]]
    cut = draw(st.integers(0, len(parts)))
    return chunk(tag >> 3, b"".join(parts[:cut])) + chunk(tag >> 3, b"".join(parts[cut:]))


def _unpacked(draw: st.DrawFn, field: bytes) -> bytes:
    """Packed numbers of one byte each, one field for each."""
    tag, at = _number_at(field, 0)
    if tag & 7 != _BYTES:
        return field
    size, at = _number_at(field, at)
    if any(byte >= 0x80 for byte in field[at:]) or size > 20:
        return field
    return b"".join(varint(tag & ~7) + bytes([byte]) for byte in field[at:])


_CHANGES: list[Callable[[st.DrawFn, bytes], bytes]] = [
    _inside,
    _inside,
    _inside,
    _in_two,
    _unpacked,
    lambda draw, field: field + draw(stray_fields()),
    lambda draw, field: draw(stray_fields()) + field,
    lambda draw, field: b"",
]


@st.composite
def changed(draw: st.DrawFn, message: bytes) -> bytes:
    """The message with one change, at its top or anywhere inside."""
    fields = fields_of(message)
    if not fields:
        return message + draw(stray_fields())
    at = draw(st.integers(0, len(fields) - 1))
    fields[at] = draw(st.sampled_from(_CHANGES))(draw, fields[at])
    if draw(st.integers(0, 9)) == 0:
        fields = draw(st.permutations(fields))
    return b"".join(fields)
