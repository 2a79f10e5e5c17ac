"""Messages as no library writes them but protobuf reads them, and the other way round: the codec does the same."""

from __future__ import annotations

import pytest
from tritonclient.grpc import service_pb2
from unit.oip_messages import chunk, fault, one_input

from mark import _core
from mark._core import RequestFault, RequestFaultInfo

MODEL = chunk(1, b"m")
NO_TEXT = b"\xff\xfe"
MINUS_ONE_IN_32_BITS = b"\xff\xff\xff\xff\x0f"


def tensor(datatype: str, rows: int, *parts: bytes) -> bytes:
    return chunk(5, chunk(1, b"x") + chunk(2, datatype.encode()) + chunk(3, bytes([rows])) + b"".join(parts))


def contents(*fields: bytes) -> bytes:
    return chunk(5, b"".join(fields))


def raw_of(data: bytes, datatype: str) -> bytes:
    service_pb2.ModelInferRequest.FromString(data)  # protobuf takes it, too
    request = _core.parse_infer_request(data, one_input(datatype))
    assert isinstance(request, _core.InferRequest), request.message
    return request.raw(0)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (chunk(1, NO_TEXT), "model_name"),
        (chunk(2, NO_TEXT), "model_version"),
        (chunk(3, NO_TEXT), "id"),
        (chunk(3, NO_TEXT) + chunk(3, b"text"), "id"),
        (chunk(5, chunk(1, NO_TEXT)), "inputs[0].name"),
        (chunk(5, chunk(2, NO_TEXT)), "inputs[0].datatype"),
        (chunk(5, chunk(4, chunk(1, NO_TEXT))), "inputs[0].parameters"),
        (chunk(6, chunk(1, NO_TEXT)), "outputs[0].name"),
        (chunk(6, chunk(2, chunk(1, NO_TEXT))), "outputs[0].parameters"),
        (chunk(4, chunk(1, NO_TEXT)), "parameters"),
        (chunk(4, chunk(2, chunk(3, NO_TEXT))), "parameters"),
    ],
)
def test_what_must_be_text_is_utf_8(data: bytes, field: str) -> None:
    refused = fault(MODEL + data, one_input("INT8"))

    assert (refused.fault, refused.field) == (RequestFault.INVALID, field)


@pytest.mark.parametrize(("number", "field"), [(1, "model_name"), (2, "model_version")])
def test_a_target_is_text(number: int, field: str) -> None:
    refused = _core.scan_target(chunk(number, NO_TEXT))

    assert isinstance(refused, RequestFaultInfo)
    assert refused.message == f"{field}: is not text in UTF-8"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (chunk(1, NO_TEXT), "model_name: is not text"),
        (chunk(3, NO_TEXT), "id: is not text"),
        (chunk(4, b"\xff"), "parameters: is truncated or garbage"),
        (chunk(5, chunk(1, NO_TEXT)), r"outputs\[0\].name: is not text"),
    ],
)
def test_what_must_be_text_in_a_response_is_utf_8(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        _core.parse_infer_response(data)


@pytest.mark.parametrize("garbage", [b"\xff", b"\x0a\x05a", chunk(2, b"\xff"), chunk(2, b"\x1a\x05a")])
@pytest.mark.parametrize(
    ("outside", "field"), [((), "parameters"), ((5,), "inputs[0].parameters"), ((6,), "outputs[0].parameters")]
)
def test_garbage_in_parameters_is_refused(garbage: bytes, outside: tuple[int, ...], field: str) -> None:
    data = chunk(2 if outside == (6,) else 4, garbage)
    for number in outside:
        data = chunk(number, data)

    assert fault(MODEL + data, one_input("INT8")).field == field


def test_contents_that_come_in_parts_are_one() -> None:
    parts = contents(chunk(2, b"\1\2")), chunk(1, b"x"), contents(b"\x10\x03"), contents(chunk(2, b"\4"))

    assert raw_of(MODEL + tensor("INT8", 4, *parts), "INT8") == b"\1\2\3\4"


def test_a_value_of_32_bits_is_cut_to_them_before_it_is_compared() -> None:
    minus_one = contents(chunk(2, MINUS_ONE_IN_32_BITS + b"\xff" * 9 + b"\x01"))

    assert raw_of(MODEL + tensor("INT8", 2, minus_one), "INT8") == b"\xff\xff"
    assert raw_of(MODEL + tensor("INT16", 2, minus_one), "INT16") == b"\xff\xff" * 2
    assert raw_of(MODEL + tensor("UINT8", 1, contents(b"\x20\x85\x80\x80\x80\x10")), "UINT8") == b"\5"
    refused = fault(MODEL + tensor("UINT8", 1, contents(chunk(4, MINUS_ONE_IN_32_BITS))), one_input("UINT8"))
    assert "4294967295, which is out of range for UINT8" in refused.message


GROUP = b"\xa3\x06\xa4\x06"


@pytest.mark.parametrize(
    "stray",
    [
        GROUP,
        b"\xa3\x06\x08\x01" + GROUP + b"\x0a\x01m\xa4\x06",
        b"\x08\x01",  # field 1 as a number
        b"\x0d\0\0\0\0\x09" + b"\0" * 8,  # and with a fixed size
        b"\x13\x14",  # field 2 as a group
        b"\x1d\0\0\0\0",  # field 3
        b"\x25\0\0\0\0",
        b"\x2d\0\0\0\0",
        b"\x31" + b"\0" * 8,
        b"\x38\x01",
    ],
)
def test_what_protobuf_does_not_know_is_passed_over(stray: bytes) -> None:
    inside = tensor("FP64", 1, stray.replace(b"\x31", b"\x39"), contents(chunk(7, b"\0" * 8)))

    assert raw_of(stray + MODEL + stray + inside + stray, "FP64") == b"\0" * 8


@pytest.mark.parametrize("stray", [b"\x0d\0\0\0\0", b"\x30\x01", b"\x3d\0\0\0\0", b"\x40\x01", GROUP, b"\x78\x01"])
def test_contents_of_an_unknown_kind_are_passed_over(stray: bytes) -> None:
    assert raw_of(MODEL + tensor("INT8", 1, contents(stray, chunk(2, b"\7"), stray)), "INT8") == b"\7"


def test_no_elements_of_another_type_are_no_elements() -> None:
    empty = contents(chunk(1, b""), chunk(6, b""), chunk(7, b""))

    assert raw_of(MODEL + tensor("INT8", 1, empty, contents(chunk(2, b"\7"))), "INT8") == b"\7"
    assert raw_of(MODEL + tensor("INT8", 1, empty) + chunk(7, b"\7"), "INT8") == b"\7"
    assert raw_of(MODEL + tensor("FP16", 1, empty) + chunk(7, b"\0\7"), "FP16") == b"\0\7"


@pytest.mark.parametrize("held", [chunk(2, b"\7"), b"\x10\x07", chunk(6, b"\0" * 4), chunk(8, b""), b"\xff"])
def test_beside_raw_contents_nothing_typed_may_be(held: bytes) -> None:
    refused = fault(MODEL + tensor("INT8", 1, contents(held)) + chunk(7, b"\7"), one_input("INT8"))

    assert refused.message == "inputs[0].contents: must be empty when raw_input_contents is used"


@pytest.mark.parametrize("end", [b"\xa3\x06", b"\xa4\x06", b"\xa3\x06\xac\x06", b"\xa3\x06" * 101 + b"\xa4\x06" * 101])
def test_a_group_that_is_not_closed_is_malformed(end: bytes) -> None:
    assert fault(MODEL + end).fault is RequestFault.MALFORMED
