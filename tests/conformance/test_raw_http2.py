"""The raw client's odd frames are legal: another implementation, h2, understands them as they are meant."""

from __future__ import annotations

import pytest
from conformance.raw_frames import (
    PREFACE,
    Answer,
    continued,
    data_frames,
    length_prefixed,
    raw_frame,
    request_headers,
)
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded
from hpack import Encoder
from hyperframe.frame import Frame, HeadersFrame, SettingsFrame

HEADERS = request_headers("/a/b", [("x-key", "value")])
BLOCK = bytes(Encoder().encode(HEADERS))
BODY = length_prefixed(bytes(range(40)))


def understood(*parts: Frame | bytes) -> tuple[list[tuple[str, str]], bytes, int]:
    """Headers, body, and what it counts in the windows, of the one call in these frames."""
    server = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
    server.initiate_connection()
    piece = b"".join(part if isinstance(part, bytes) else part.serialize() for part in parts)
    headers: list[tuple[str, str]] = []
    body, size, ended = b"", 0, 0
    for event in server.receive_data(PREFACE + SettingsFrame(0).serialize() + piece):
        if isinstance(event, RequestReceived):
            headers = [(str(name), str(value)) for name, value in event.headers]
        elif isinstance(event, DataReceived):
            body += event.data
            size += event.flow_controlled_length
        ended += isinstance(event, StreamEnded)
    assert ended == 1
    return headers, body, size


@pytest.mark.parametrize("frame_bytes", [1, 7, 100])
@pytest.mark.parametrize("pad", [None, 0, 255])
def test_data_in_frames_of_any_size_and_padding(frame_bytes: int, pad: int | None) -> None:
    frames = data_frames(1, BODY, frame_bytes, pad=pad)

    headers, body, size = understood(*continued(1, BLOCK, []), *frames)

    assert (headers, body) == (HEADERS, BODY)
    assert size == len(BODY) + len(frames) * (0 if pad is None else pad + 1)


def test_headers_cut_anywhere() -> None:
    for cut in range(len(BLOCK) + 1):
        assert understood(*continued(1, BLOCK, [cut]), *data_frames(1, BODY, 100))[:2] == (HEADERS, BODY)
    assert understood(*continued(1, BLOCK, range(1, 7)), *data_frames(1, BODY, 100))[0] == HEADERS


def test_headers_with_priority_and_padding() -> None:
    frame = HeadersFrame(1, BLOCK, flags=["PRIORITY", "PADDED", "END_HEADERS"], pad_length=7)
    frame.depends_on, frame.stream_weight = 0, 200

    assert understood(frame, *data_frames(1, BODY, 100))[:2] == (HEADERS, BODY)


def test_unknown_frames_and_flags() -> None:
    unknown = raw_frame(0x42, 0xFF, 0, b"abc")
    odd_flags = raw_frame(0x0, 0xF6, 1, BODY[:10])

    assert understood(unknown, *continued(1, BLOCK, []), odd_flags, *data_frames(1, BODY[10:], 9))[:2] == (
        HEADERS,
        BODY,
    )


def test_an_answer_is_taken_apart() -> None:
    answer = Answer([(":status", "200")], [("grpc-status", "13"), ("grpc-message", "gro%C3%9F %25")])
    answer.body += length_prefixed(b"one") + length_prefixed(b"")

    assert (answer.status, answer.details, answer.messages) == (13, "groß %", [b"one", b""])
    assert not answer.trailers_only
    answer.body = answer.body[:-7]
    with pytest.raises(AssertionError):
        assert answer.messages
