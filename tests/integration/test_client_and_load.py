"""Client and load generator against a server whose answers the tests decide."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import grpc.aio
import numpy as np
import pytest

from mark import AsyncClient, Client
from mark._core import write_infer_response
from mark.client import calls
from mark.domain.signature import ModelSignature, TensorSpec
from mark.errors import DeadlineExceeded, InvalidRequest, ModelNotFound, Overloaded, RequestError, Unavailable
from mark.protocol import messages
from mark.protocol.service import make_server
from mark.workload.open_loop import OpenLoop
from mark.workload.report import OK

SIGNATURE = ModelSignature("m", "3", (TensorSpec("x", "FP32", (-1, 2)),), (TensorSpec("y", "FP32", (-1, 2)),), 8)
ANSWER = write_infer_response("m", "3", "", [("y", "FP32", (1, 2), np.ones((1, 2), np.float32))])


class Service:
    """An InferenceService that answers as `infer` says."""

    def __init__(self) -> None:
        self.infer: Callable[[bytes], Awaitable[bytes]] = self.answer

    async def answer(self, request: bytes) -> bytes:
        return ANSWER

    async def server_live(self) -> bool:
        return True

    async def server_ready(self) -> bool:
        return False

    async def model_ready(self, name: str, version: str) -> bool:
        if name != "m":
            raise ModelNotFound(f"unknown model {name!r}")
        return True

    async def server_metadata(self) -> tuple[str, str]:
        return "stub", "0"

    async def model_metadata(self, name: str, version: str) -> ModelSignature:
        return SIGNATURE

    async def model_infer(self, request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        return await self.infer(request)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def address(service: Service) -> AsyncIterator[str]:
    server, bound = await make_server("127.0.0.1:0", service)
    await server.start()
    yield bound
    await server.stop(0)


@pytest.fixture
async def client(address: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(address) as opened:
        yield opened


class TestClient:
    async def test_arrays_in_and_out(self, client: AsyncClient) -> None:
        outputs = await client.infer("m", {"x": np.zeros((1, 2), np.float32)}, deadline_ms=5000)

        np.testing.assert_array_equal(outputs["y"], np.ones((1, 2)))

    async def test_questions_about_the_server(self, client: AsyncClient) -> None:
        assert await client.is_live()
        assert not await client.is_ready()
        assert await client.is_model_ready("m")
        assert await client.server_metadata() == ("stub", "0")
        metadata = await client.model_metadata("m")
        assert (metadata.version, metadata.inputs, metadata.outputs) == ("3", SIGNATURE.inputs, SIGNATURE.outputs)
        with pytest.raises(ModelNotFound, match="unknown model 'q'"):
            await client.is_model_ready("q")

    async def test_an_overloaded_server_says_when_to_come_back(self, service: Service, client: AsyncClient) -> None:
        async def refuse(request: bytes) -> bytes:
            raise Overloaded("full", 120)

        service.infer = refuse

        with pytest.raises(Overloaded, match="full") as raised:
            await client.infer("m", {"x": np.zeros((1, 2), np.float32)})
        assert raised.value.retry_after_ms == 120

    async def test_an_array_without_a_datatype_never_leaves(self, client: AsyncClient) -> None:
        with pytest.raises(InvalidRequest, match="input 'x': an array of complex128"):
            await client.infer("m", {"x": np.zeros(2, complex)})

    async def test_a_ragged_list_never_leaves(self, client: AsyncClient) -> None:
        with pytest.raises(InvalidRequest, match="input 'x': makes no array; are its rows equally long"):
            await client.infer("m", {"x": [[1.0, 2.0], [3.0]]})

    async def test_an_answer_that_cannot_be_read_is_an_error(self, service: Service, client: AsyncClient) -> None:
        async def garbage(request: bytes) -> bytes:
            return b"\xff\xff"

        service.infer = garbage

        with pytest.raises(RequestError, match="cannot be read"):
            await client.infer("m", {"x": np.zeros((1, 2), np.float32)})

    async def test_an_unexpected_failure_of_the_server_tells_no_secrets(
        self, service: Service, client: AsyncClient
    ) -> None:
        async def fail(request: bytes) -> bytes:
            raise KeyError("secret")

        service.infer = fail

        with pytest.raises(RequestError, match="the server failed on this request") as raised:
            await client.infer("m", {"x": np.zeros((1, 2), np.float32)})
        assert "secret" not in str(raised.value)

    async def test_an_answer_to_a_question_that_cannot_be_read_is_an_error(self) -> None:
        async def garbage(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
            return b"\xff\xff"

        class Garbage(grpc.GenericRpcHandler):  # type: ignore[misc]
            def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
                return grpc.unary_unary_rpc_method_handler(garbage)

        server = grpc.aio.server()
        server.add_generic_rpc_handlers((Garbage(),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with AsyncClient(f"127.0.0.1:{port}") as client:
            with pytest.raises(RequestError, match=r"answer to .*/ServerLive cannot be read"):
                await client.is_live()
        await server.stop(0)

    async def test_the_request_carries_version_outputs_and_id(
        self, service: Service, client: AsyncClient, address: str
    ) -> None:
        seen: list[bytes] = []

        async def record(request: bytes) -> bytes:
            seen.append(request)
            return ANSWER

        def block() -> None:
            with Client(address) as blocking:
                blocking.infer("m", inputs, version="3", outputs=["y"], request_id="r7")

        service.infer = record
        inputs = {"x": np.zeros((1, 2), np.float32)}

        await client.infer("m", inputs, version="3", outputs=["y"], request_id="r7")
        await asyncio.to_thread(block)

        assert len(seen) == 2
        for sent in map(messages.ModelInferRequest.FromString, seen):
            assert (sent.model_name, sent.model_version, sent.id) == ("m", "3", "r7")
            assert [output.name for output in sent.outputs] == ["y"]

    async def test_a_deadline_ends_the_call(self, service: Service, client: AsyncClient, address: str) -> None:
        async def never(request: bytes) -> bytes:
            await asyncio.Event().wait()
            return ANSWER

        def block() -> None:
            with Client(address) as blocking, pytest.raises(DeadlineExceeded):
                blocking.infer("m", inputs, deadline_ms=50)

        service.infer = never
        inputs = {"x": np.zeros((1, 2), np.float32)}

        with pytest.raises(DeadlineExceeded):
            await client.infer("m", inputs, deadline_ms=50)
        await asyncio.to_thread(block)

    async def test_a_server_that_hangs_hangs_no_question(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Hung(Service):
            async def server_live(self) -> bool:
                await asyncio.Event().wait()
                return True

        def block() -> None:
            with Client(bound) as blocking, pytest.raises(DeadlineExceeded):
                blocking.is_live()

        monkeypatch.setattr(calls, "QUESTION_TIMEOUT_S", 0.05)
        server, bound = await make_server("127.0.0.1:0", Hung())
        await server.start()
        async with AsyncClient(bound) as client:
            with pytest.raises(DeadlineExceeded):
                await client.is_live()
        await asyncio.to_thread(block)
        await server.stop(0)

    async def test_nobody_at_the_address_is_unavailable(self) -> None:
        async with AsyncClient("127.0.0.1:1") as client:
            with pytest.raises(Unavailable):
                await client.is_live()


class TestBlockingClient:
    """It shares everything but the call itself with the other one, so only calls are tested here."""

    async def test_it_asks_and_infers(self, client: AsyncClient, address: str) -> None:
        def talk() -> None:
            with Client(address) as blocking:
                assert blocking.is_live()
                assert not blocking.is_ready()
                assert blocking.is_model_ready("m", "3")
                assert blocking.server_metadata() == ("stub", "0")
                assert blocking.model_metadata("m").inputs == SIGNATURE.inputs
                outputs = blocking.infer("m", {"x": np.zeros((1, 2), np.float32)}, deadline_ms=5000)
                np.testing.assert_array_equal(outputs["y"], np.ones((1, 2)))

        await asyncio.to_thread(talk)

    async def test_errors_are_typed(self, service: Service, address: str) -> None:
        async def refuse(request: bytes) -> bytes:
            raise Overloaded("full", 120)

        service.infer = refuse

        def talk() -> None:
            with Client(address) as blocking:
                with pytest.raises(ModelNotFound, match="unknown model 'q'"):
                    blocking.is_model_ready("q")
                with pytest.raises(Overloaded, match="full") as raised:
                    blocking.infer("m", {"x": np.zeros((1, 2), np.float32)})
                assert raised.value.retry_after_ms == 120

        await asyncio.to_thread(talk)

    async def test_threads_may_share_it(self, service: Service, address: str) -> None:
        async def double(request: bytes) -> bytes:
            rows = np.frombuffer(messages.ModelInferRequest.FromString(request).raw_input_contents[0], np.float32)
            return write_infer_response("m", "3", "", [("y", "FP32", (1, 2), 2 * rows.reshape(1, 2))])

        service.infer = double

        with Client(address) as blocking:

            def talk(number: int) -> bool:
                outputs = blocking.infer("m", {"x": np.full((1, 2), number, np.float32)}, deadline_ms=10_000)
                return bool(np.all(outputs["y"] == 2 * number))

            answers = await asyncio.gather(*(asyncio.to_thread(talk, number) for number in range(50)))

        assert answers == [True] * 50


class TestOpenLoop:
    async def test_every_request_ends_once_and_is_checked(self, service: Service, client: AsyncClient) -> None:
        async def refuse_some(request: bytes) -> bytes:
            if request == b"refuse":
                raise Overloaded("full")
            return request

        service.infer = refuse_some
        progress: list[int] = []
        loop = OpenLoop(client, [b"a", b"refuse", b"c"], check=lambda index, response: response != b"c")

        report = await loop.run(np.linspace(0, 0.3, 30), progress.append)

        assert report.statuses.count(OK) == 20
        assert report.statuses.count("Overloaded") == 10
        assert report.answers_wrong == 10
        assert progress[-1] == loop.sent == 30

    async def test_it_does_not_wait_for_answers_and_counts_from_the_planned_instant(
        self, service: Service, client: AsyncClient
    ) -> None:
        gate = asyncio.Event()
        arrived = 0

        async def stall(request: bytes) -> bytes:
            nonlocal arrived
            arrived += 1
            if arrived == 20:
                gate.set()  # only once every request is here: a closed loop would never get this far
            await gate.wait()
            return ANSWER

        service.infer = stall

        report = await OpenLoop(client, [b"a"]).run(np.linspace(0, 0.2, 20))

        assert report.statuses == (OK,) * 20
        # The first was planned first, so it waited longest: nothing of the stall is left out.
        assert report.latencies_ms[0] > report.latencies_ms[-1]
        assert report.latencies_ms[0] >= 200.0
