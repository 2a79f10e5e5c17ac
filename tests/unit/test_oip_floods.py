"""Messages with more of everything than a model could use: refused at the first too many, not at the last.

Each ends in garbage, which a codec that read on to the end would report instead.
"""

from __future__ import annotations

import pytest
from unit.oip_messages import chunk, fault, one_input, varint

from mark import _core
from mark._core import RequestFault, RequestFaultInfo

MANY = 1 << 21
MODEL = chunk(1, b"m")
GARBAGE = b"\xff"
SIGNATURE = one_input("INT64")


def tensor(*parts: bytes, shape: bytes = b"\1") -> bytes:
    return chunk(5, chunk(1, b"x") + chunk(2, b"INT64") + chunk(3, shape) + b"".join(parts))


@pytest.mark.parametrize(
    ("flood", "field", "words"),
    [
        (b"\x2a\x00" * MANY + GARBAGE, "inputs[0].name", "'' is no input of the model; it takes 'x'"),
        (chunk(5, chunk(1, b"x")) * MANY + GARBAGE, "inputs[1].name", "'x' is given twice"),
        (b"\x32\x00" * MANY + GARBAGE, "outputs[0].name", "'' is no output of the model; it gives 'y'"),
        (chunk(6, chunk(1, b"y")) * MANY + GARBAGE, "outputs[1].name", "'y' is asked for twice"),
        (b"\x3a\x00" * MANY + GARBAGE, "raw_input_contents", "more entries than the model has inputs"),
        (tensor(shape=b"\1" * MANY + GARBAGE), "inputs[0].shape", "more than 64 dimensions"),
        (tensor(b"\x18\x01" * MANY + GARBAGE), "inputs[0].shape", "more than 64 dimensions"),
        (tensor(chunk(5, chunk(3, b"\1" * MANY + GARBAGE))), "inputs[0].contents", "more elements than the 1 of"),
        (tensor(chunk(5, b"\x18\x01" * MANY + GARBAGE)), "inputs[0].contents", "more elements than the 1 of"),
        (tensor(chunk(5, b"\x18\x01") * 9 + chunk(5, GARBAGE)), "inputs[0].contents", "more elements than the 1 of"),
    ],
)
def test_a_request_is_refused_at_the_first_too_many(flood: bytes, field: str, words: str) -> None:
    refused = fault(MODEL + flood, SIGNATURE)

    assert (refused.fault, refused.field) == (RequestFault.INVALID, field)
    assert words in refused.message


@pytest.mark.parametrize(
    ("flood", "where"),
    [
        (b"\x78\x00" * MANY + GARBAGE, "it"),
        (b"\x7b" + b"\x78\x00" * MANY + GARBAGE, "it"),
        (b"\x22\x00" * MANY + GARBAGE, "it"),
        (tensor(b"\x22\x00" * MANY + GARBAGE), "inputs[0]"),
        (tensor(b"\x2a\x00" * MANY + GARBAGE), "inputs[0]"),
        (chunk(6, b"\x12\x00" * MANY + GARBAGE), "outputs[0]"),
    ],
)
def test_no_message_has_fields_without_end(flood: bytes, where: str) -> None:
    refused = fault(MODEL + flood, SIGNATURE)

    assert refused.fault is RequestFault.MALFORMED
    assert refused.message == f"the message is not a valid ModelInferRequest: {where} has too many fields"


def test_contents_have_as_many_fields_as_elements() -> None:
    count = 100_000
    wide = _core.ModelSignature("m", "1", [("x", "INT8", [-1, -1])], [("y", "INT8", [-1])], 1)
    message = chunk(
        5, chunk(1, b"x") + chunk(2, b"INT8") + chunk(3, b"\1" + varint(count)) + chunk(5, b"\x10\1" * count)
    )

    request = _core.parse_infer_request(MODEL + message, wide)

    assert isinstance(request, _core.InferRequest)
    assert request.raw(0) == b"\1" * count


def test_a_target_is_not_sought_behind_a_flood() -> None:
    refused = _core.scan_target(b"\x2a\x00" * MANY + GARBAGE)

    assert isinstance(refused, RequestFaultInfo)
    assert refused.message.endswith("it has too many fields")


def test_contents_that_cannot_fill_the_shape_are_not_converted() -> None:
    contents = chunk(5, chunk(3, b"\1" * MANY + GARBAGE))
    shape = b"\1\x80\x80\x80\x80\x10"  # [1, 2**32]

    refused = fault(MODEL + tensor(contents, shape=shape), one_input("INT64", [-1, -1]))

    assert refused.message == "inputs[0].contents: has fewer elements than the 4294967296 of its shape"


def test_a_flood_for_another_model_is_for_another_model() -> None:
    assert fault(chunk(1, b"n") + b"\x2a\x00" * 9, SIGNATURE).fault is RequestFault.UNKNOWN_MODEL


RESPONSE_FLOODS = [
    (b"\x2a\x00" * MANY + GARBAGE, "has more than 1024 outputs"),
    (b"\x32\x00" * MANY + GARBAGE, "has more than 1024 raw contents"),
    (b"\x78\x00" * MANY + GARBAGE, "the response has too many fields"),
    (tensor(shape=b"\1" * MANY + GARBAGE), "outputs[0].shape: has more than 64 dimensions"),
]


@pytest.mark.parametrize(
    ("flood", "words"),
    [
        *RESPONSE_FLOODS,
        (tensor(chunk(5, chunk(3, b"\1" * MANY + GARBAGE))), "outputs[0].contents: has more elements than the 1 of"),
    ],
)
def test_a_response_is_refused_at_the_first_too_many(flood: bytes, words: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        _core.parse_infer_response(MODEL + flood)
    assert words in str(refused.value)


@pytest.mark.parametrize(("flood", "words"), RESPONSE_FLOODS)
def test_a_workers_response_is_refused_at_the_first_too_many(flood: bytes, words: str) -> None:
    endpoint = _core.Endpoint(SIGNATURE, _core.DispatcherParams(10**9))
    endpoint.worker_up(1, _core.WorkerSpec(_core.LatencyProfile([1], [1000])), 0)
    assert isinstance(endpoint.submit(MODEL + tensor(chunk(5, b"\x18\x01")), 10**9, 0), int)
    (batch,), _ = endpoint.poll(0)

    ((_, message, _, detail),) = endpoint.complete(batch.batch, MODEL + flood, 1)

    assert message is None
    assert words in detail
