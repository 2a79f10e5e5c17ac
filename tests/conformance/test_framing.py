"""Framing that few clients use and HTTP/2 allows: the answer is the same."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest
from conformance.expected import answer_to, request_of, row
from conformance.known_differences import differs
from conformance.raw_frames import PREFACE, Answer, continued, data_frames, length_prefixed, raw_frame, request_headers
from conformance.raw_http2 import RawConnection
from conformance.servers import Server
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from mark.protocol.messages import MODEL_INFER

ROW = row(1.0, 2.0, 3.0, 4.0)
BODY = length_prefixed(request_of(ROW))
ANSWER = length_prefixed(answer_to(ROW))
LONG = np.arange(20_000, dtype=np.float32).reshape(1, 20_000)

WINDOW = SettingsFrame.INITIAL_WINDOW_SIZE
UNKNOWN_FRAMES = [
    raw_frame(0x16, 0, 0, b"of no kind"),
    raw_frame(0x42, 0xFF, 0, b""),
    raw_frame(0xFF, 0, 9, b"x" * 100),
]


def assert_answered(answer: Answer, body: bytes = ANSWER) -> None:
    # An answer may come before its request has ended; NO_ERROR then says that no more of it is wanted.
    assert (answer.status, answer.reset or 0, answer.went_away) == (0, 0, False), answer
    assert answer.body == body


def whole_call(connection: RawConnection) -> list[Frame | bytes]:
    """A call on the next stream in ordinary frames, not sent yet."""
    stream = connection.new_stream()
    block = connection.block(request_headers(MODEL_INFER))
    return [HeadersFrame(stream, block, flags=["END_HEADERS"]), *data_frames(stream, BODY, 16_384)]


@pytest.mark.parametrize("frame_bytes", [1, 2, 4, 5, 6, 7, 64])
def test_a_body_may_come_in_frames_of_any_size(server: Server, frame_bytes: int) -> None:
    with RawConnection(server.address) as connection:
        stream = connection.open(request_headers(MODEL_INFER))
        connection.send(*data_frames(stream, BODY, frame_bytes))

        assert_answered(connection.answer(stream))


def test_a_body_may_be_cut_anywhere(server: Server) -> None:
    with RawConnection(server.address) as connection:
        for cut in range(len(BODY) + 1):  # 0 and the end: an empty frame before and after
            stream = connection.open(request_headers(MODEL_INFER))
            connection.send(*data_frames(stream, BODY[:cut], 16_384, end_stream=False))
            connection.send(*data_frames(stream, BODY[cut:], 16_384))

            assert_answered(connection.answer(stream))


def test_the_end_may_come_in_an_empty_frame_much_later(server: Server) -> None:
    with RawConnection(server.address) as connection:
        stream = connection.open(request_headers(MODEL_INFER))
        connection.send(*data_frames(stream, BODY, 16_384, end_stream=False))
        connection.until_pong()
        connection.send(DataFrame(stream), DataFrame(stream), DataFrame(stream, flags=["END_STREAM"]))

        assert_answered(connection.answer(stream))


def test_trailers_of_a_request_are_ignored(server: Server) -> None:
    with RawConnection(server.address) as connection:
        stream = connection.open(request_headers(MODEL_INFER))
        trailers = HeadersFrame(stream, connection.block([("x-end", "v")]), flags=["END_HEADERS", "END_STREAM"])
        connection.send(*data_frames(stream, BODY, 16_384, end_stream=False), trailers)

        assert_answered(connection.answer(stream))


def test_a_client_that_goes_away_is_still_answered(server: Server) -> None:
    with RawConnection(server.address) as connection:
        streams = [connection.begin(MODEL_INFER, request_of(ROW)) for _ in range(5)]
        connection.send(GoAwayFrame(0, last_stream_id=0, error_code=0))

        for stream in streams:
            assert_answered(connection.answer(stream))


@differs("padding")
@pytest.mark.parametrize("pad", [0, 1, 100, 255])
@pytest.mark.parametrize("frame_bytes", [1, 16_000])
def test_frames_may_be_padded(server: Server, pad: int, frame_bytes: int) -> None:
    with RawConnection(server.address) as connection:
        stream = connection.new_stream()
        block = connection.block(request_headers(MODEL_INFER))
        headers = HeadersFrame(stream, block, flags=["END_HEADERS", "PADDED"], pad_length=pad)
        connection.send(headers, *data_frames(stream, BODY, frame_bytes, pad=pad))

        assert_answered(connection.answer(stream))


@differs("padding")
def test_padding_counts_in_the_windows(server: Server) -> None:
    """More padding in all than the first window holds: it is given back as contents are."""
    with RawConnection(server.address) as connection:
        connection.until_pong()
        first_window = connection.send_window
        sent = 0
        while sent < 2 * first_window:
            stream = connection.open(request_headers(MODEL_INFER))
            frames = data_frames(stream, BODY, 1, pad=255)
            size = sum(frame.flow_controlled_length for frame in frames if isinstance(frame, DataFrame))
            ends = time.monotonic() + 5
            while connection.send_window < size:
                assert time.monotonic() < ends
                connection.read_some(0.001)
            connection.send_window -= size
            sent += size
            connection.send(*frames)

            assert_answered(connection.answer(stream))


@pytest.mark.parametrize("huffman", [True, False])
def test_headers_may_be_split_anywhere(server: Server, huffman: bool) -> None:
    with RawConnection(server.address) as connection:
        connection.encoder.header_table_size = 0  # so that the block stays as long as it is
        cut, block = 0, b"unknown yet"
        while cut <= len(block):
            stream = connection.new_stream()
            block = connection.block(request_headers(MODEL_INFER, [("x-key", "value")]), huffman=huffman)
            connection.send(*continued(stream, block, [cut]), *data_frames(stream, BODY, 16_384))

            assert_answered(connection.answer(stream))
            cut += 1
        assert cut > 50


def test_headers_may_come_a_byte_a_frame(server: Server) -> None:
    """Few enough for a bound on CONTINUATION frames that a server may have."""
    with RawConnection(server.address) as connection:
        for _ in range(3):
            stream = connection.new_stream()
            block = connection.block(request_headers(MODEL_INFER))
            connection.send(*continued(stream, block, range(1, min(len(block), 7))), *data_frames(stream, BODY, 16_384))

            assert_answered(connection.answer(stream))


@pytest.mark.parametrize("padded", [pytest.param(True, marks=differs("padding")), False])
def test_headers_may_carry_a_priority(server: Server, padded: bool) -> None:
    with RawConnection(server.address) as connection:
        stream = connection.new_stream()
        block = connection.block(request_headers(MODEL_INFER))
        flags = ["PRIORITY", "PADDED"] if padded else ["PRIORITY"]
        headers = HeadersFrame(stream, block[:10], flags=flags, pad_length=7 if padded else 0)
        headers.depends_on, headers.stream_weight, headers.exclusive = 0, 200, True
        (rest,) = continued(stream, block, [10])[1:]
        connection.send(headers, rest, *data_frames(stream, BODY, 16_384))

        assert_answered(connection.answer(stream))


@pytest.mark.parametrize("segment_bytes", [1, 3, 9, 10, 100])
def test_frames_may_be_cut_into_segments_anywhere(server: Server, segment_bytes: int) -> None:
    with RawConnection(server.address, greets=False) as connection:
        frames = whole_call(connection)
        connection.send(PREFACE, SettingsFrame(0), *frames, segment_bytes=segment_bytes)

        assert_answered(connection.answer(1))


def test_everything_may_come_in_one_segment(server: Server) -> None:
    with RawConnection(server.address, greets=False) as connection:
        calls = [frame for _ in range(50) for frame in whole_call(connection)]
        connection.send(PREFACE, SettingsFrame(0), *calls)

        for stream in range(1, 100, 2):
            assert_answered(connection.answer(stream))


def test_frames_of_streams_may_be_mixed(server: Server) -> None:
    chance = random.Random(8)
    with RawConnection(server.address) as connection:
        streams = [connection.open(request_headers(MODEL_INFER)) for _ in range(20)]
        queues = {stream: data_frames(stream, BODY, 3) for stream in streams}
        while queues:
            stream = chance.choice(list(queues))
            connection.send(queues[stream].pop(0))
            if not queues[stream]:
                del queues[stream]

        for stream in streams:
            assert_answered(connection.answer(stream))


def test_what_is_unknown_or_only_advice_is_ignored(server: Server) -> None:
    with RawConnection(server.address) as connection:
        advice = PriorityFrame(1, depends_on=0, stream_weight=20)
        connection.send(*UNKNOWN_FRAMES, advice, PriorityFrame(99, depends_on=1, stream_weight=1, exclusive=True))
        stream = connection.open(request_headers(MODEL_INFER))
        connection.send(
            *data_frames(stream, BODY[:9], 16_384, end_stream=False),
            *UNKNOWN_FRAMES,
            PriorityFrame(stream, depends_on=3, stream_weight=1),
            SettingsFrame(0, settings={0xF0: 7}),
            WindowUpdateFrame(0, window_increment=1),
            WindowUpdateFrame(stream, window_increment=1),
            *data_frames(stream, BODY[9:], 16_384),
        )

        assert_answered(connection.answer(stream))


@differs("unknown flags")
def test_flags_that_a_frame_does_not_have_are_ignored(server: Server) -> None:
    with RawConnection(server.address) as connection:
        stream = connection.open(request_headers(MODEL_INFER))
        connection.send(raw_frame(0x0, 0xF6, stream, BODY[:20]), *data_frames(stream, BODY[20:], 16_384))

        assert_answered(connection.answer(stream))


def test_a_window_update_or_reset_of_a_stream_that_ended_is_ignored(server: Server) -> None:
    with RawConnection(server.address) as connection:
        for _ in range(3):
            stream = connection.begin(MODEL_INFER, request_of(ROW))
            assert_answered(connection.answer(stream))
            connection.send(WindowUpdateFrame(stream, window_increment=10), RstStreamFrame(stream, error_code=8))
            connection.send(PriorityFrame(stream, depends_on=0, stream_weight=3))


def test_a_ping_is_answered_with_its_own_bytes(server: Server) -> None:
    with RawConnection(server.address) as connection:
        opaque = [bytes([number] * 8) for number in range(3)]
        connection.send(*(PingFrame(opaque_data=each) for each in opaque))
        while len(connection.pongs) < 3:
            connection.read_some(0.01)

        assert connection.pongs == opaque
        assert_answered(connection.call(MODEL_INFER, request_of(ROW)))


def test_a_ping_is_answered_while_a_message_is_under_way(server: Server) -> None:
    with RawConnection(server.address) as connection:
        stream = connection.open(request_headers(MODEL_INFER))
        connection.send(*data_frames(stream, BODY[:7], 16_384, end_stream=False))
        connection.until_pong()
        connection.send(*data_frames(stream, BODY[7:], 16_384))

        assert_answered(connection.answer(stream))


def test_settings_are_acknowledged_each_time(server: Server) -> None:
    with RawConnection(server.address) as connection:
        connection.send(SettingsFrame(0, settings={WINDOW: 1 << 20}), SettingsFrame(0))
        assert_answered(connection.call(MODEL_INFER, request_of(ROW)))
        connection.until_pong()

        assert connection.settings_acked == 3


@pytest.mark.parametrize("window", [1, 2, 7])
def test_an_answer_waits_for_a_tiny_window(server: Server, window: int) -> None:
    with RawConnection(server.address, {WINDOW: window}) as connection:
        stream = connection.begin(MODEL_INFER, request_of(ROW))

        assert_answered(connection.answer(stream))
        assert 0 < connection.data_frame_bytes_max <= window


def test_a_shut_window_is_opened_by_settings(server: Server) -> None:
    with RawConnection(server.address, {WINDOW: 0}) as connection:
        stream = connection.begin(MODEL_INFER, request_of(ROW))
        other = connection.begin(MODEL_INFER, request_of(ROW))
        connection.read_some(0.1)
        assert connection.answers.get(stream, Answer()).body == b""
        connection.send(SettingsFrame(0, settings={WINDOW: 3}))

        assert_answered(connection.answer(stream))
        assert_answered(connection.answer(other))


def test_a_shut_window_is_opened_by_an_update(server: Server) -> None:
    with RawConnection(server.address, {WINDOW: 0}, refills=False) as connection:
        stream = connection.begin(MODEL_INFER, request_of(ROW))
        connection.read_some(0.05)
        for _ in range(len(ANSWER)):
            connection.send(WindowUpdateFrame(stream, window_increment=1))

        assert_answered(connection.answer(stream))


def test_a_window_may_become_negative(server: Server) -> None:
    """Settings that shrink a window below what was sent already."""
    with RawConnection(server.address, {WINDOW: 30_000}, refills=False) as connection:
        stream = connection.begin(MODEL_INFER, request_of(LONG))
        while len(connection.answers.setdefault(stream, Answer()).body) < 30_000:
            connection.read_some(0.02)
        connection.send(SettingsFrame(0, settings={WINDOW: 10}), WindowUpdateFrame(stream, window_increment=30_000))
        while len(connection.answers[stream].body) < 30_010:
            connection.read_some(0.02)
        connection.read_some(0.05)
        assert len(connection.answers[stream].body) == 30_010
        connection.send(
            WindowUpdateFrame(stream, window_increment=1 << 20), WindowUpdateFrame(0, window_increment=1 << 20)
        )

        assert_answered(connection.answer(stream), length_prefixed(answer_to(LONG)))


def test_the_window_of_the_connection_is_kept(server: Server) -> None:
    with RawConnection(server.address, {WINDOW: 1 << 20}, refills=False) as connection:
        stream = connection.begin(MODEL_INFER, request_of(LONG))
        while len(connection.answers.setdefault(stream, Answer()).body) < 65_535:
            connection.read_some(0.02)
        connection.read_some(0.05)
        assert len(connection.answers[stream].body) == 65_535
        connection.send(WindowUpdateFrame(0, window_increment=100_000))

        assert_answered(connection.answer(stream), length_prefixed(answer_to(LONG)))


@pytest.mark.parametrize("limit", [16_384, 100_000])
def test_frames_are_no_longer_than_the_client_takes(server: Server, limit: int) -> None:
    settings = {SettingsFrame.MAX_FRAME_SIZE: limit, WINDOW: 1 << 20}
    with RawConnection(server.address, settings) as connection:
        connection.send(WindowUpdateFrame(0, window_increment=1 << 20))
        stream = connection.begin(MODEL_INFER, request_of(LONG))

        assert_answered(connection.answer(stream), length_prefixed(answer_to(LONG)))
        assert connection.data_frame_bytes_max <= limit


def test_a_message_larger_than_every_window_passes(server: Server) -> None:
    rows = np.arange(2_000_000, dtype=np.float32).reshape(8, 250_000)
    with RawConnection(server.address, timeout_s=20) as connection:
        stream = connection.begin(MODEL_INFER, request_of(rows))

        assert_answered(connection.answer(stream), length_prefixed(answer_to(rows)))


def test_a_reader_that_pauses_delays_nobody_else(server: Server) -> None:
    with RawConnection(server.address, {WINDOW: 0}) as slow, RawConnection(server.address) as quick:
        waiting = [slow.begin(MODEL_INFER, request_of(ROW)) for _ in range(20)]
        began = time.monotonic()
        for _ in range(20):
            assert_answered(quick.call(MODEL_INFER, request_of(ROW)))
        assert time.monotonic() - began < 5
        slow.send(SettingsFrame(0, settings={WINDOW: 1000}))

        for stream in waiting:
            assert_answered(slow.answer(stream))


def test_a_pinged_connection_without_calls_stays(server: Server) -> None:
    with RawConnection(server.address) as connection:
        connection.send(PingFrame(opaque_data=b"12345678"), *UNKNOWN_FRAMES)
        connection.until_pong()

        assert connection.goaway is None
        assert_answered(connection.call(MODEL_INFER, request_of(ROW)))
