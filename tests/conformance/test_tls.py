"""A worker behind mutual TLS: the same answers to those it trusts, and nothing to anybody else."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from conformance.clients import NO_LIMITS
from conformance.expected import answer_to, request_of, row
from conformance.raw_frames import PREFACE, data_frames, length_prefixed, request_headers
from conformance.raw_http2 import RawConnection, connect
from conformance.servers import Server, serve_worker, until
from hyperframe.frame import HeadersFrame, SettingsFrame
from integration.tls_files import authority, router_identity, worker_folder

from mark.domain.tls import TlsIdentity
from mark.protocol.messages import MODEL_INFER
from mark.protocol.tls import channel_credentials, channel_options

ROW = row(1.0, 2.0)
OURS, OTHERS = authority(), authority()
IDENTITY = router_identity(OURS)

Wrap = Callable[[socket.socket], socket.socket]


@pytest.fixture(scope="module")
def tls_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return worker_folder(tmp_path_factory.mktemp("tls"), OURS)


@pytest.fixture(scope="module")
def secured(ingress: str, tls_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = serve_worker(ingress, tmp_path_factory.mktemp("secured"), tls_folder=tls_folder)
    yield server
    assert server.stop() == 0


def context_of(identity: TlsIdentity, folder: Path, *, shows: bool = True) -> ssl.SSLContext:
    """What a client of that identity connects with; it shows its certificate, or not."""
    context = ssl.create_default_context(cadata=OURS.certificate_pem.decode("ascii"))
    context.set_alpn_protocols(["h2"])
    if shows:
        pair = folder / "pair.pem"
        pair.write_bytes(identity.certificate_pem + identity.key_pem)
        context.load_cert_chain(pair)
    return context


@pytest.fixture
def context(tmp_path: Path) -> ssl.SSLContext:
    return context_of(IDENTITY, tmp_path)


def wrapped(context: ssl.SSLContext) -> Wrap:
    return lambda plain: context.wrap_socket(plain, server_hostname=IDENTITY.peer_name)


def answers(server: Server, context: ssl.SSLContext) -> bool:
    """Whether a connection with this context gets as far as an answer."""
    try:
        with RawConnection(server.address, timeout_s=5.0, tls=wrapped(context)) as connection:
            return connection.call(MODEL_INFER, request_of(ROW)).messages == [answer_to(ROW)]
    except OSError:
        return False


def test_grpcios_client_gets_the_same_answer(secured: Server) -> None:
    options = [*channel_options(IDENTITY), *NO_LIMITS]
    rows = np.arange(2_000_000, dtype=np.float32).reshape(8, 250_000)
    with grpc.secure_channel(secured.address, channel_credentials(IDENTITY), options) as channel:
        call = channel.unary_unary(MODEL_INFER)

        assert call(request_of(ROW), timeout=10) == answer_to(ROW)
        assert call(request_of(rows), timeout=20) == answer_to(rows)


def test_http2_is_agreed_on(secured: Server, context: ssl.SSLContext) -> None:
    with RawConnection(secured.address, tls=wrapped(context)) as connection:
        assert isinstance(connection.socket, ssl.SSLSocket)
        assert connection.socket.selected_alpn_protocol() == "h2"
        assert connection.socket.version() == "TLSv1.3"
        assert connection.call(MODEL_INFER, request_of(ROW)).messages == [answer_to(ROW)]


def test_a_message_larger_than_every_window_passes(secured: Server, context: ssl.SSLContext) -> None:
    rows = np.arange(2_000_000, dtype=np.float32).reshape(8, 250_000)
    with RawConnection(secured.address, timeout_s=20, tls=wrapped(context)) as connection:
        assert connection.call(MODEL_INFER, request_of(rows)).messages == [answer_to(rows)]


@pytest.mark.parametrize("record_bytes", [1, 5, 1000])
def test_records_may_be_of_any_size(secured: Server, context: ssl.SSLContext, record_bytes: int) -> None:
    with RawConnection(secured.address, greets=False, tls=wrapped(context)) as connection:
        stream = connection.new_stream()
        headers = HeadersFrame(stream, connection.block(request_headers(MODEL_INFER)), flags=["END_HEADERS"])
        frames = data_frames(stream, length_prefixed(request_of(ROW)), 16_384)
        connection.send(PREFACE, SettingsFrame(0), headers, *frames, segment_bytes=record_bytes)

        assert connection.answer(stream).messages == [answer_to(ROW)]


def test_tls_1_2_will_do_and_what_is_older_will_not(secured: Server, context: ssl.SSLContext) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert answers(secured, context)

    old = context_of(IDENTITY, secured.folder)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1 is deprecated"):
        old.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    assert not answers(secured, old)


def test_who_is_not_trusted_is_not_answered(secured: Server, tmp_path: Path) -> None:
    assert not answers(secured, context_of(IDENTITY, tmp_path, shows=False))
    assert not answers(secured, context_of(router_identity(OTHERS), tmp_path))
    assert answers(secured, context_of(IDENTITY, tmp_path))


def test_who_agrees_on_another_protocol_is_not_answered(secured: Server, context: ssl.SSLContext) -> None:
    context.set_alpn_protocols(["http/1.1"])

    assert not answers(secured, context)


def test_what_is_no_tls_is_hung_up_on(secured: Server, context: ssl.SSLContext) -> None:
    chance = random.Random(5)
    with RawConnection(secured.address, tls=wrapped(context)) as other:
        for piece in (PREFACE + SettingsFrame(0).serialize(), b"GET / HTTP/1.1\r\n\r\n", chance.randbytes(300)):
            with RawConnection(secured.address, greets=False) as connection:
                assert not connection.sends(piece) or connection.until_closed()
        assert other.call(MODEL_INFER, request_of(ROW)).messages == [answer_to(ROW)]


def hello(context: ssl.SSLContext) -> bytes:
    """The first bytes of a client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=IDENTITY.peer_name)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def test_handshakes_that_break_off_or_lie(secured: Server, context: ssl.SSLContext) -> None:
    chance = random.Random(6)
    piece = hello(context)
    with RawConnection(secured.address, tls=wrapped(context)) as other:
        slow = [connect(secured.address) for _ in range(50)]  # they say nothing, and stay
        for number in range(300):
            changed = bytearray(piece[: chance.randrange(1, len(piece) + 1)])
            if number % 2:
                changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
            opened = connect(secured.address)
            opened.sendall(changed)
            opened.close()
        assert other.call(MODEL_INFER, request_of(ROW)).messages == [answer_to(ROW)]
        assert answers(secured, context)
        for opened in slow:
            opened.close()
    assert secured.lives


def test_records_of_garbage_end_their_connection_alone(secured: Server, context: ssl.SSLContext) -> None:
    with RawConnection(secured.address, tls=wrapped(context)) as other:
        for piece in (
            b"\x17\x03\x03\x00\x20" + bytes(32),
            b"\x17\x03\x03\xff\xff" + bytes(100),
            b"\x15\x03\x03\x00\x02ab",
        ):
            with RawConnection(secured.address, tls=wrapped(context)) as connection:
                connection.until_pong()
                below = socket.socket(fileno=socket.dup(connection.socket.fileno()))
                below.sendall(piece)
                below.close()
                with contextlib.suppress(OSError):  # it has hung up already
                    connection.socket.shutdown(socket.SHUT_WR)
                assert connection.until_closed()
        assert other.call(MODEL_INFER, request_of(ROW)).messages == [answer_to(ROW)]


def test_a_certificate_is_replaced_without_a_restart(
    secured: Server, tls_folder: Path, context: ssl.SSLContext
) -> None:
    def shown(connection: RawConnection) -> bytes | None:
        assert isinstance(connection.socket, ssl.SSLSocket)
        return connection.socket.getpeercert(binary_form=True)

    with RawConnection(secured.address, tls=wrapped(context)) as before:
        worker_folder(tls_folder, OURS)

        def shows_another() -> bool:
            with RawConnection(secured.address, tls=wrapped(context)) as connection:
                return shown(connection) != shown(before)

        until(shows_another)  # files are looked at twice a second, or at each connection
        with RawConnection(secured.address, tls=wrapped(context)) as after:
            assert shown(after) != shown(before)
            for connection in (before, after):
                assert connection.call(MODEL_INFER, request_of(ROW)).messages == [answer_to(ROW)]
        (tls_folder / "key.pem").write_bytes(b"no key")
        assert answers(secured, context)
        worker_folder(tls_folder, OURS)
        assert answers(secured, context)
