"""Requests that the codec refuses, and what it says of them."""

from __future__ import annotations

from typing import Any

import pytest
from tritonclient.grpc import service_pb2
from unit.oip_messages import SIGNATURE, fault, one_input, protobuf_request

from mark import _core
from mark._core import RequestFault, RequestFaultInfo


def test_every_prefix_of_a_message_is_refused_or_complete() -> None:
    data = protobuf_request().SerializeToString()

    refused = [_core.parse_infer_request(data[:end], SIGNATURE) for end in range(len(data))]

    assert all(isinstance(result, RequestFaultInfo) for result in refused)


@pytest.mark.parametrize("data", [b"\xff" * 30, b"\x0a\xff\xff\xff\xff\x0f", b"\x00", b"\x0c", b"\x2a\x02\xff\xff"])
def test_garbage_is_malformed(data: bytes) -> None:
    assert fault(data).fault is RequestFault.MALFORMED


def test_another_model_and_another_version_are_told_apart() -> None:
    assert fault(protobuf_request(model_name="other")).fault is RequestFault.UNKNOWN_MODEL
    assert fault(protobuf_request(model_version="2")).fault is RequestFault.UNKNOWN_VERSION


def change_tensor(**changes: Any) -> Any:
    message = protobuf_request()
    for name, value in changes.items():
        if name == "shape":
            del message.inputs[0].shape[:]
            message.inputs[0].shape.extend(value)
        else:
            setattr(message.inputs[0], name, value)
    return message


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"datatype": "FP64"}, "inputs[0].datatype", "is 'FP64', but 'image' takes FP32"),
        ({"datatype": ""}, "inputs[0].datatype", "takes FP32"),
        ({"name": "picture"}, "inputs[0].name", "'picture' is no input of the model; it takes 'image'"),
        ({"shape": [2, 2]}, "inputs[0].shape", "has 3 dimensions: [-1, 2, 2]"),
        ({"shape": [2, 2, 3]}, "inputs[0].shape", "is [2, 2, 3], but 'image' takes [-1, 2, 2]"),
        ({"shape": [0, 2, 2]}, "inputs[0].shape", "at least one row"),
        ({"shape": [-2, 2, 2]}, "inputs[0].shape", "at least one row"),
        ({"shape": [5, 2, 2]}, "inputs[0].shape", "has 5 rows, more than the 4"),
        (
            {"shape": [1, 2, 2]},
            "raw_input_contents[0]",
            "has 32 bytes, but FP32 of shape [1, 2, 2] takes 4 elements",
        ),
    ],
)
def test_a_wrong_tensor_is_named(changes: dict[str, Any], field: str, words: str) -> None:
    refused = fault(change_tensor(**changes))

    assert refused.fault is RequestFault.INVALID
    assert refused.field == field
    assert words in refused.message


def test_a_shape_that_overflows_is_refused() -> None:
    message = service_pb2.ModelInferRequest(model_name="m", raw_input_contents=[b""])
    message.inputs.add(name="x", datatype="INT8", shape=[2, 2**62, 2**62])

    assert "too large" in fault(message, one_input("INT8", [-1, -1, -1])).message


def test_a_negative_variable_dimension_is_refused() -> None:
    message = service_pb2.ModelInferRequest(model_name="m", raw_input_contents=[b""])
    message.inputs.add(name="x", datatype="INT8", shape=[2, -3])

    assert fault(message, one_input("INT8", [-1, -1])).field == "inputs[0].shape"


TWO_INPUTS = _core.ModelSignature("m", "1", [("a", "INT8", [-1]), ("b", "INT8", [-1])], [("y", "INT8", [-1])], 9)


def test_missing_and_double_inputs_are_refused() -> None:
    missing = service_pb2.ModelInferRequest(model_name="digits")
    double = service_pb2.ModelInferRequest(model_name="m", raw_input_contents=[b"\1", b"\2"])
    double.inputs.add(name="a", datatype="INT8", shape=[1])
    double.inputs.add(name="a", datatype="INT8", shape=[1])

    assert "'image' is missing" in fault(missing).message
    assert "'a' is given twice" in fault(double, TWO_INPUTS).message


def test_raw_and_typed_contents_exclude_each_other() -> None:
    message = protobuf_request()
    message.inputs[0].contents.fp32_contents.append(1.0)

    assert fault(message).field == "inputs[0].contents"


def test_one_raw_entry_is_needed_for_each_input() -> None:
    message = service_pb2.ModelInferRequest(model_name="m", raw_input_contents=[b"\1"])
    message.inputs.add(name="a", datatype="INT8", shape=[1])
    message.inputs.add(name="b", datatype="INT8", shape=[1])

    assert "has 1 entries for 2 inputs" in fault(message, TWO_INPUTS).message


def test_contents_of_another_type_are_refused() -> None:
    message = service_pb2.ModelInferRequest(model_name="m")
    message.inputs.add(name="x", datatype="INT8", shape=[1]).contents.fp32_contents.append(1.0)

    assert "another datatype than INT8" in fault(message, one_input("INT8")).message


def test_a_value_out_of_range_is_refused() -> None:
    message = service_pb2.ModelInferRequest(model_name="m")
    message.inputs.add(name="x", datatype="INT8", shape=[1]).contents.int_contents.append(200)

    assert "200, which is out of range for INT8" in fault(message, one_input("INT8")).message


def test_half_floats_travel_only_raw() -> None:
    message = service_pb2.ModelInferRequest(model_name="m")
    message.inputs.add(name="x", datatype="FP16", shape=[1]).contents.fp32_contents.append(1.0)

    assert "FP16 travels only as raw contents" in fault(message, one_input("FP16")).message


@pytest.mark.parametrize("raw", [b"\1", b"\5\0\0\0abc", b"\1\0\0\0a" * 2])
def test_raw_bytes_must_fit_their_lengths_and_the_shape(raw: bytes) -> None:
    message = service_pb2.ModelInferRequest(model_name="m", raw_input_contents=[raw])
    message.inputs.add(name="x", datatype="BYTES", shape=[1])

    assert fault(message, one_input("BYTES")).field == "raw_input_contents[0]"


def test_inputs_must_agree_on_rows() -> None:
    message = service_pb2.ModelInferRequest(model_name="m", raw_input_contents=[b"\2", b"\1\1"])
    message.inputs.add(name="b", datatype="INT8", shape=[1])
    message.inputs.add(name="a", datatype="INT8", shape=[2])

    assert "has 2 rows, but another input has 1" in fault(message, TWO_INPUTS).message


def test_unknown_and_double_outputs_are_refused() -> None:
    unknown, double = protobuf_request(), protobuf_request()
    unknown.outputs.add(name="softmax")
    double.outputs.add(name="label")
    double.outputs.add(name="label")

    assert "'softmax' is no output of the model; it gives 'logits', 'label'" in fault(unknown).message
    assert "asked for twice" in fault(double).message


def test_shared_memory_is_refused_instead_of_ignored() -> None:
    into, out = protobuf_request(), protobuf_request()
    into.inputs[0].parameters["shared_memory_region"].string_param = "region"
    out.outputs.add(name="label").parameters["shared_memory_region"].string_param = "region"

    assert "shared memory is not supported" in fault(into).message
    assert "shared memory is not supported" in fault(out).message


def test_a_name_in_other_letters_does_not_break_the_message() -> None:
    assert r"\xc3\xa9\x00a" in fault(protobuf_request(model_name="\u00e9\0a")).message


def test_garbage_without_a_target_is_told() -> None:
    assert isinstance(_core.scan_target(b"\xff" * 20), RequestFaultInfo)
