"""Clients that cost more than they send: others do not notice, memory stays bounded, and the connection is closed.

Which of them gRPC's C core closes is its own affair; it survives all of them.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable

import numpy as np
import pytest
from conformance.bystander import unharmed
from conformance.expected import answer_to, request_of, row
from conformance.known_differences import excused
from conformance.raw_frames import length_prefixed, raw_frame, request_headers
from conformance.raw_http2 import RawConnection
from conformance.servers import Server, until
from hyperframe.frame import (
    DataFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from mark.protocol.messages import MODEL_INFER

ROW = row(1.0, 2.0)
WATCH = "/grpc.health.v1.Health/Watch"
DATA, HEADERS, RST_STREAM, CONTINUATION = 0, 1, 3, 9
END_STREAM, END_HEADERS = 1, 4
CANCEL = 8
EXHAUSTED = 8

Flood = Callable[[RawConnection], bool]
"""Sends until the server takes no more; False then."""


def pings(connection: RawConnection) -> bool:
    return _many(connection, PingFrame(opaque_data=b"12345678").serialize() * 1000, 50)


def settings(connection: RawConnection) -> bool:
    return _many(connection, SettingsFrame(0, settings={4: 65_535}).serialize() * 1000, 30)


def empty_data(connection: RawConnection) -> bool:
    stream = connection.open(request_headers(MODEL_INFER))
    return _many(connection, DataFrame(stream).serialize() * 1000, 50)


def resets(connection: RawConnection) -> bool:
    return _calls_reset(connection, b"")


def resets_of_whole_calls(connection: RawConnection) -> bool:
    return _calls_reset(connection, length_prefixed(request_of(ROW)))


def _calls_reset(connection: RawConnection, body: bytes) -> bool:
    """As fast as bytes go: a client whose calls of a second all time out does nothing that is wrong."""
    connection.call(MODEL_INFER, request_of(ROW))
    block = connection.block(request_headers(MODEL_INFER))  # from now on it is the same each time
    cancelled = struct.pack(">I", CANCEL)
    for _ in range(80):
        piece = bytearray()
        for _ in range(100):
            stream = connection.new_stream()
            piece += raw_frame(HEADERS, END_HEADERS, stream, block)
            if body:
                piece += raw_frame(DATA, END_STREAM, stream, body)
            piece += raw_frame(RST_STREAM, 0, stream, cancelled)
        if not connection.sends(bytes(piece)):
            return False
    return True


def empty_continuations(connection: RawConnection) -> bool:
    stream = connection.new_stream()
    connection.sends(raw_frame(HEADERS, 0, stream, b""))
    return _many(connection, raw_frame(CONTINUATION, 0, stream, b"") * 1000, 50)


def long_continuations(connection: RawConnection) -> bool:
    """64 MiB of headers that never end."""
    stream = connection.new_stream()
    connection.sends(raw_frame(HEADERS, 0, stream, b""))
    literal = connection.block([("x-long", "v" * 16_000)], huffman=False)
    return _many(connection, raw_frame(CONTINUATION, 0, stream, literal), 4096)


def hpack_bombs(connection: RawConnection) -> bool:
    """Headers of 16 KB that stand for 60 MB: one entry of the table, named again and again."""
    stream = connection.new_stream()
    first = HeadersFrame(stream, connection.encoder.encode([*request_headers(MODEL_INFER), ("x-bomb", "v" * 3900)]))
    first.flags.add("END_HEADERS")
    if not connection.sends(first):
        return False
    one = bytes(connection.encoder.encode([("x-bomb", "v" * 3900)]))
    for _ in range(10):
        stream = connection.new_stream()
        bomb = bytes(connection.encoder.encode(request_headers(MODEL_INFER))) + one * 15_000
        if not connection.sends(HeadersFrame(stream, bomb, flags=["END_HEADERS"])):
            return False
    return True


def windows(connection: RawConnection) -> bool:
    return _many(connection, WindowUpdateFrame(0, window_increment=1).serialize() * 1000, 50)


def priorities(connection: RawConnection) -> bool:
    def piece(begin: int) -> bytes:
        frames = (PriorityFrame(stream, depends_on=stream + 2) for stream in range(begin, begin + 2000, 2))
        return b"".join(frame.serialize() for frame in frames)

    return all(connection.sends(piece(1 + 2000 * number)) for number in range(20))


def _many(connection: RawConnection, piece: bytes, times: int) -> bool:
    return all(connection.sends(piece) for _ in range(times))


FLOODS: dict[str, Flood] = {
    "pings": pings,
    "settings": settings,
    "empty data": empty_data,
    "resets": resets,
    "resets of whole calls": resets_of_whole_calls,
    "empty continuations": empty_continuations,
    "long continuations": long_continuations,
    "bombs of headers": hpack_bombs,
}
# They cost nothing but being read.
HARMLESS: dict[str, Flood] = {"window updates": windows, "priorities": priorities}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_its_connection(server: Server, name: str, ingress: str) -> None:
    # gRPC's C core keeps each call until Python has seen to it, and reads on meanwhile.
    growth_bytes_max = 256 << 20 if excused(ingress, "floods") else 96 << 20
    with unharmed(server, growth_bytes_max), RawConnection(server.address) as connection:
        # A PING would be one more error where headers have not ended.
        ended = connection.until_closed if "continuations" in name else connection.closed_before_pong
        closed = not FLOODS[name](connection) or ended()

    assert closed or excused(ingress, "floods")


@pytest.mark.parametrize("name", HARMLESS)
def test_a_flood_of_advice_does_no_harm(server: Server, name: str) -> None:
    with unharmed(server), RawConnection(server.address) as connection:
        HARMLESS[name](connection)


def test_many_connections_flood_at_once(server: Server) -> None:
    with unharmed(server):
        connections = [RawConnection(server.address, timeout_s=2.0) for _ in range(20)]
        for connection in connections:
            _many(connection, PingFrame(opaque_data=b"12345678").serialize() * 1000, 3)
        for connection in connections:
            connection.socket.close()


def test_a_bomb_of_gzip_is_not_unpacked(router: Server) -> None:
    bomb = gzip.compress(bytes(1 << 29), 9)
    with unharmed(router, 200 << 20), RawConnection(router.address, timeout_s=20) as connection:
        stream = connection.open(request_headers(MODEL_INFER, [("grpc-encoding", "gzip")]))
        connection.send_body(stream, length_prefixed(bomb, compressed=True))

        assert connection.answer(stream).status == EXHAUSTED


def test_readers_that_read_nothing(server: Server) -> None:
    """What they were to be sent is bounded by what they sent, and freed with their connections."""
    rows = np.ones((1, 100_000), dtype=np.float32)
    shut = {SettingsFrame.INITIAL_WINDOW_SIZE: 0}
    with unharmed(server, 128 << 20):
        for _ in range(3):
            with RawConnection(server.address, shut) as connection:
                streams = [connection.begin(MODEL_INFER, request_of(rows)) for _ in range(40)]
                connection.until_pong()
                assert not any(stream in connection.ended for stream in streams)


def test_a_reader_that_lets_the_kernels_buffers_fill(server: Server) -> None:
    """The windows are wide, and nobody reads the socket."""
    rows = np.arange(250_000, dtype=np.float32).reshape(1, -1)
    wide = {SettingsFrame.INITIAL_WINDOW_SIZE: 2**31 - 1}
    with unharmed(server, 160 << 20), RawConnection(server.address, wide, timeout_s=20) as connection:
        connection.send(WindowUpdateFrame(0, window_increment=2**30))
        streams = [connection.begin(MODEL_INFER, request_of(rows)) for _ in range(30)]

        for stream in streams:
            assert connection.answer(stream).messages == [answer_to(rows)]
            connection.answers[stream].body.clear()


def test_a_storm_of_connections(server: Server) -> None:
    with unharmed(server):
        for _ in range(1500):
            with RawConnection(server.address):
                pass


def test_cancelled_calls_by_the_thousand_leave_nothing(router: Server) -> None:
    """Not so many on a connection that they could be taken for a flood."""
    with unharmed(router):
        for _ in range(20):
            with RawConnection(router.address) as connection:
                for number in range(100):
                    # A watch never ends by itself.
                    path, message = (WATCH, b"") if number % 2 else (MODEL_INFER, request_of(ROW))
                    stream = connection.begin(path, message)
                    connection.send(RstStreamFrame(stream, error_code=CANCEL))
                connection.until_pong()
        until(lambda: router.model_status().in_flight == 0)
