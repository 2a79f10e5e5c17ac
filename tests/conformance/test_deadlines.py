"""Deadlines and cancellation: who gave up is not answered, not counted as answered, and holds no place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import grpc
import grpc.aio
import pytest
from conformance.expected import answer_to, request_of, row, sleeping
from conformance.raw_frames import data_frames, length_prefixed, request_headers
from conformance.raw_http2 import RawConnection
from conformance.servers import Server, until
from hyperframe.frame import RstStreamFrame

from mark.protocol.messages import MODEL_INFER

ROW = row(1.0, 2.0)
DEADLINE, EXHAUSTED = 4, 8
CANCEL = 8  # the error of HTTP/2
# Longer than a busy machine keeps a test from what it does meanwhile.
NAP_S = 1.5


def asleep(server: Server, connection: RawConnection, for_s: float = NAP_S) -> int:
    """Send a request that keeps the model busy; its stream, once the model is at it."""
    before = server.naps
    stream = connection.begin(MODEL_INFER, request_of(sleeping(for_s)))
    until(lambda: server.naps > before)
    return stream


def test_a_client_hears_at_its_deadline_while_the_model_works_on(server: Server) -> None:
    with RawConnection(server.address) as connection:
        began = time.monotonic()
        answer = connection.call(MODEL_INFER, request_of(sleeping(NAP_S)), [("grpc-timeout", "100m")])
        took_s = time.monotonic() - began
        after = connection.call(MODEL_INFER, request_of(ROW))

    assert answer.status == DEADLINE
    assert answer.details
    assert 0.09 < took_s < NAP_S
    assert after.messages == [answer_to(ROW)]


def test_a_deadline_passes_in_the_queue(server: Server) -> None:
    with RawConnection(server.address) as connection:
        running = asleep(server, connection)
        began = time.monotonic()
        answer = connection.call(MODEL_INFER, request_of(ROW), [("grpc-timeout", "100m")])
        took_s = time.monotonic() - began
        rest = connection.answer(running)

    # A server that reckons with the batch that runs refuses it at once.
    assert answer.status in {DEADLINE, EXHAUSTED}
    assert took_s < NAP_S - 0.05
    assert rest.messages == [answer_to(sleeping(NAP_S))]


@pytest.mark.parametrize("sent", [0, 3, 20])
def test_a_deadline_passes_while_the_message_is_under_way(server: Server, sent: int) -> None:
    with RawConnection(server.address) as connection:
        began = time.monotonic()
        stream = connection.open(request_headers(MODEL_INFER, [("grpc-timeout", "100m")]))
        connection.send(*data_frames(stream, length_prefixed(request_of(ROW))[:sent], 16_384, end_stream=False))
        answer = connection.answer(stream)

        assert answer.status == DEADLINE or answer.reset == CANCEL
        assert 0.09 < time.monotonic() - began < 5
        assert connection.call(MODEL_INFER, request_of(ROW)).messages == [answer_to(ROW)]


def test_a_clients_deadline_counts_as_expired(router: Server) -> None:
    before = router.model_status()
    with RawConnection(router.address) as connection:
        connection.call(MODEL_INFER, request_of(sleeping(NAP_S)), [("grpc-timeout", "100m")])
        connection.call(MODEL_INFER, request_of(ROW))
    after = router.model_status()

    assert after.ended["answered"] == before.ended["answered"] + 1
    ended = sum(after.ended[outcome] - before.ended[outcome] for outcome in ("expired", "cancelled", "late"))
    assert ended == 1
    assert (after.queued, after.in_flight) == (0, 0)


def test_the_services_own_deadline_ends_what_waits_and_not_what_is_computed(make_router: Callable[..., Server]) -> None:
    router = make_router("models.0.slo.rt_max_ms=300")
    with RawConnection(router.address) as connection:
        running = asleep(router, connection)
        began = time.monotonic()
        waiting = connection.call(MODEL_INFER, request_of(ROW), [("grpc-timeout", "9S")])
        took_s = time.monotonic() - began
        late = connection.answer(running)

    assert waiting.status in {DEADLINE, EXHAUSTED}
    assert "before the deadline" in waiting.details or waiting.details == "the deadline passed before a worker answered"
    assert took_s < NAP_S - 0.05
    # It was paid for, and its client said of no deadline that it has passed.
    assert late.messages == [answer_to(sleeping(NAP_S))]
    assert router.ended("late") == 1


def test_a_cancelled_request_is_counted_so_and_the_model_works_on(server: Server) -> None:
    before = server.model_status() if server.kind == "router" else None
    with RawConnection(server.address) as connection:
        running = asleep(server, connection)
        connection.send(RstStreamFrame(running, error_code=CANCEL))
        after = connection.call(MODEL_INFER, request_of(ROW))

        assert after.messages == [answer_to(ROW)]
        # Nothing of the answer comes for a stream that is gone.
        assert running not in connection.answers
    if before is not None:
        status = server.model_status()
        assert status.ended["cancelled"] == before.ended["cancelled"] + 1
        assert status.ended["answered"] == before.ended["answered"] + 1
        assert status.ended["worker_lost"] == before.ended["worker_lost"]


@pytest.mark.parametrize("how", ["resets", "end of the connection"])
def test_cancelled_requests_free_their_places(router: Server, how: str) -> None:
    before = router.ended("cancelled")
    with RawConnection(router.address) as other, RawConnection(router.address) as connection:
        running = asleep(router, other)
        queued = [connection.begin(MODEL_INFER, request_of(sleeping(9.0))) for _ in range(10)]
        until(lambda: router.model_status().queued == 10)
        if how == "resets":
            connection.send(*(RstStreamFrame(stream, error_code=CANCEL) for stream in queued))
        else:
            connection.socket.close()
        until(lambda: router.model_status().queued == 0)

        assert router.ended("cancelled") == before + 10
        # Had one of them been computed, this would take nine seconds.
        assert other.call(MODEL_INFER, request_of(ROW)).messages == [answer_to(ROW)]
        assert other.answer(running).messages == [answer_to(sleeping(NAP_S))]


def test_a_worker_skips_what_was_cancelled_while_it_waited(worker: Server) -> None:
    with RawConnection(worker.address) as other, RawConnection(worker.address) as connection:
        running = asleep(worker, other)
        queued = [connection.begin(MODEL_INFER, request_of(sleeping(9.0))) for _ in range(10)]
        connection.until_pong()
        connection.send(*(RstStreamFrame(stream, error_code=CANCEL) for stream in queued))
        connection.until_pong()

        assert other.answer(running).messages == [answer_to(sleeping(NAP_S))]
        assert other.call(MODEL_INFER, request_of(ROW)).messages == [answer_to(ROW)]


def test_a_message_that_is_cancelled_half_way_was_never_submitted(router: Server) -> None:
    before = router.model_status().submitted
    with RawConnection(router.address) as connection:
        message = request_of(ROW)
        for cut in range(0, len(message), 7):
            stream = connection.open(request_headers(MODEL_INFER))
            part = data_frames(stream, length_prefixed(message)[:cut], 16_384, end_stream=False)
            connection.send(*part, RstStreamFrame(stream, error_code=CANCEL))
        connection.until_pong()
        assert connection.call(MODEL_INFER, message).messages == [answer_to(ROW)]

    assert router.model_status().submitted == before + 1


def test_grpcios_own_cancellation_and_deadline_are_understood(server: Server) -> None:
    with grpc.insecure_channel(server.address) as channel:
        call = channel.unary_unary(MODEL_INFER)
        future = call.future(request_of(sleeping(NAP_S)), timeout=10)
        future.cancel()
        with pytest.raises(grpc.RpcError) as raised:
            call(request_of(sleeping(NAP_S)), timeout=0.1)

        assert future.cancelled()
        assert raised.value.code() in {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert call(request_of(ROW), timeout=10) == answer_to(ROW)


async def test_asyncios_cancellation_is_understood(server: Server) -> None:
    async with grpc.aio.insecure_channel(server.address) as channel:
        call = channel.unary_unary(MODEL_INFER)
        await call(request_of(ROW), timeout=10)
        before = server.naps
        running = call(request_of(sleeping(NAP_S)), timeout=10)
        await asyncio.to_thread(until, lambda: server.naps > before)
        waiting = [call(request_of(sleeping(9.0)), timeout=10) for _ in range(5)]
        await asyncio.sleep(0.05)  # sent, and it does not matter whether received
        for each in waiting:
            each.cancel()

        assert await running == answer_to(sleeping(NAP_S))
        assert await call(request_of(ROW), timeout=10) == answer_to(ROW)
        assert all(each.cancelled() for each in waiting)
