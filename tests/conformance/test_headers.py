"""Headers and metadata: compression of headers and of messages, gRPC's own keys, and what is malformed."""

from __future__ import annotations

import gzip

import pytest
from conformance.expected import answer_to, request_of, row
from conformance.known_differences import differs
from conformance.raw_frames import Answer, Headers, continued, data_frames, length_prefixed, request_headers
from conformance.raw_http2 import RawConnection
from conformance.servers import MESSAGE_BYTES_MAX, Server
from hyperframe.frame import HeadersFrame, SettingsFrame

from mark.protocol.messages import MODEL_INFER, SERVER_LIVE

ROW = row(1.0, 2.0)
MESSAGE = request_of(ROW)
BODY = length_prefixed(MESSAGE)
ANSWER = length_prefixed(answer_to(ROW))
OK, DEADLINE, EXHAUSTED, UNIMPLEMENTED, INTERNAL = 0, 4, 8, 12, 13


def assert_answered(answer: Answer) -> None:
    assert (answer.status, answer.reset or 0, answer.went_away) == (OK, 0, False), answer
    assert answer.body == ANSWER


def refused(answer: Answer) -> bool:
    """By HTTP/2 or by gRPC, but not answered."""
    return answer.status not in {None, OK} or bool(answer.reset) or answer.header(":status") in {"400", "405", "415"}


def with_extra(server: Server, cases: dict[str, Headers]) -> dict[str, Answer]:
    """The answers to calls with these headers, side by side: grpcio answers bad ones after up to seconds."""
    with RawConnection(server.address, timeout_s=20) as connection:
        streams = {name: connection.begin(MODEL_INFER, MESSAGE, extra) for name, extra in cases.items()}
        answers = {name: connection.answer(stream) for name, stream in streams.items()}
        assert_answered(connection.call(MODEL_INFER, MESSAGE))
    return answers


# --- HPACK


@pytest.mark.parametrize("huffman", [True, False])
def test_headers_may_be_huffman_coded_or_not(server: Server, huffman: bool) -> None:
    with RawConnection(server.address) as connection:
        for _ in range(3):
            stream = connection.new_stream()
            block = connection.block(request_headers(MODEL_INFER, [("x-key", "some value")]), huffman=huffman)
            connection.send(HeadersFrame(stream, block, flags=["END_HEADERS"]), *data_frames(stream, BODY, 16_384))

            assert_answered(connection.answer(stream))


def test_the_tables_of_headers_change_size(server: Server) -> None:
    """Ours, for what we send, and the server's for what it sends; with both, down to nothing and up again."""
    with RawConnection(server.address, {SettingsFrame.HEADER_TABLE_SIZE: 0}) as connection:
        for size in (4096, 0, 0, 100, 4096, 0):
            connection.encoder.header_table_size = size
            assert_answered(connection.call(MODEL_INFER, MESSAGE, [("x-key", f"value {size}")]))


def test_a_table_of_headers_overflows(server: Server) -> None:
    with RawConnection(server.address) as connection:
        for number in range(300):
            assert_answered(connection.call(MODEL_INFER, MESSAGE, [(f"x-{number}", "v" * 60), ("x-same", "w" * 60)]))


def test_headers_of_a_stream_are_read_though_the_stream_is_refused(server: Server) -> None:
    """What a bad request puts into the table is there for the next one."""
    with RawConnection(server.address, timeout_s=20) as connection:
        entry = [("x-put", "into the table")]
        bad = connection.begin(MODEL_INFER, MESSAGE, [*entry, ("grpc-timeout", "nonsense")])
        assert_answered(connection.call(MODEL_INFER, MESSAGE, entry))
        assert refused(connection.answer(bad))


# --- gRPC's own keys

LONG_ENOUGH = ["8S", "9000m", "9000000u", "1M", "1H", "99999999S", "99999999H", "00000009S"]
LONGEST_OF_NANOSECONDS = "99999999n"  # 100 ms, which a machine with other things to do may let pass


def test_a_timeout_has_six_units(server: Server) -> None:
    answers = with_extra(server, {timeout: [("grpc-timeout", timeout)] for timeout in LONG_ENOUGH})
    for answer in answers.values():
        assert_answered(answer)

    with RawConnection(server.address) as connection:
        for _ in range(20):
            answer = connection.call(MODEL_INFER, MESSAGE, [("grpc-timeout", LONGEST_OF_NANOSECONDS)])
            if answer.status not in {DEADLINE, EXHAUSTED}:
                break
    assert_answered(answer)


TOO_SHORT = ["1n", "1u", "1000n", "900u", "1m"]


def test_a_timeout_may_be_too_short(router: Server) -> None:
    answers = with_extra(router, {timeout: [("grpc-timeout", timeout)] for timeout in TOO_SHORT})

    assert {answer.status for answer in answers.values()} <= {DEADLINE, EXHAUSTED}


def test_a_timeout_of_nothing_has_passed(server: Server) -> None:
    units = "numSMH"
    answers = with_extra(server, {unit: [("grpc-timeout", f"0{unit}")] for unit in units})

    assert [answers[unit].status for unit in units] == [DEADLINE] * 6
    assert all(answer.details for answer in answers.values())


NO_TIMEOUT = ["", "1", "S", "-1S", "+1S", "1s", "1x", "1mm", "1.5S", "0x1S", "1e3S", "\uff11S"]


def test_a_malformed_timeout_is_refused(server: Server) -> None:
    answers = with_extra(server, {text: [("grpc-timeout", text.encode())] for text in NO_TIMEOUT})

    assert {text: answer.status for text, answer in answers.items()} == dict.fromkeys(NO_TIMEOUT, INTERNAL)
    assert all("grpc-timeout" in answer.details for answer in answers.values())


def compressed(server: Server, message: bytes, extra: Headers, *, flag: bool = True) -> Answer:
    with RawConnection(server.address, timeout_s=20) as connection:
        stream = connection.open(request_headers(MODEL_INFER, extra))
        connection.send_body(stream, length_prefixed(message, compressed=flag))
        answer = connection.answer(stream)
        assert_answered(connection.call(MODEL_INFER, MESSAGE))
    return answer


GZIP = [("grpc-encoding", "gzip")]


@pytest.mark.parametrize("level", [0, 1, 9])
def test_a_message_may_be_zipped(server: Server, level: int) -> None:
    assert_answered(compressed(server, gzip.compress(MESSAGE, level), GZIP))


@pytest.mark.parametrize("extra", [GZIP, [("grpc-encoding", "identity")], [("grpc-accept-encoding", "gzip")], []])
def test_a_message_may_be_plain_whatever_the_encoding(server: Server, extra: Headers) -> None:
    assert_answered(compressed(server, MESSAGE, extra, flag=False))


def test_an_answer_may_be_zipped_only_for_who_takes_it(server: Server) -> None:
    for accepted in ("identity", "gzip", "deflate, gzip", "unheard-of", ""):
        answer = compressed(server, MESSAGE, [("grpc-accept-encoding", accepted)], flag=False)

        assert_answered(answer)
        assert answer.header("grpc-encoding") in {None, "identity"}


NOT_ZIPPED = {
    "plain": MESSAGE,
    "cut off": gzip.compress(MESSAGE)[:-5],
    "of another checksum": gzip.compress(MESSAGE)[:-8] + bytes(8),
    "followed by more": gzip.compress(MESSAGE) + b"more",
}


@pytest.mark.parametrize("what", NOT_ZIPPED)
def test_what_does_not_unzip_is_refused(server: Server, what: str) -> None:
    assert compressed(server, NOT_ZIPPED[what], GZIP).status == INTERNAL


@pytest.mark.parametrize("extra", [[], [("grpc-encoding", "identity")]])
def test_a_compressed_message_needs_an_encoding(server: Server, extra: Headers) -> None:
    assert compressed(server, gzip.compress(MESSAGE), extra).status == INTERNAL


UNHEARD_OF = ["snappy", "GZIP", "gzip, gzip", ""]


@differs("unknown encoding")
def test_an_unknown_encoding_is_unimplemented(server: Server) -> None:
    answers = with_extra(server, {encoding: [("grpc-encoding", encoding)] for encoding in UNHEARD_OF[:3]})

    assert [answer.status for answer in answers.values()] == [UNIMPLEMENTED] * 3
    assert all("gzip" in (answer.header("grpc-accept-encoding") or "") for answer in answers.values())


def test_an_unknown_encoding_is_refused(server: Server) -> None:
    answers = with_extra(server, {encoding: [("grpc-encoding", encoding)] for encoding in UNHEARD_OF})

    assert {answer.status for answer in answers.values()} <= {UNIMPLEMENTED, INTERNAL}


@pytest.mark.parametrize("kind", [pytest.param("worker", marks=differs("worker takes any size")), "router"])
def test_a_message_that_unzips_beyond_the_limit_is_refused(router: Server, worker: Server, kind: str) -> None:
    server = router if kind == "router" else worker
    bomb = gzip.compress(bytes(2 * MESSAGE_BYTES_MAX))

    answer = compressed(server, bomb, GZIP)

    assert answer.status == EXHAUSTED
    assert "larger than max" in answer.details


# --- metadata

ALLOWED: dict[str, Headers] = {
    "twice": [("x-a", "1"), ("x-a", "2")],
    "empty": [("x-a", "")],
    "long": [("x-a", "v" * 4000)],
    "of many": [(f"x-{number}", "v") for number in range(60)],
    "odd characters of names": [("x_1.2-3", "v")],
    "spaces around": [("x-a", "a b")],
    "binary": [("x-a-bin", "AAEC")],
    "binary, padded": [("x-a-bin", "AAE=")],
    "binary, not padded": [("x-a-bin", "AAE")],
    "binary, empty": [("x-a-bin", "")],
    "binary, twice": [("x-a-bin", "AAEC"), ("x-a-bin", "AAEC")],
    "reserved": [("grpc-unknown-key", "v"), ("grpc-tags-bin", "AA"), ("grpc-trace-bin", "AAAA")],
    "user agent": [("user-agent", "none of ours")],
    "credentials": [("authorization", "Bearer of nothing"), ("cookie", "a=b"), ("cookie", "c=d")],
    "content length": [("content-length", str(len(BODY)))],
    "retries": [("grpc-previous-rpc-attempts", "2")],
}


def test_metadata_of_callers_changes_nothing(server: Server) -> None:
    for answer in with_extra(server, ALLOWED).values():
        assert_answered(answer)


@pytest.mark.parametrize("content_type", ["application/grpc", "application/grpc+proto", "application/grpc;a=b"])
def test_every_content_type_of_grpc_is_taken(server: Server, content_type: str) -> None:
    with RawConnection(server.address) as connection:
        stream = connection.open(request_headers(MODEL_INFER, content_type=content_type))
        connection.send_body(stream, BODY)

        assert_answered(connection.answer(stream))


def test_the_scheme_and_authority_are_not_looked_at(server: Server) -> None:
    with RawConnection(server.address) as connection:
        stream = connection.open(request_headers(MODEL_INFER, scheme="https"))
        connection.send_body(stream, BODY)

        assert_answered(connection.answer(stream))


REQUEST = request_headers(MODEL_INFER)


def without(name: str) -> Headers:
    return [pair for pair in REQUEST if pair[0] != name]


MALFORMED: dict[str, Headers] = {
    "no method": without(":method"),
    "no path": without(":path"),
    "no scheme": without(":scheme"),
    "not POST": request_headers(MODEL_INFER, method="GET"),
    "upper-case name": [*REQUEST, ("X-Upper", "v")],
    "space in a name": [*REQUEST, ("a b", "v")],
    "empty name": [*REQUEST, ("", "v")],
    "unknown pseudo-header": [(":unknown", "v"), *REQUEST],
}
OVERLOOKED: dict[str, Headers] = {
    "pseudo-header last": [*REQUEST[1:], REQUEST[0]],
    "path twice": [REQUEST[2], *REQUEST],
    "connection": [*REQUEST, ("connection", "close")],
    "zero byte": [*REQUEST, ("x-a", b"a\x00b")],
    "line feed": [*REQUEST, ("x-a", b"a\nb")],
    "wrong content length": [*REQUEST, ("content-length", "3")],
}


def all_refused(server: Server, path: str, requests: dict[str, Headers]) -> None:
    """Each alone: they share a connection that goes on."""
    body = BODY if path == MODEL_INFER else length_prefixed(b"")
    with RawConnection(server.address, timeout_s=20) as connection:
        streams = {}
        for name, headers in requests.items():
            streams[name] = connection.open([(key, path if key == ":path" else value) for key, value in headers])
            connection.send(*data_frames(streams[name], body, 16_384))
        answers = {name: connection.answer(stream) for name, stream in streams.items()}
        after = connection.call(MODEL_INFER, MESSAGE)

    assert [name for name, answer in answers.items() if not refused(answer)] == []
    assert_answered(after)


@pytest.mark.parametrize("path", [MODEL_INFER, SERVER_LIVE])
def test_a_malformed_request_is_refused_alone(server: Server, path: str) -> None:
    all_refused(server, path, MALFORMED)


@pytest.mark.parametrize("path", ["nonsense", MODEL_INFER[1:], ""])
def test_a_path_without_a_slash_is_refused_alone(server: Server, path: str) -> None:
    """It is malformed for HTTP/2 (RFC 9113, section 8.3.1), and an unknown method for gRPC."""
    all_refused(server, path, {"path": REQUEST})


@differs("malformed request")
@pytest.mark.parametrize("name", OVERLOOKED)
def test_a_request_that_http2_calls_malformed_is_refused_alone(server: Server, name: str) -> None:
    all_refused(server, MODEL_INFER, {name: OVERLOOKED[name]})


def test_binary_metadata_that_is_none_does_no_harm(server: Server) -> None:
    cases: dict[str, Headers] = {text: [("x-a-bin", text)] for text in ("!!!", "A", "AA==AA==")}

    for answer in with_extra(server, cases).values():
        assert refused(answer) or answer.body == ANSWER


def test_headers_beyond_a_limit_are_refused_or_ignored(server: Server) -> None:
    """How much a server takes is its own affair, as long as it says so in HTTP/2's or gRPC's terms."""
    with RawConnection(server.address, timeout_s=20) as connection:
        connection.until_pong()
        limit = connection.peer_settings.get(SettingsFrame.MAX_HEADER_LIST_SIZE, 16_384)
        for size in (limit // 4, limit, 2 * limit):
            stream = connection.new_stream()
            block = connection.block(request_headers(MODEL_INFER, [("x-long", "v" * size)]), huffman=False)
            if not connection.sends(
                *continued(stream, block, range(16_000, len(block), 16_000)), *data_frames(stream, BODY, 16_384)
            ):
                break
            answer = connection.answer(stream)
            assert refused(answer) or answer.went_away or answer.body == ANSWER
            if size < limit:
                assert_answered(answer)
    with RawConnection(server.address) as connection:
        assert_answered(connection.call(MODEL_INFER, MESSAGE))
