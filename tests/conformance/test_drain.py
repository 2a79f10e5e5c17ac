"""How a server stops: what it accepted is answered, what is new is sent elsewhere, and the port is free."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable

import grpc
import pytest
from conformance.expected import answer_to, request_of, row, sleeping
from conformance.known_differences import excused
from conformance.raw_frames import Answer
from conformance.raw_http2 import RawConnection
from conformance.servers import Server, until
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mark.protocol.messages import MODEL_INFER

ROW = row(1.0, 2.0)
# Longer than a busy machine keeps a test from sending the signal.
NAP_S = 1.5
CANCELLED, UNAVAILABLE = 1, 14
REFUSED_STREAM = 7  # the error of HTTP/2


def turned_away(answer: Answer, ingress: str) -> bool:
    """Told that it is safe to call another server."""
    if answer.status == CANCELLED and excused(ingress, "cancels newcomers"):
        return True
    return answer.status == UNAVAILABLE or answer.went_away or answer.reset == REFUSED_STREAM


@pytest.mark.parametrize("kind", ["router", "worker"])
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_stopping_server_answers_what_it_has(
    make_server: Callable[[str], Server], kind: str, signum: signal.Signals, ingress: str
) -> None:
    server = make_server(kind)
    host, _, port = server.address.rpartition(":")
    with RawConnection(server.address) as connection, RawConnection(server.address) as idle:
        running = connection.begin(MODEL_INFER, request_of(sleeping(NAP_S)))
        idle.until_pong()
        until(lambda: server.naps == 1)
        server.process.send_signal(signum)
        began = time.monotonic()
        newcomers: list[Answer] = []
        # It may take a moment to hear the signal; until then it answers.
        while not newcomers or not turned_away(newcomers[-1], ingress):
            assert time.monotonic() - began < 5
            try:
                newcomers.append(connection.call(MODEL_INFER, request_of(ROW)))
            except OSError:
                newcomers.append(Answer(went_away=True))

        answer = connection.answer(running)
        assert all(each.messages == [answer_to(ROW)] for each in newcomers[:-1])
        assert answer.messages == [answer_to(sleeping(NAP_S))]
        for each in (connection, idle):
            assert each.until_closed()
            assert each.goaway is not None
            assert each.goaway.error_code == 0

    assert server.process.wait(10) == 0
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect((host, int(port)))


def refused_with(call: Callable[[], bytes]) -> grpc.StatusCode:
    """The status of the first call that is not answered: it may take a moment to hear the signal."""
    for _ in range(100):
        try:
            assert call() == answer_to(ROW)
        except grpc.RpcError as error:
            return error.code()
    raise AssertionError("it goes on to answer")


@pytest.mark.parametrize("kind", ["router", "worker"])
def test_grpcios_client_sees_a_drain_as_unavailable(
    make_server: Callable[[str], Server], kind: str, ingress: str
) -> None:
    server = make_server(kind)
    with grpc.insecure_channel(server.address) as channel:
        call = channel.unary_unary(MODEL_INFER)
        running = call.future(request_of(sleeping(NAP_S)), timeout=10)
        until(lambda: server.naps == 1)
        server.process.send_signal(signal.SIGTERM)
        assert running.result() == answer_to(sleeping(NAP_S))
        code = refused_with(lambda: call(request_of(ROW), timeout=5))

    assert code is grpc.StatusCode.UNAVAILABLE or (
        code is grpc.StatusCode.CANCELLED and excused(ingress, "cancels newcomers")
    )


def test_a_watch_hears_of_a_drain(make_server: Callable[[str], Server]) -> None:
    router = make_server("router")
    with grpc.insecure_channel(router.address) as channel, RawConnection(router.address) as connection:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=10)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        running = connection.begin(MODEL_INFER, request_of(sleeping(2.0)))
        until(lambda: router.naps == 1)
        router.process.send_signal(signal.SIGTERM)

        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert connection.answer(running).messages == [answer_to(sleeping(2.0))]
