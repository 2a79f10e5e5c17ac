"""The router as a client sees it: answers, errors that name the field, deadlines, health and reflection."""

from __future__ import annotations

import math
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from integration.conftest import INGRESSES
from integration.router_process import CONFIG, RouterProcess

from mark import Client
from mark._core import parse_infer_response, write_infer_request
from mark.errors import DeadlineExceeded, InvalidRequest, ModelFailed, ModelNotFound, Overloaded, RequestError
from mark.protocol import messages

ROW = np.array([[1.0, 2.0, 3.0, 4.0]], dtype=np.float32)


@pytest.fixture(scope="module")
def client(router: RouterProcess):  # type: ignore[no-untyped-def]
    with Client(router.address) as opened:
        yield opened


def raw_call(router: RouterProcess, message: bytes, timeout_s: float = 5.0) -> bytes:
    with grpc.insecure_channel(router.address) as channel:
        return bytes(channel.unary_unary(messages.MODEL_INFER)(message, timeout=timeout_s))


def test_an_answer_is_the_models(client: Client) -> None:
    outputs = client.infer("doubler", {"x": ROW}, deadline_ms=10_000)

    np.testing.assert_array_equal(outputs["y"], 2 * ROW)


def test_several_rows_come_back_in_order(client: Client) -> None:
    rows = np.arange(32, dtype=np.float32).reshape(8, 4)

    np.testing.assert_array_equal(client.infer("doubler", {"x": rows})["y"], 2 * rows)


def test_concurrent_requests_each_get_their_own_answer(client: Client) -> None:
    def ask(number: int) -> bool:
        rows = np.full((1 + number % 3, 4), number, dtype=np.float32)
        return bool(np.array_equal(client.infer("doubler", {"x": rows})["y"], 2 * rows))

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(200)))


def test_nan_and_infinities_pass_through(client: Client) -> None:
    row = np.array([[math.nan, math.inf, -math.inf, -0.0]], dtype=np.float32)

    np.testing.assert_array_equal(client.infer("doubler", {"x": row})["y"], 2 * row)


def test_the_request_id_and_the_model_come_back(router: RouterProcess) -> None:
    message = write_infer_request("doubler", "1", "request-7", [("x", "FP32", (1, 4), ROW)], ["y"])

    response = parse_infer_response(raw_call(router, message))

    assert (response.model_name, response.model_version, response.id) == ("doubler", "1", "request-7")


def request(
    model: str = "doubler",
    version: str = "",
    datatype: str = "FP32",
    shape: tuple[int, ...] = (1, 4),
    raw: bytes = ROW.tobytes(),
    outputs: tuple[str, ...] = (),
) -> bytes:
    return write_infer_request(model, version, "", [("x", datatype, shape, raw)], outputs)


BAD_REQUESTS = {
    "unknown model": (request(model="tripler"), grpc.StatusCode.NOT_FOUND, "model_name"),
    "unknown version": (request(version="9"), grpc.StatusCode.NOT_FOUND, "model_version"),
    "wrong datatype": (request(datatype="FP64", raw=bytes(32)), grpc.StatusCode.INVALID_ARGUMENT, "inputs[0].datatype"),
    "wrong shape": (request(shape=(1, 3), raw=bytes(12)), grpc.StatusCode.INVALID_ARGUMENT, "inputs[0].shape"),
    "wrong rank": (request(shape=(4,)), grpc.StatusCode.INVALID_ARGUMENT, "inputs[0].shape"),
    "missing tensor": (write_infer_request("doubler", "", "", [], []), grpc.StatusCode.INVALID_ARGUMENT, "x"),
    "extra tensor": (
        write_infer_request("doubler", "", "", [("x", "FP32", (1, 4), ROW), ("z", "FP32", (1, 4), ROW)], []),
        grpc.StatusCode.INVALID_ARGUMENT,
        "z",
    ),
    "length does not match": (request(raw=bytes(15)), grpc.StatusCode.INVALID_ARGUMENT, "raw_input_contents[0]"),
    "zero rows": (request(shape=(0, 4), raw=b""), grpc.StatusCode.INVALID_ARGUMENT, "inputs[0].shape"),
    "too many rows": (request(shape=(9, 4), raw=bytes(144)), grpc.StatusCode.INVALID_ARGUMENT, "inputs[0].shape"),
    "unknown output": (request(outputs=("q",)), grpc.StatusCode.INVALID_ARGUMENT, "outputs[0]"),
    "truncated": (request()[:-3], grpc.StatusCode.INVALID_ARGUMENT, "ModelInferRequest"),
    "garbage": (b"\xff" * 40, grpc.StatusCode.INVALID_ARGUMENT, "ModelInferRequest"),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_a_bad_request_gets_its_status_and_names_the_field(router: RouterProcess, client: Client, name: str) -> None:
    message, code, words = BAD_REQUESTS[name]

    with pytest.raises(grpc.RpcError) as raised:
        raw_call(router, message)

    assert raised.value.code() is code
    assert words in raised.value.details()
    np.testing.assert_array_equal(client.infer("doubler", {"x": ROW})["y"], 2 * ROW)


def test_bad_requests_do_not_fail_the_others_of_their_batch(client: Client) -> None:
    beast = np.full((1, 4), 666.0, dtype=np.float32)

    def ask(number: int) -> str:
        rows = beast if number % 5 == 0 else np.full((1, 4), number, dtype=np.float32)
        try:
            outputs = client.infer("doubler", {"x": rows})
        except ModelFailed as error:
            return "failed" if "cannot double a beast" in str(error) and number % 5 == 0 else f"wrongly {error}"
        return "answered" if np.array_equal(outputs["y"], 2 * rows) else "wrong"

    with ThreadPoolExecutor(20) as pool:
        endings = list(pool.map(ask, range(100)))

    assert endings == ["failed" if number % 5 == 0 else "answered" for number in range(100)]


def test_a_deadline_in_the_past_is_told_apart(client: Client) -> None:
    with pytest.raises(DeadlineExceeded):
        client.infer("doubler", {"x": ROW}, deadline_ms=-1)


@pytest.mark.parametrize("ingress", INGRESSES)
def test_a_deadline_that_no_worker_can_meet_is_refused_at_once(make_router, ingress: str) -> None:  # type: ignore[no-untyped-def]
    # So slow a worker that the deadline leaves any machine the time to refuse.
    slow = CONFIG.replace("rt_max_ms: 2000", "rt_max_ms: 20000").replace("[[1, 4.0], [8, 8.0]]", "[[1, 15000.0]]")
    router = make_router(slow, "--set", f"server.ingress={ingress}")

    with Client(router.address) as client, pytest.raises(Overloaded, match="no worker can answer before the deadline"):
        client.infer("doubler", {"x": ROW}, deadline_ms=10_000)


def test_a_clients_deadline_is_honoured_while_the_worker_is_slow(client: Client) -> None:
    slow = np.array([[-1.0, 1.5, 0.0, 0.0]], dtype=np.float32)

    # Time enough to reach a worker: what is late before that is refused as overload.
    with pytest.raises(DeadlineExceeded):
        client.infer("doubler", {"x": slow}, deadline_ms=500)
    np.testing.assert_array_equal(client.infer("doubler", {"x": ROW})["y"], 2 * ROW)


def test_a_message_over_the_limit_is_refused(make_router) -> None:  # type: ignore[no-untyped-def]
    small = make_router(CONFIG, "--set", "server.message_bytes_max=1000")

    with pytest.raises(grpc.RpcError) as raised:
        raw_call(small, request(raw=bytes(2000)))

    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert parse_infer_response(raw_call(small, request())).model_name == "doubler"


class TestAboutTheServer:
    def test_live_ready_and_metadata(self, client: Client) -> None:
        assert client.is_live()
        assert client.is_ready()
        assert client.is_model_ready("doubler")
        assert client.is_model_ready("doubler", "1")
        signature = client.model_metadata("doubler")
        assert signature.inputs[0].name == "x"
        assert signature.outputs[0].shape == (-1, 4)
        assert client.server_metadata()[0] == "mark"

    def test_an_unknown_model_has_no_metadata(self, client: Client) -> None:
        with pytest.raises(ModelNotFound, match="served are doubler"):
            client.model_metadata("tripler")
        with pytest.raises(ModelNotFound):
            client.infer("tripler", {"x": ROW})

    def test_an_invalid_request_is_typed(self, client: Client) -> None:
        with pytest.raises(InvalidRequest, match="inputs"):
            client.infer("doubler", {"x": ROW[:, :2]})

    def test_the_standard_health_service_answers(self, router: RouterProcess) -> None:
        with grpc.insecure_channel(router.address) as channel:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)

        assert answer.status == health_pb2.HealthCheckResponse.SERVING

    def test_reflection_lists_the_services(self, router: RouterProcess) -> None:
        with grpc.insecure_channel(router.address) as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            services = set(database.get_services())
            described = database.FindFileContainingSymbol("inference.GRPCInferenceService")

        assert {"inference.GRPCInferenceService", "grpc.health.v1.Health", "mark.v1.Control"} <= services
        assert described.service[0].name == "GRPCInferenceService"

    def test_an_unknown_method_is_unimplemented(self, router: RouterProcess) -> None:
        with grpc.insecure_channel(router.address) as channel, pytest.raises(grpc.RpcError) as raised:
            channel.unary_unary("/inference.GRPCInferenceService/ModelTrain")(b"", timeout=5)

        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


TRITON_SCRIPT = textwrap.dedent(
    """
    import sys
    import numpy as np
    import tritonclient.grpc as triton

    client = triton.InferenceServerClient(sys.argv[1])
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("doubler")
    assert client.get_server_metadata().name == "mark"
    metadata = client.get_model_metadata("doubler")
    assert metadata.inputs[0].name == "x" and list(metadata.inputs[0].shape) == [-1, 4]
    rows = np.arange(8, dtype=np.float32).reshape(2, 4)
    tensor = triton.InferInput("x", rows.shape, "FP32")
    tensor.set_data_from_numpy(rows)
    result = client.infer("doubler", [tensor], request_id="a", outputs=[triton.InferRequestedOutput("y")])
    assert (result.as_numpy("y") == 2 * rows).all()

    # Typed contents: what clients without raw buffers send.
    message = triton.service_pb2.ModelInferRequest(model_name="doubler", id="b")
    typed = message.inputs.add(name="x", datatype="FP32", shape=[2, 4])
    typed.contents.fp32_contents.extend(rows.ravel().tolist())
    answer = triton.service_pb2_grpc.GRPCInferenceServiceStub(client._channel).ModelInfer(message)
    assert answer.id == "b"
    assert (np.frombuffer(answer.raw_output_contents[0], np.float32).reshape(2, 4) == 2 * rows).all()

    try:
        client.infer("tripler", [tensor])
    except triton.InferenceServerException as error:
        assert "NOT_FOUND" in error.status(), error.status()
    else:
        raise SystemExit("an unknown model was served")
    print("agreed")
    """
)


def test_nvidias_client_works_unchanged(router: RouterProcess) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRITON_SCRIPT, router.address], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stdout.strip() == "agreed", done.stderr


def test_every_error_is_a_request_error() -> None:
    assert all(issubclass(kind, RequestError) for kind in (DeadlineExceeded, InvalidRequest, ModelFailed))
