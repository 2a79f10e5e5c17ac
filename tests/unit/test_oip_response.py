"""What the codec writes, and responses as a client reads them."""

from __future__ import annotations

import struct

import pytest
from tritonclient.grpc import service_pb2
from unit.oip_messages import IMAGE, SIGNATURE

from mark import _core


def test_a_written_request_is_protobufs() -> None:
    data = _core.write_infer_request("digits", "1", "id", [("image", "FP32", [2, 2, 2], IMAGE)], ["label"])

    message = service_pb2.ModelInferRequest.FromString(data)
    assert (message.model_name, message.model_version, message.id) == ("digits", "1", "id")
    assert list(message.inputs[0].shape) == [2, 2, 2]
    assert message.outputs[0].name == "label"
    assert message.raw_input_contents[0] == IMAGE.tobytes()
    assert isinstance(_core.parse_infer_request(data, SIGNATURE), _core.InferRequest)


def test_a_written_response_is_protobufs_and_comes_back() -> None:
    data = _core.write_infer_response("digits", "1", "id", [("logits", "FP32", [2, 4], IMAGE)])

    message = service_pb2.ModelInferResponse.FromString(data)
    assert message.raw_output_contents[0] == IMAGE.tobytes()
    response = _core.parse_infer_response(data)
    assert response.tensors == [("logits", "FP32", [2, 4], IMAGE.tobytes())]


def test_a_strided_array_is_refused() -> None:
    with pytest.raises(ValueError, match="'image' must be contiguous"):
        _core.write_infer_request("m", "", "", [("image", "FP32", [2], IMAGE[:, 0, 0])], [])


def test_a_response_in_typed_contents_is_read() -> None:
    message = service_pb2.ModelInferResponse(model_name="m")
    message.outputs.add(name="y", datatype="FP32", shape=[2]).contents.fp32_contents.extend([1.0, 2.0])

    tensors = _core.parse_infer_response(message.SerializeToString()).tensors

    assert tensors == [("y", "FP32", [2], struct.pack("<2f", 1.0, 2.0))]


@pytest.mark.parametrize(
    ("shape", "raw", "words"),
    [
        ([3], b"\0" * 8, r"outputs\[0\]: its raw contents do not fit FP32 of shape \[3\]"),
        ([-1], b"", r"outputs\[0\].shape: is \[-1\]"),
        ([2**62, 2], b"", r"outputs\[0\].shape: is \[4611686018427387904, 2\]"),
    ],
)
def test_a_response_whose_contents_do_not_fit_is_refused(shape: list[int], raw: bytes, words: str) -> None:
    message = service_pb2.ModelInferResponse(model_name="m", raw_output_contents=[raw])
    message.outputs.add(name="y", datatype="FP32", shape=shape)

    with pytest.raises(ValueError, match=words):
        _core.parse_infer_response(message.SerializeToString())


def test_a_garbage_response_is_refused() -> None:
    with pytest.raises(ValueError, match="truncated or garbage"):
        _core.parse_infer_response(b"\x0a\xff")


def test_an_output_that_is_given_twice_is_refused() -> None:
    message = service_pb2.ModelInferResponse(raw_output_contents=[b"\1", b"\2"])
    message.outputs.add(name="y", datatype="INT8", shape=[1])
    message.outputs.add(name="y", datatype="INT8", shape=[1])

    with pytest.raises(ValueError, match="output 'y' is given twice"):
        _core.parse_infer_response(message.SerializeToString())


def test_typed_contents_beside_raw_ones_are_refused() -> None:
    message = service_pb2.ModelInferResponse(raw_output_contents=[b"\1"])
    message.outputs.add(name="y", datatype="INT8", shape=[1]).contents.int_contents.append(1)

    with pytest.raises(ValueError, match=r"outputs\[0\].contents"):
        _core.parse_infer_response(message.SerializeToString())
