"""Valid requests as the codec reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tritonclient.grpc import service_pb2
from unit.oip_messages import IMAGE, SIGNATURE, one_input, parsed, protobuf_request

from mark import _core


def test_a_raw_request_is_read() -> None:
    request = parsed(protobuf_request())

    assert (request.id, request.rows, request.outputs) == ("r1", 2, [0, 1])
    assert request.shape(0) == [2, 2, 2]
    assert request.raw(0) == IMAGE.tobytes()


@pytest.mark.parametrize(
    ("datatype", "field", "values", "dtype"),
    [
        ("BOOL", "bool_contents", [True, False, True], np.bool_),
        ("INT8", "int_contents", [-128, 0, 127], np.int8),
        ("INT16", "int_contents", [-32768, 5, 32767], np.int16),
        ("INT32", "int_contents", [-(2**31), -1, 2**31 - 1], np.int32),
        ("INT64", "int64_contents", [-(2**63), -1, 2**63 - 1], np.int64),
        ("UINT8", "uint_contents", [0, 200, 255], np.uint8),
        ("UINT16", "uint_contents", [0, 300, 65535], np.uint16),
        ("UINT32", "uint_contents", [0, 1, 2**32 - 1], np.uint32),
        ("UINT64", "uint64_contents", [0, 1, 2**64 - 1], np.uint64),
        ("FP32", "fp32_contents", [1.5, float("nan"), float("-inf")], np.float32),
        ("FP64", "fp64_contents", [1.5, float("inf"), -0.0], np.float64),
    ],
)
def test_typed_contents_become_raw(datatype: str, field: str, values: list[Any], dtype: Any) -> None:
    message = service_pb2.ModelInferRequest(model_name="m")
    tensor = message.inputs.add(name="x", datatype=datatype, shape=[3])
    getattr(tensor.contents, field).extend(values)

    request = parsed(message, one_input(datatype))

    assert request.raw(0) == np.array(values, dtype=dtype).tobytes()


def test_typed_bytes_become_length_prefixed() -> None:
    message = service_pb2.ModelInferRequest(model_name="m")
    tensor = message.inputs.add(name="x", datatype="BYTES", shape=[2])
    tensor.contents.bytes_contents.extend([b"", b"abc"])

    assert parsed(message, one_input("BYTES")).raw(0) == b"\0\0\0\0" + b"\3\0\0\0abc"


def test_inputs_may_come_in_any_order() -> None:
    signature = _core.ModelSignature("m", "1", [("a", "INT8", [-1]), ("b", "INT8", [-1])], [("y", "INT8", [-1])], 9)
    message = service_pb2.ModelInferRequest(model_name="m", raw_input_contents=[b"\2", b"\1"])
    message.inputs.add(name="b", datatype="INT8", shape=[1])
    message.inputs.add(name="a", datatype="INT8", shape=[1])

    request = parsed(message, signature)

    assert (request.raw(0), request.raw(1)) == (b"\1", b"\2")


def test_asked_outputs_keep_their_order() -> None:
    message = protobuf_request()
    message.outputs.add(name="label")
    message.outputs.add(name="logits")

    assert parsed(message).outputs == [1, 0]


def test_unknown_fields_and_parameters_are_skipped() -> None:
    message = protobuf_request()
    message.parameters["priority"].int64_param = 3
    message.inputs[0].parameters["note"].string_param = "hello"
    data = message.SerializeToString() + b"\xa2\x06\x03abc" + b"\xa8\x06\x05"

    assert isinstance(_core.parse_infer_request(data, SIGNATURE), _core.InferRequest)


def test_a_variable_dimension_takes_any_size() -> None:
    message = service_pb2.ModelInferRequest(model_name="m", raw_input_contents=[bytes(6)])
    message.inputs.add(name="x", datatype="INT8", shape=[2, 3])

    assert parsed(message, one_input("INT8", [-1, -1])).shape(0) == [2, 3]


def test_model_and_version_are_found() -> None:
    assert _core.scan_target(protobuf_request(model_version="1").SerializeToString()) == ("digits", "1")
