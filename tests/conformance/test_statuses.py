"""How calls end that get no answer: the status, its words, and what goes with them, equal on every ingress."""

from __future__ import annotations

import string
from collections.abc import Callable

import grpc
import numpy as np
import pytest
from conformance.expected import FAILS, SIGNATURE, answer_to, request_of, row, sleeping
from conformance.known_differences import differs, excused
from conformance.raw_frames import data_frames, length_prefixed, request_headers
from conformance.raw_http2 import RawConnection
from conformance.servers import MESSAGE_BYTES_MAX, Server, until
from hyperframe.frame import RstStreamFrame

from mark._core import RequestFaultInfo, parse_infer_request, write_infer_request
from mark.protocol.messages import MODEL_INFER, MODEL_METADATA, ModelMetadataRequest

ROW = row(1.0, 2.0)
OK, INVALID, DEADLINE, NOT_FOUND, EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 0, 3, 4, 5, 8, 12, 13, 14
PRINTABLE = set(string.ascii_letters + string.digits + string.punctuation + " ")


def with_input(
    name: str = "x", datatype: str = "FP32", shape: tuple[int, ...] = (1, 2), raw: bytes = bytes(8)
) -> bytes:
    return write_infer_request("doubler", "", "", [(name, datatype, shape, raw)], [])


MALFORMED = {
    "garbage": b"\xff" * 40,
    "truncated": request_of(ROW)[:-3],
    "wrong datatype": with_input(datatype="FP64", raw=bytes(16)),
    "wrong rank": with_input(shape=(2,)),
    "no rows": with_input(shape=(0, 2), raw=b""),
    "too many rows": with_input(shape=(9, 2), raw=bytes(72)),
    "length does not match": with_input(raw=bytes(7)),
    "unknown input": with_input(name="größe\x00\n"),
    "missing input": write_infer_request("doubler", "", "", [], []),
    "unknown output": request_of(ROW, outputs=["q"]),
    "name that is no text": b"\x0a\x02\xff\xfe",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_wrong_with_a_message_is_the_codecs_word(server: Server, name: str) -> None:
    fault = parse_infer_request(MALFORMED[name], SIGNATURE)
    assert isinstance(fault, RequestFaultInfo)

    with RawConnection(server.address) as connection:
        answer = connection.call(MODEL_INFER, MALFORMED[name])
        after = connection.call(MODEL_INFER, request_of(ROW))

    assert (answer.status, answer.details) == (INVALID, fault.message)
    assert fault.field in answer.details
    assert answer.trailers_only
    assert after.messages == [answer_to(ROW)]


def test_a_priority_that_there_is_not_is_refused_by_name(router: Server) -> None:
    message = write_infer_request("doubler", "", "", [("x", "FP32", ROW.shape, ROW)], [], priority=9)
    with RawConnection(router.address) as connection:
        answer = connection.call(MODEL_INFER, message)

    assert answer.status == INVALID
    assert answer.details.startswith("parameters['priority']: ")


UNKNOWN = {"model": ("tripler", ""), "version": ("doubler", "9"), "nothing": ("", "")}


@pytest.mark.parametrize("what", UNKNOWN)
def test_an_unknown_model_or_version_is_not_found(server: Server, what: str) -> None:
    name, version = UNKNOWN[what]
    message = write_infer_request(name, version, "", [("x", "FP32", ROW.shape, ROW)], [])
    words = {
        "model": "model_name: unknown model 'tripler'; served are doubler",
        "version": "model_version: model 'doubler' has no version '9'; served is '1'",
        "nothing": "model_name: unknown model ''; served are doubler",
    }

    with RawConnection(server.address) as connection:
        answer = connection.call(MODEL_INFER, message)

    assert (answer.status, answer.details, answer.trailers_only) == (NOT_FOUND, words[what], True)


@pytest.mark.parametrize("path", ["/inference.GRPCInferenceService/ModelTrain", "/no.Such/Service", "/"])
def test_an_unknown_method_is_unimplemented(server: Server, path: str) -> None:
    with RawConnection(server.address) as connection:
        answer = connection.call(path, request_of(ROW))
        after = connection.call(MODEL_INFER, request_of(ROW))

    assert (answer.status, answer.details, answer.trailers_only) == (UNIMPLEMENTED, "Method not found!", True)
    assert after.messages == [answer_to(ROW)]


def test_the_models_own_words_come_back_percent_encoded(server: Server) -> None:
    with RawConnection(server.address) as connection:
        answer = connection.call(MODEL_INFER, request_of(FAILS))

    assert answer.status == INTERNAL
    assert answer.details == "ValueError: zu groß: 100 % über dem Maß\tund länger"
    raw = answer.header("grpc-message")
    assert raw is not None
    assert set(raw) <= PRINTABLE
    assert raw == "ValueError: zu gro%C3%9F: 100 %25 %C3%BCber dem Ma%C3%9F%09und l%C3%A4nger"


def test_long_words_of_the_model_are_cut_off(server: Server) -> None:
    with RawConnection(server.address) as connection:
        answer = connection.call(MODEL_INFER, request_of(row(667.0, 0.0)))

    assert answer.status == INTERNAL
    assert len(answer.details) <= 600
    assert answer.details.startswith("ValueError: ☃☃☃")
    assert answer.details.endswith("...")


def test_every_client_reads_the_same_status(server: Server) -> None:
    with grpc.insecure_channel(server.address) as channel, pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary(MODEL_INFER)(request_of(FAILS), timeout=10)

    assert raised.value.code() is grpc.StatusCode.INTERNAL
    assert raised.value.details() == "ValueError: zu groß: 100 % über dem Maß\tund länger"


def test_methods_that_are_not_model_infer_have_statuses_too(server: Server) -> None:
    message = ModelMetadataRequest(name="tripler").SerializeToString()
    with RawConnection(server.address) as connection:
        answer = connection.call(MODEL_METADATA, message)

    assert answer.status == NOT_FOUND
    assert "unknown model 'tripler'" in answer.details


# --- too large


def test_a_message_is_refused_by_its_prefix_already(router: Server) -> None:
    """Nothing of it is waited for, and nothing is kept."""
    with RawConnection(router.address) as connection:
        for length in (MESSAGE_BYTES_MAX + 1, 2**32 - 1):
            stream = connection.open(request_headers(MODEL_INFER))
            prefix = length_prefixed(b"", length=length)
            connection.send(*data_frames(stream, prefix, 100, end_stream=False))

            answer = connection.answer(stream)
            assert answer.status == EXHAUSTED
            # mark's own clients tell it by these words from an overload.
            assert answer.details.endswith(f"eceived message larger than max ({length} vs. {MESSAGE_BYTES_MAX})")
        assert connection.call(MODEL_INFER, request_of(ROW)).messages == [answer_to(ROW)]


@pytest.fixture
def narrow(make_router: Callable[..., Server]) -> Server:
    """A router that takes 1,000 bytes, and two requests at a time."""
    return make_router("server.message_bytes_max=1000", "models.0.batching.queue_requests_max=2")


def test_too_much_at_once_is_refused_and_says_when_to_come_back(narrow: Server) -> None:
    large = np.zeros((1, 300), dtype=np.float32)
    with RawConnection(narrow.address) as connection:
        too_large = connection.call(MODEL_INFER, request_of(large))
        running = connection.begin(MODEL_INFER, request_of(sleeping(2.0)))
        until(lambda: narrow.naps == 1)
        queued = [connection.begin(MODEL_INFER, request_of(ROW)) for _ in range(2)]
        full = connection.call(MODEL_INFER, request_of(ROW))
        rest = [connection.answer(stream) for stream in (running, *queued)]

        assert too_large.status == EXHAUSTED
        assert f"larger than max ({len(request_of(large))} vs. 1000)" in too_large.details
        assert too_large.header("grpc-retry-pushback-ms") is None
        assert full.status == EXHAUSTED
        assert full.details.startswith("the queue is full; try again in ")
        pushback = full.header("grpc-retry-pushback-ms")
        assert pushback is not None
        assert int(pushback) > 0
        assert f"in {pushback} ms, or allow more time" in full.details
        assert [answer.status for answer in rest] == [OK] * 3
    assert narrow.ended("queue_full") == 1


def test_a_deadline_that_cannot_be_met_is_refused_with_no_retry(router: Server) -> None:
    with RawConnection(router.address) as connection:
        answer = connection.call(MODEL_INFER, request_of(ROW), [("grpc-timeout", "3m")])

    assert (answer.status, answer.header("grpc-retry-pushback-ms")) == (EXHAUSTED, "-1")
    assert answer.details == (
        "no worker can answer before the deadline; nothing is queued, so it will be no sooner later; allow more time"
    )


# --- messages that are cut off, or too many


@differs("message missing")
@pytest.mark.parametrize("sent", ["nothing", "headers alone", "part of the prefix", "part of the message"])
def test_a_call_without_a_whole_message_is_refused(server: Server, sent: str, ingress: str) -> None:
    body = length_prefixed(request_of(ROW))
    # Patience only with a server that is to answer.
    with RawConnection(server.address, timeout_s=0.5 if excused(ingress, "message missing") else 10.0) as connection:
        stream = connection.open(request_headers(MODEL_INFER), end_stream=sent == "headers alone")
        parts = {"nothing": b"", "part of the prefix": body[:4], "part of the message": body[:-1]}
        if sent in parts:
            connection.send(*data_frames(stream, parts[sent], 16_384))
        try:
            answer = connection.answer(stream)
        finally:
            connection.send(RstStreamFrame(stream, error_code=8))

    assert answer.status in {INVALID, UNIMPLEMENTED, INTERNAL}


def test_a_message_is_as_long_as_its_prefix_says(server: Server) -> None:
    message = request_of(ROW)
    with RawConnection(server.address) as connection:
        for length in (0, 1, len(message) - 1):
            stream = connection.open(request_headers(MODEL_INFER))
            connection.send(*data_frames(stream, length_prefixed(message, length=length), 16_384))

            assert connection.answer(stream).status in {INVALID, NOT_FOUND, UNIMPLEMENTED, INTERNAL}
        assert connection.call(MODEL_INFER, message).messages == [answer_to(ROW)]


def test_more_than_one_message_is_answered_once_or_refused(server: Server) -> None:
    body = length_prefixed(request_of(ROW))
    with RawConnection(server.address) as connection:
        for surplus in (body, b"abc"):
            stream = connection.open(request_headers(MODEL_INFER))
            connection.send(*data_frames(stream, body + surplus, 16_384))
            answer = connection.answer(stream)

            assert answer.status in {INVALID, UNIMPLEMENTED, INTERNAL} or answer.messages == [answer_to(ROW)]
        assert connection.call(MODEL_INFER, request_of(ROW)).messages == [answer_to(ROW)]
