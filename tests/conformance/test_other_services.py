"""What else a server answers on the same port: health, readiness, metadata, reflection and the control service."""

from __future__ import annotations

import gzip
import struct

import grpc
import pytest
from conformance.expected import answer_to, request_of, row
from conformance.raw_frames import Answer, data_frames, length_prefixed, request_headers
from conformance.raw_http2 import RawConnection
from conformance.servers import Server
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from hyperframe.frame import DataFrame, SettingsFrame

from mark import Client, __version__
from mark.protocol import messages
from mark.protocol.messages import GET_STATUS, MODEL_INFER

ROW = row(1.0, 2.0)
CHECK, WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"
SERVING = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING).SerializeToString()
INFERENCE = health_pb2.HealthCheckRequest(service=messages.INFERENCE_SERVICE).SerializeToString()
ABSENT = health_pb2.HealthCheckRequest(service="absent").SerializeToString()
OK, NOT_FOUND, UNIMPLEMENTED = 0, 5, 12


def test_it_is_live_and_ready_and_says_who_it_is(server: Server) -> None:
    with Client(server.address) as client:
        assert client.is_live()
        assert client.is_ready()
        assert client.is_model_ready("doubler")
        assert client.is_model_ready("doubler", "1")
        assert client.server_metadata() == ("mark" if server.kind == "router" else "mark worker", __version__)
        signature = client.model_metadata("doubler")
    assert [(tensor.name, tensor.datatype, tensor.shape) for tensor in signature.inputs] == [("x", "FP32", (-1, -1))]


@pytest.mark.parametrize("request_bytes", [b"", INFERENCE], ids=["server", "service"])
def test_a_health_check_is_answered_by_the_byte(server: Server, request_bytes: bytes) -> None:
    with RawConnection(server.address) as connection:
        answer = connection.call(CHECK, request_bytes)

    assert (answer.status, answer.messages) == (OK, [SERVING])


def test_the_health_of_an_unknown_service_is_not_found(server: Server) -> None:
    with RawConnection(server.address) as connection:
        answer = connection.call(CHECK, ABSENT)

    assert (answer.status, answer.details) == (NOT_FOUND, "unknown service 'absent'")


def test_a_watch_speaks_at_once_and_stays_open(server: Server) -> None:
    with RawConnection(server.address) as connection:
        streams = [connection.begin(WATCH, request) for request in (b"", INFERENCE)]
        for _ in range(3):  # other calls pass by it
            assert connection.call(MODEL_INFER, request_of(ROW)).messages == [answer_to(ROW)]
        while not all(stream in connection.answers and connection.answers[stream].body for stream in streams):
            connection.read_some(0.01)

        for stream in streams:
            assert connection.answers[stream].messages == [SERVING]
            assert stream not in connection.ended


def test_a_watch_by_bytes_and_by_tiny_windows(server: Server) -> None:
    with RawConnection(server.address, {SettingsFrame.INITIAL_WINDOW_SIZE: 1}) as connection:
        stream = connection.open(request_headers(WATCH))
        connection.send(*data_frames(stream, length_prefixed(INFERENCE), 1))
        whole = length_prefixed(SERVING)
        while stream not in connection.answers or len(connection.answers[stream].body) < len(whole):
            connection.read_some(0.01)

        assert connection.answers[stream].body == whole


def test_a_watch_ends_when_its_client_cancels(server: Server) -> None:
    with grpc.insecure_channel(server.address) as channel:
        for _ in range(20):
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
            watch.cancel()


def test_a_watch_has_a_deadline_too(server: Server) -> None:
    with RawConnection(server.address) as connection:
        answer = connection.call(WATCH, b"", [("grpc-timeout", "1S")])

    assert answer.status == 4
    assert answer.messages == [SERVING]


def test_reflection_describes_the_services(server: Server) -> None:
    with grpc.insecure_channel(server.address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        services = set(database.get_services())
        described = database.FindFileContainingSymbol("inference.GRPCInferenceService")

    assert {"inference.GRPCInferenceService", "grpc.health.v1.Health"} <= services
    assert ("mark.v1.Control" in services) == (server.kind == "router")
    assert described.service[0].name == "GRPCInferenceService"


REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
DESCRIBE = reflection_pb2.ServerReflectionRequest(file_containing_symbol="inference.GRPCInferenceService")


@pytest.mark.parametrize(("window", "frame_bytes"), [(65_535, 16_384), (100, 1)])
def test_a_stream_both_ways_goes_on_until_its_client_ends_it(server: Server, window: int, frame_bytes: int) -> None:
    with RawConnection(server.address, {SettingsFrame.INITIAL_WINDOW_SIZE: window}) as connection:
        stream = connection.open(request_headers(REFLECTION))
        found = []
        for number in (1, 2, 3):
            body = length_prefixed(DESCRIBE.SerializeToString())
            connection.send(*data_frames(stream, body, frame_bytes, end_stream=False))
            while not whole_messages(connection.answers.setdefault(stream, Answer()), number):
                connection.read_some(0.01)
            found.append(reflection_pb2.ServerReflectionResponse.FromString(connection.answers[stream].messages[-1]))
            assert stream not in connection.ended
        connection.send(DataFrame(stream, flags=["END_STREAM"]))

        assert connection.answer(stream).status == OK
    assert all(each.file_descriptor_response.file_descriptor_proto for each in found)
    assert found[0] == found[1] == found[2]


def whole_messages(answer: Answer, number: int) -> bool:
    try:
        return len(answer.messages) == number
    except (AssertionError, struct.error):
        return False  # the last one is under way


def test_other_methods_take_zipped_messages_too(server: Server) -> None:
    with RawConnection(server.address) as connection:
        stream = connection.open(request_headers(CHECK, [("grpc-encoding", "gzip")]))
        connection.send_body(stream, length_prefixed(gzip.compress(INFERENCE), compressed=True))

        assert connection.answer(stream).messages == [SERVING]


@pytest.mark.parametrize("frame_bytes", [1, 16_384])
def test_other_methods_are_called_in_frames_of_any_size(server: Server, frame_bytes: int) -> None:
    with RawConnection(server.address) as connection:
        for _ in range(50):
            stream = connection.open(request_headers(CHECK))
            connection.send(*data_frames(stream, length_prefixed(INFERENCE), frame_bytes))

            assert connection.answer(stream).messages == [SERVING]


def test_the_status_is_told_on_the_same_connection(router: Server) -> None:
    with RawConnection(router.address) as connection:
        before = messages.StatusResponse.FromString(connection.call(GET_STATUS, b"").messages[0]).models[0]
        connection.call(MODEL_INFER, request_of(ROW))
        after = messages.StatusResponse.FromString(connection.call(GET_STATUS, b"").messages[0]).models[0]

    assert after.name == "doubler"
    assert after.submitted == before.submitted + 1
    assert after.ended["answered"] == before.ended["answered"] + 1


def test_a_worker_has_no_control_service(worker: Server) -> None:
    with RawConnection(worker.address) as connection:
        assert connection.call(GET_STATUS, b"").status == UNIMPLEMENTED


def test_a_method_in_other_letters_is_another_method(server: Server) -> None:
    with RawConnection(server.address) as connection:
        for path in (MODEL_INFER.lower(), f"{MODEL_INFER}/", f"{MODEL_INFER}?a=b"):
            assert connection.call(path, request_of(ROW)).status == UNIMPLEMENTED
