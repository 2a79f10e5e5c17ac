"""Input that no client means: the process lives, others are answered rightly meanwhile, and nothing of it is kept."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
from collections.abc import Iterator

import pytest
from conformance.bystander import unharmed
from conformance.expected import answer_to, request_of, row
from conformance.known_differences import differs, excused
from conformance.raw_frames import PREFACE, data_frames, length_prefixed, raw_frame, request_headers
from conformance.raw_http2 import RawConnection, connect
from conformance.servers import Server
from hpack import Encoder
from hyperframe.frame import DataFrame, HeadersFrame, PingFrame, SettingsFrame

from mark.protocol.messages import MODEL_INFER

ROW = row(1.0, 2.0)
BODY = length_prefixed(request_of(ROW))
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS = 1, 4


def valid_call() -> bytes:
    """All the bytes that a client of one call sends."""
    block = Encoder().encode(request_headers(MODEL_INFER))
    frames = [SettingsFrame(0), HeadersFrame(1, block, flags=["END_HEADERS"]), *data_frames(1, BODY, 50)]
    return PREFACE + b"".join(frame.serialize() for frame in frames)


def send_and_leave(server: Server, piece: bytes, way: int) -> None:
    """On a connection of its own, which is left in one of three ways.

    It is torn down, or closed, at once, whether the server has read it or not; or shut, and closed when the server has.
    """
    opened = connect(server.address, 5.0)
    with contextlib.suppress(ConnectionError):
        opened.sendall(piece)
        if way % 3 == 0:
            opened.shutdown(socket.SHUT_WR)
            while opened.recv(1 << 16):
                pass
        elif way % 3 == 1:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    opened.close()


def closes(server: Server, piece: bytes) -> bool:
    """Whether the server closes a connection on which it was sent these bytes."""
    with RawConnection(server.address, greets=False, timeout_s=5.0) as connection:
        return not connection.sends(piece) or connection.closed_before_pong()


# --- by the thousand


def test_random_bytes(server: Server) -> None:
    chance = random.Random(1)
    with unharmed(server):
        for number in range(1000):
            noise = chance.randbytes(chance.randrange(1, 400))
            send_and_leave(server, PREFACE + noise if number % 2 else noise, number)


def random_frames(chance: random.Random) -> bytes:
    frames = []
    for _ in range(chance.randrange(1, 30)):
        body = chance.randbytes(chance.choice((0, 1, 4, 5, 6, 8, 20, 100)))
        stream = chance.choice((0, 1, 1, 2, 3, 5, 2**31 - 1))
        frames.append(raw_frame(chance.randrange(12), chance.choice((0, 1, 4, 5, 8, 0x20, 255)), stream, body))
    return b"".join(frames)


def test_random_frames(server: Server) -> None:
    chance = random.Random(2)
    with unharmed(server):
        for number in range(1000):
            begin = valid_call() if number % 2 else PREFACE + SettingsFrame(0).serialize()
            send_and_leave(server, begin + random_frames(chance), number)


def mutated(piece: bytes, chance: random.Random) -> bytes:
    changed = bytearray(piece)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(PREFACE), len(changed))
        kind = chance.randrange(4)
        if kind == 0:
            changed[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            changed[at] = chance.choice((0, 1, 127, 128, 255))
        elif kind == 2:
            del changed[at : at + chance.randrange(1, 9)]
        else:
            changed[at:at] = changed[at : at + chance.randrange(1, 30)]
    return bytes(changed)


def test_calls_with_some_bytes_changed(server: Server) -> None:
    chance = random.Random(3)
    call = valid_call()
    with unharmed(server):
        for number in range(2000):
            send_and_leave(server, mutated(call, chance), number)


@pytest.mark.parametrize("way", range(3))
def test_connections_that_end_at_each_byte(server: Server, way: int) -> None:
    call = valid_call()
    with unharmed(server):
        for end in range(len(call) + 1):
            send_and_leave(server, call[:end], way)


def test_messages_with_some_bytes_changed(server: Server) -> None:
    """Well framed, so that they reach the codec: whatever it says, each is answered."""
    chance = random.Random(4)
    message = request_of(row(*range(10)), "some id", ["y"])
    with unharmed(server), RawConnection(server.address) as connection:
        for _ in range(1000):
            changed = mutated(bytes(len(PREFACE)) + message, chance)[len(PREFACE) :]
            answer = connection.call(MODEL_INFER, changed)

            assert answer.status in {0, 3, 5, 13}
            assert answer.status == 0 or answer.details


# --- what ends a connection

BAD_BEGINNINGS = {
    "HTTP/1.1": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    "TLS": bytes.fromhex("16030100c8010000c403030000000000000000000000000000"),
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n" + bytes(20),
    "almost a preface": PREFACE[:-1] + b"\x00",
    "zeros": bytes(64),
    "frames without a preface": SettingsFrame(0).serialize() * 3,
    "no settings after the preface": PREFACE + PingFrame(opaque_data=bytes(8)).serialize() * 3,
}


@pytest.mark.parametrize("name", BAD_BEGINNINGS)
def test_a_bad_beginning_is_hung_up_on(server: Server, name: str, ingress: str) -> None:
    with unharmed(server):
        closed = closes(server, BAD_BEGINNINGS[name])

    assert closed or (name == "no settings after the preface" and excused(ingress, "connection error"))


def settings(*pairs: tuple[int, int]) -> bytes:
    return raw_frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


HEADER_BLOCK = bytes(Encoder().encode(request_headers(MODEL_INFER)))
ERRORS = {
    "CONTINUATION after nothing": raw_frame(CONTINUATION, END_HEADERS, 1, b""),
    "another frame within headers": raw_frame(HEADERS, 0, 1, HEADER_BLOCK) + raw_frame(PING, 0, 0, bytes(8)),
    "CONTINUATION of another stream": raw_frame(HEADERS, 0, 1, HEADER_BLOCK[:9])
    + raw_frame(CONTINUATION, END_HEADERS, 3, HEADER_BLOCK[9:]),
    "no HPACK": raw_frame(HEADERS, END_HEADERS, 1, b"\xff" * 12),
    "SETTINGS of a stream": raw_frame(SETTINGS, 0, 1, b""),
    "SETTINGS of 3 bytes": raw_frame(SETTINGS, 0, 0, bytes(3)),
    "acknowledgement with settings": raw_frame(SETTINGS, 1, 0, bytes(6)),
    "push of 2": settings((2, 2)),
    "window of 2^31": settings((4, 2**31)),
    "frames of 1 byte": settings((5, 1)),
    "PING of 3 bytes": raw_frame(PING, 0, 0, bytes(3)),
    "RST_STREAM of 2 bytes": raw_frame(RST, 0, 1, bytes(2)),
    "WINDOW_UPDATE of 1 byte": raw_frame(WINDOW_UPDATE, 0, 0, bytes(1)),
    "WINDOW_UPDATE by 0": raw_frame(WINDOW_UPDATE, 0, 0, bytes(4)),
    "GOAWAY of nothing": raw_frame(GOAWAY, 0, 0, b""),
    "a frame of 16 MiB": raw_frame(DATA, 0, 1, bytes(20_000), length=2**24 - 1),
}
OVERLOOKED = {
    "HEADERS on stream 0": raw_frame(HEADERS, END_HEADERS, 0, HEADER_BLOCK),
    "DATA on stream 0": raw_frame(DATA, 0, 0, b"abc"),
    "DATA of a stream that nobody opened": raw_frame(DATA, 0, 7, b"abc"),
    "RST_STREAM on stream 0": raw_frame(RST, 0, 0, bytes(4)),
    "RST_STREAM of a stream that nobody opened": raw_frame(RST, 0, 7, bytes(4)),
    "WINDOW_UPDATE of a stream that nobody opened": raw_frame(WINDOW_UPDATE, 0, 7, b"\0\0\0\1"),
    "WINDOW_UPDATE beyond 2^31": 2 * raw_frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"),
    "PUSH_PROMISE by a client": raw_frame(PUSH, END_HEADERS, 1, b"\0\0\0\2" + HEADER_BLOCK),
    "PING of a stream": raw_frame(PING, 0, 1, bytes(8)),
    "PRIORITY on stream 0": raw_frame(PRIORITY, 0, 0, bytes(5)),
    "an even stream": raw_frame(HEADERS, END_HEADERS, 2, HEADER_BLOCK),
}


@pytest.mark.parametrize("name", [*ERRORS, *(pytest.param(n, marks=differs("connection error")) for n in OVERLOOKED)])
def test_an_error_of_the_connection_ends_it(server: Server, name: str) -> None:
    begin = PREFACE + SettingsFrame(0).serialize()
    with unharmed(server):
        closed = closes(server, begin + (ERRORS | OVERLOOKED)[name])

    assert closed


@differs("goaway on error")
@pytest.mark.parametrize("name", ["PING of 3 bytes", "SETTINGS of 3 bytes", "CONTINUATION after nothing"])
def test_the_end_of_a_connection_is_explained(server: Server, name: str) -> None:
    with RawConnection(server.address) as connection:
        connection.until_pong()
        connection.sends(ERRORS[name])
        assert connection.until_closed()

        assert connection.goaway is not None
        assert connection.goaway.error_code != 0


def test_other_streams_of_a_connection_in_error_are_not_answered_wrongly(server: Server) -> None:
    with unharmed(server), RawConnection(server.address) as connection:
        streams = [connection.begin(MODEL_INFER, request_of(row(float(n)), str(n))) for n in range(20)]
        connection.sends(ERRORS["SETTINGS of 3 bytes"])
        for number, stream in enumerate(streams):
            answer = connection.answer(stream)
            assert answer.status != 0 or answer.messages == [answer_to(row(float(number)), str(number))]


# --- half of something


@contextlib.contextmanager
def held(connections: list[RawConnection]) -> Iterator[None]:
    try:
        yield
    finally:
        for connection in connections:
            connection.socket.close()


def test_writers_that_never_get_done(server: Server) -> None:
    """A hundred connections, each with a byte more than the one before, that stay."""
    call = valid_call()
    with unharmed(server):
        slow = [RawConnection(server.address, greets=False) for _ in range(100)]
        with held(slow):
            for begin in range(0, 60, 4):
                for number, connection in enumerate(slow):
                    at = len(PREFACE) + number + begin
                    connection.sends(call[:at] if begin == 0 else call[at - 4 : at])


def test_promises_of_large_messages_cost_nothing(server: Server) -> None:
    with unharmed(server, 48 << 20), RawConnection(server.address) as connection:
        for _ in range(90):
            stream = connection.open(request_headers(MODEL_INFER))
            connection.send(DataFrame(stream, length_prefixed(b"only this", length=64 << 20)))
        connection.until_pong()


def test_a_client_that_shuts_its_writing_side(server: Server) -> None:
    with unharmed(server):
        for end in (len(PREFACE), len(valid_call()) - 20, len(valid_call())):
            with RawConnection(server.address, greets=False) as connection:
                connection.send(valid_call()[:end])
                connection.socket.shutdown(socket.SHUT_WR)
                assert connection.until_closed()


def test_connections_that_say_nothing(server: Server) -> None:
    with unharmed(server), held([RawConnection(server.address, greets=number % 2 == 0) for number in range(300)]):
        pass
