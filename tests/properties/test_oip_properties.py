"""The codec on any bytes: it answers, never crashes, and agrees with protobuf on what is valid."""

from __future__ import annotations

import contextlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from mark import _core

SIGNATURE = _core.ModelSignature(
    "m", "1", [("a", "FP32", [-1, 2]), ("b", "BYTES", [-1])], [("y", "FP32", [-1, 2]), ("z", "BYTES", [-1])], 64
)


@st.composite
def messages(draw: st.DrawFn) -> service_pb2.ModelInferRequest:
    """A valid request, raw or typed, with what protobuf allows around it."""
    rows = draw(st.integers(1, 5))
    numbers = draw(st.lists(st.floats(width=32), min_size=2 * rows, max_size=2 * rows))
    words = draw(st.lists(st.binary(max_size=9), min_size=rows, max_size=rows))
    message = service_pb2.ModelInferRequest(model_name="m", id=draw(st.text(max_size=5)))
    a = message.inputs.add(name="a", datatype="FP32", shape=[rows, 2])
    b = message.inputs.add(name="b", datatype="BYTES", shape=[rows])
    if draw(st.booleans()):
        message.raw_input_contents.append(np.array(numbers, np.float32).tobytes())
        message.raw_input_contents.append(b"".join(len(w).to_bytes(4, "little") + w for w in words))
    else:
        a.contents.fp32_contents.extend(numbers)
        b.contents.bytes_contents.extend(words)
    if draw(st.booleans()):
        message.parameters["p"].int64_param = draw(st.integers(-5, 5))
    return message


@given(st.binary(max_size=200))
def test_any_bytes_are_answered(data: bytes) -> None:
    for result in (_core.scan_target(data), _core.parse_infer_request(data, SIGNATURE)):
        if isinstance(result, _core.RequestFaultInfo):
            assert result.message.isprintable()
    with contextlib.suppress(ValueError):  # which is an answer, too
        _core.parse_infer_response(data)


@given(messages(), st.data())
def test_a_damaged_message_is_answered(message: service_pb2.ModelInferRequest, data: st.DataObject) -> None:
    wire = bytearray(message.SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))

    result = _core.parse_infer_request(bytes(wire), SIGNATURE)

    assert isinstance(result, (_core.InferRequest, _core.RequestFaultInfo))


@given(st.lists(messages(), min_size=1, max_size=6))
def test_what_goes_through_a_batch_comes_back_to_its_request(asked: list[service_pb2.ModelInferRequest]) -> None:
    endpoint = _core.Endpoint(SIGNATURE, _core.DispatcherParams(10**9, rows_max=64))
    endpoint.worker_up(1, _core.WorkerSpec(_core.LatencyProfile([1], [1000]), rows_max=64), 0)
    ids = [endpoint.submit(message.SerializeToString(), 10**9, 0) for message in asked]
    assert all(isinstance(request, int) for request in ids)
    answers: dict[int, _core.InferResponse] = {}
    now_ns = 0
    while len(answers) < len(ids):
        batches, _ = endpoint.poll(now_ns)
        now_ns += 1000
        for batch in batches:
            sent = _core.parse_infer_request(batch.message, SIGNATURE)
            assert isinstance(sent, _core.InferRequest)
            response = _core.write_infer_response(
                "m", "1", "", [("y", "FP32", sent.shape(0), sent.raw(0)), ("z", "BYTES", sent.shape(1), sent.raw(1))]
            )
            for request, reply, _, _ in endpoint.complete(batch.batch, response, now_ns):
                answers[request] = _core.parse_infer_response(reply or b"")

    for number, message in zip(ids, asked, strict=True):
        assert isinstance(number, int)
        alone = _core.parse_infer_request(message.SerializeToString(), SIGNATURE)
        assert isinstance(alone, _core.InferRequest)
        assert answers[number].id == message.id
        assert [tensor[3] for tensor in answers[number].tensors] == [alone.raw(0), alone.raw(1)]
