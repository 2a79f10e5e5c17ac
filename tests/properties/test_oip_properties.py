"""The codec on any bytes: it answers, never crashes, and agrees with protobuf on what is valid."""

from __future__ import annotations

import contextlib

import numpy as np
from hypothesis import event, given
from hypothesis import strategies as st
from properties.oip_reference import INPUTS, OUTPUTS, ROWS_MAX, TYPES, Reading, read_request, read_response
from properties.wire_strategies import changed
from tritonclient.grpc import service_pb2
from unit.oip_messages import chunk

from mark import _core

SIGNATURE = _core.ModelSignature("m", "1", INPUTS, OUTPUTS, ROWS_MAX)


@st.composite
def messages(draw: st.DrawFn) -> service_pb2.ModelInferRequest:
    """A valid request, raw or typed, with what protobuf allows around it."""
    rows = draw(st.integers(1, 5))
    numbers = draw(st.lists(st.floats(width=32), min_size=2 * rows, max_size=2 * rows))
    words = draw(st.lists(st.binary(max_size=9), min_size=rows, max_size=rows))
    width = draw(st.integers(0, 3))
    bytes_ = draw(st.lists(st.integers(-128, 127), min_size=width * rows, max_size=width * rows))
    message = service_pb2.ModelInferRequest(model_name="m", id=draw(st.text(max_size=5)))
    a = message.inputs.add(name="a", datatype="FP32", shape=[rows, 2])
    b = message.inputs.add(name="b", datatype="BYTES", shape=[rows])
    c = message.inputs.add(name="c", datatype="INT8", shape=[rows, width])
    if draw(st.booleans()):
        message.raw_input_contents.append(np.array(numbers, np.float32).tobytes())
        message.raw_input_contents.append(b"".join(len(w).to_bytes(4, "little") + w for w in words))
        message.raw_input_contents.append(np.array(bytes_, np.int8).tobytes())
    else:
        a.contents.fp32_contents.extend(numbers)
        b.contents.bytes_contents.extend(words)
        c.contents.int_contents.extend(bytes_)
    for name in draw(st.lists(st.sampled_from(["y", "z"]), unique=True)):
        message.outputs.add(name=name)
    if draw(st.booleans()):
        message.parameters["p"].int64_param = draw(st.integers(-5, 5))
    return message


def whole_request() -> service_pb2.ModelInferRequest:
    raw = [bytes(8), bytes(4), b""]
    message = service_pb2.ModelInferRequest(model_name="m", raw_input_contents=raw)
    for (name, datatype, _), shape in zip(INPUTS, ([1, 2], [1], [1, 0]), strict=True):
        message.inputs.add(name=name, datatype=datatype, shape=shape)
    return message


@given(st.binary(max_size=200))
def test_any_bytes_are_answered(data: bytes) -> None:
    for result in (_core.scan_target(data), _core.parse_infer_request(data, SIGNATURE)):
        if isinstance(result, _core.RequestFaultInfo):
            assert result.message.isprintable()
    with contextlib.suppress(ValueError):  # which is an answer, too
        _core.parse_infer_response(data)


def same(ours: list[tuple[str, str, list[int], bytes]], theirs: list[tuple[str, str, list[int], bytes]]) -> bool:
    """Equal, but that Python does not tell one NaN from another."""

    def plain(tensors: list[tuple[str, str, list[int], bytes]]) -> list[tuple[str, str, list[int], object]]:
        return [
            (name, kind, shape, repr(np.frombuffer(raw, TYPES[kind][1]).tolist()) if kind.startswith("FP") else raw)
            for name, kind, shape, raw in tensors
        ]

    return plain(ours) == plain(theirs)


def check_request(wire: bytes) -> None:
    meant = read_request(wire)
    result = _core.parse_infer_request(wire, SIGNATURE)

    event("valid" if meant else "not valid")
    if meant is None:
        assert isinstance(result, _core.RequestFaultInfo)
        assert result.field in result.message
        return
    assert isinstance(result, _core.InferRequest), result.message
    tensors = [(name, kind, result.shape(i), result.raw(i)) for i, (name, kind, _) in enumerate(INPUTS)]
    assert result.id == meant.id
    assert result.rows == meant.tensors[0][2][0]
    assert result.outputs == meant.outputs
    assert same(tensors, meant.tensors)


def check_response(wire: bytes) -> None:
    meant = read_response(wire)
    try:
        response = _core.parse_infer_response(wire)
    except ValueError:
        assert meant is None
        return
    assert isinstance(meant, Reading)
    assert response.id == meant.id
    assert same(response.tensors, meant.tensors)


@given(messages())
def test_a_request_that_protobuf_wrote_means_what_protobuf_says(message: service_pb2.ModelInferRequest) -> None:
    assert read_request(message.SerializeToString()) is not None
    check_request(message.SerializeToString())


@given(messages(), st.data())
def test_a_changed_request_is_accepted_exactly_if_protobuf_reads_it_and_it_fits(
    message: service_pb2.ModelInferRequest, data: st.DataObject
) -> None:
    wire = message.SerializeToString()
    for _ in range(data.draw(st.integers(1, 3))):
        wire = data.draw(changed(wire))

    check_request(wire)


@given(messages(), st.data())
def test_a_damaged_request_is_accepted_exactly_if_protobuf_reads_it_and_it_fits(
    message: service_pb2.ModelInferRequest, data: st.DataObject
) -> None:
    wire = bytearray(message.SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))

    check_request(bytes(wire))


@st.composite
def responses(draw: st.DrawFn) -> service_pb2.ModelInferResponse:
    """A valid response of one or two outputs of any type."""
    response = service_pb2.ModelInferResponse(model_name="m", id=draw(st.text(max_size=5)))
    is_raw = draw(st.booleans())
    for name in ("y", "z")[: draw(st.integers(1, 2))]:
        datatype = draw(st.sampled_from(sorted(TYPES)))
        field, dtype = TYPES[datatype]
        shape = draw(st.lists(st.integers(0, 3), min_size=1, max_size=2))
        count = int(np.prod(shape))
        tensor = response.outputs.add(name=name, datatype=datatype, shape=shape)
        if is_raw:
            response.raw_output_contents.append(bytes(4 * count if dtype is None else count * np.dtype(dtype).itemsize))
        elif field:
            getattr(tensor.contents, field).extend([b"ab" if dtype is None else dtype(1).item()] * count)
    return response


@given(responses(), st.data())
def test_a_changed_response_is_accepted_exactly_if_protobuf_reads_it_and_it_fits(
    response: service_pb2.ModelInferResponse, data: st.DataObject
) -> None:
    wire = response.SerializeToString()
    for _ in range(data.draw(st.integers(0, 3))):
        wire = data.draw(changed(wire))

    check_response(wire)


@given(st.one_of(st.binary(max_size=6), st.text(max_size=4).map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_text_is_what_protobuf_takes_for_text(text: bytes) -> None:
    check_request(whole_request().SerializeToString() + chunk(3, text))
    check_response(chunk(3, text))


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
        asked_for = [output.name for output in message.outputs] or ["y", "z"]
        expected = {"y": alone.raw(0), "z": alone.raw(1)}
        assert [(tensor[0], tensor[3]) for tensor in answers[number].tensors] == [
            (name, expected[name]) for name in asked_for
        ]
