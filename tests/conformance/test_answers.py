"""What every client gets, by the byte: what the codec writes."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from conformance.clients import CLIENTS, NO_LIMITS
from conformance.expected import Rows, answer_to, request_of, row
from conformance.raw_frames import length_prefixed, request_headers
from conformance.raw_http2 import RawConnection
from conformance.servers import MESSAGE_BYTES_MAX, Server, serve_worker
from hyperframe.frame import SettingsFrame
from tritonclient.grpc import service_pb2

from mark.protocol.messages import MODEL_INFER

ROWS: dict[str, Rows] = {
    "one row": row(1.0, 2.0, 3.0, 4.0),
    "eight rows": np.arange(80, dtype=np.float32).reshape(8, 10),
    "rows of nothing": np.zeros((3, 0), dtype=np.float32),
    "longer than a frame": np.arange(40_000, dtype=np.float32).reshape(2, 20_000),
    "not numbers": row(float("nan"), float("inf"), -0.0),
}


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("client", CLIENTS)
def test_an_answer_is_what_the_codec_writes(server: Server, client: str, rows: str) -> None:
    assert CLIENTS[client](server.address, request_of(ROWS[rows], rows)) == answer_to(ROWS[rows], rows)


def test_an_asked_output_and_version_change_nothing(server: Server) -> None:
    rows = ROWS["eight rows"]

    assert CLIENTS["grpcio"](server.address, request_of(rows, "", ["y"], "1")) == answer_to(rows, "")


@pytest.mark.parametrize("request_id", ["", "x" * 300, "größer ☃"])
def test_the_id_comes_back(server: Server, request_id: str) -> None:
    rows = ROWS["one row"]

    assert CLIENTS["grpcio"](server.address, request_of(rows, request_id)) == answer_to(rows, request_id)


def test_typed_contents_are_answered_raw(server: Server) -> None:
    rows = ROWS["eight rows"]
    message = service_pb2.ModelInferRequest(model_name="doubler", id="typed")
    tensor = message.inputs.add(name="x", datatype="FP32", shape=rows.shape)
    tensor.contents.fp32_contents.extend(rows.ravel().tolist())

    assert CLIENTS["grpcio"](server.address, message.SerializeToString()) == answer_to(rows, "typed")


def test_nvidias_own_calls_are_answered(server: Server) -> None:
    rows = ROWS["eight rows"]
    tensor = triton.InferInput("x", rows.shape, "FP32")
    tensor.set_data_from_numpy(rows)

    with triton.InferenceServerClient(server.address) as client:
        plain = client.infer("doubler", [tensor], request_id="a", headers={"x-a": "b"})
        zipped = client.infer("doubler", [tensor], request_id="b", compression_algorithm="gzip")

    for result, request_id in ((plain, "a"), (zipped, "b")):
        np.testing.assert_array_equal(result.as_numpy("y"), 2 * rows)
        assert result.get_response().id == request_id


async def test_nvidias_asyncio_client_is_answered(server: Server) -> None:
    rows = ROWS["eight rows"]
    tensor = triton_aio.InferInput("x", rows.shape, "FP32")
    tensor.set_data_from_numpy(rows)

    async with triton_aio.InferenceServerClient(server.address) as client:
        results = await asyncio.gather(*(client.infer("doubler", [tensor]) for _ in range(20)))

    assert all(np.array_equal(result.as_numpy("y"), 2 * rows) for result in results)


def test_the_headers_of_an_answer_are_grpcs(server: Server) -> None:
    with RawConnection(server.address) as connection:
        answer = connection.call(MODEL_INFER, request_of(ROWS["one row"]))

    headers = dict(answer.headers)
    assert headers[":status"] == "200"
    assert headers["content-type"] == "application/grpc"
    assert set(headers["grpc-accept-encoding"].replace(" ", "").split(",")) >= {"identity", "gzip"}
    assert answer.trailers == [("grpc-status", "0")] or ("grpc-message", "") in answer.trailers
    assert answer.body == length_prefixed(answer_to(ROWS["one row"]))


def parts_of(calls: list[tuple[str, Rows]], size: int) -> list[list[tuple[str, Rows]]]:
    return [calls[begin : begin + size] for begin in range(0, len(calls), size)]


def test_many_streams_of_one_connection_each_get_their_own(server: Server) -> None:
    each = {f"stream {number}": row(1000.0 + number, *range(number % 7)) for number in range(1000)}

    with RawConnection(server.address, timeout_s=20) as connection:
        connection.until_pong()
        at_once = connection.peer_settings.get(SettingsFrame.MAX_CONCURRENT_STREAMS, 1000)
        assert at_once >= 100
        answers: dict[str, list[bytes]] = {}
        for batch in parts_of(list(each.items()), at_once):
            streams = {name: connection.begin(MODEL_INFER, request_of(rows, name)) for name, rows in batch}
            answers |= {name: connection.answer(stream).messages for name, stream in streams.items()}

    assert answers == {name: [answer_to(rows, name)] for name, rows in each.items()}


def test_many_connections_each_get_their_own(server: Server) -> None:
    connections = [RawConnection(server.address, timeout_s=20) for _ in range(200)]
    try:
        streams = [
            connection.begin(MODEL_INFER, request_of(row(float(number)), str(number)))
            for number, connection in enumerate(connections)
        ]
        for number, (connection, stream) in enumerate(zip(connections, streams, strict=True)):
            assert connection.answer(stream).messages == [answer_to(row(float(number)), str(number))]
    finally:
        for connection in connections:
            connection.socket.close()


def test_many_threads_of_one_channel_each_get_their_own(server: Server) -> None:
    with grpc.insecure_channel(server.address) as channel, ThreadPoolExecutor(16) as pool:
        call = channel.unary_unary(MODEL_INFER)

        def ask(number: int) -> bool:
            rows = np.full((1 + number % 3, 4), number, dtype=np.float32)
            return bool(call(request_of(rows, str(number)), timeout=20) == answer_to(rows, str(number)))

        assert all(pool.map(ask, range(300)))


def test_a_worker_answers_on_a_unix_socket(ingress: str, tmp_path: Path) -> None:
    worker = serve_worker(ingress, tmp_path, f"unix:{tmp_path / 'socket'}")
    try:
        for client in ("grpcio", "grpcio asyncio", "raw"):
            assert CLIENTS[client](worker.address, request_of(ROWS["eight rows"])) == answer_to(ROWS["eight rows"])
    finally:
        assert worker.stop() == 0
    assert not (tmp_path / "socket").exists()


def whole(message_bytes: int) -> Rows:
    """Rows whose ModelInferRequest has about so many bytes, and not more."""
    return np.ones((1, message_bytes // 4 - 32), dtype=np.float32)


@pytest.mark.parametrize("client", ["grpcio", "raw"])
def test_a_message_of_64_mib_passes_both_ways(server: Server, client: str) -> None:
    rows = whole(MESSAGE_BYTES_MAX)
    message = request_of(rows)
    assert MESSAGE_BYTES_MAX - 256 < len(message) <= MESSAGE_BYTES_MAX

    if client == "grpcio":
        with grpc.insecure_channel(server.address, options=NO_LIMITS) as channel:
            answer = bytes(channel.unary_unary(MODEL_INFER)(message, timeout=30))
    else:
        with RawConnection(server.address, {SettingsFrame.INITIAL_WINDOW_SIZE: 1 << 24}, timeout_s=30) as connection:
            stream = connection.open(request_headers(MODEL_INFER))
            connection.send_body(stream, length_prefixed(message))
            (answer,) = connection.answer(stream).messages

    assert answer == answer_to(rows)
