"""The wire codec against messages that protobuf itself wrote, by the classes of NVIDIA's client."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from mark import _core
from mark._core import RequestFault, RequestFaultInfo

SIGNATURE = _core.ModelSignature(
    "digits", "1", [("image", "FP32", [-1, 2, 2])], [("logits", "FP32", [-1, 3]), ("label", "BYTES", [-1])], 4
)
IMAGE = np.arange(8, dtype=np.float32).reshape(2, 2, 2)


def protobuf_request(**changes: Any) -> Any:
    message = service_pb2.ModelInferRequest(model_name="digits", id="r1")
    message.inputs.add(name="image", datatype="FP32", shape=[2, 2, 2])
    message.raw_input_contents.append(IMAGE.tobytes())
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def parsed(message: Any, signature: _core.ModelSignature = SIGNATURE) -> _core.InferRequest:
    request = _core.parse_infer_request(message.SerializeToString(), signature)
    assert isinstance(request, _core.InferRequest), request.message
    return request


def fault(message: Any, signature: _core.ModelSignature = SIGNATURE) -> RequestFaultInfo:
    data = message if isinstance(message, bytes) else message.SerializeToString()
    refused = _core.parse_infer_request(data, signature)
    assert isinstance(refused, RequestFaultInfo)
    assert refused.field
    assert refused.field in refused.message
    return refused


def one_input(datatype: str, shape: list[int] | None = None) -> _core.ModelSignature:
    return _core.ModelSignature("m", "1", [("x", datatype, shape or [-1])], [("y", datatype, [-1])], 100)


class TestParse:
    def test_a_raw_request_is_read(self) -> None:
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
    def test_typed_contents_become_raw(self, datatype: str, field: str, values: list[Any], dtype: Any) -> None:
        message = service_pb2.ModelInferRequest(model_name="m")
        tensor = message.inputs.add(name="x", datatype=datatype, shape=[3])
        getattr(tensor.contents, field).extend(values)

        request = parsed(message, one_input(datatype))

        assert request.raw(0) == np.array(values, dtype=dtype).tobytes()

    def test_typed_bytes_become_length_prefixed(self) -> None:
        message = service_pb2.ModelInferRequest(model_name="m")
        tensor = message.inputs.add(name="x", datatype="BYTES", shape=[2])
        tensor.contents.bytes_contents.extend([b"", b"abc"])

        assert parsed(message, one_input("BYTES")).raw(0) == b"\0\0\0\0" + b"\3\0\0\0abc"

    def test_inputs_may_come_in_any_order(self) -> None:
        signature = _core.ModelSignature("m", "1", [("a", "INT8", [-1]), ("b", "INT8", [-1])], [("y", "INT8", [-1])], 9)
        message = service_pb2.ModelInferRequest(model_name="m", raw_input_contents=[b"\2", b"\1"])
        message.inputs.add(name="b", datatype="INT8", shape=[1])
        message.inputs.add(name="a", datatype="INT8", shape=[1])

        request = parsed(message, signature)

        assert (request.raw(0), request.raw(1)) == (b"\1", b"\2")

    def test_asked_outputs_keep_their_order(self) -> None:
        message = protobuf_request()
        message.outputs.add(name="label")
        message.outputs.add(name="logits")

        assert parsed(message).outputs == [1, 0]

    def test_unknown_fields_and_parameters_are_skipped(self) -> None:
        message = protobuf_request()
        message.parameters["priority"].int64_param = 3
        message.inputs[0].parameters["note"].string_param = "hello"
        data = message.SerializeToString() + b"\xa2\x06\x03abc" + b"\xa8\x06\x05"

        assert isinstance(_core.parse_infer_request(data, SIGNATURE), _core.InferRequest)

    def test_a_variable_dimension_takes_any_size(self) -> None:
        message = service_pb2.ModelInferRequest(model_name="m", raw_input_contents=[bytes(6)])
        message.inputs.add(name="x", datatype="INT8", shape=[2, 3])

        assert parsed(message, one_input("INT8", [-1, -1])).shape(0) == [2, 3]


class TestFaults:
    def test_every_prefix_of_a_message_is_refused_or_complete(self) -> None:
        data = protobuf_request().SerializeToString()

        refused = [_core.parse_infer_request(data[:end], SIGNATURE) for end in range(len(data))]

        assert all(isinstance(result, RequestFaultInfo) for result in refused)

    @pytest.mark.parametrize(
        "data", [b"\xff" * 30, b"\x0a\xff\xff\xff\xff\x0f", b"\x00", b"\x0b\x0c", b"\x2a\x02\xff\xff"]
    )
    def test_garbage_is_malformed(self, data: bytes) -> None:
        assert fault(data).fault is RequestFault.MALFORMED

    def test_another_model_and_another_version_are_told_apart(self) -> None:
        assert fault(protobuf_request(model_name="other")).fault is RequestFault.UNKNOWN_MODEL
        assert fault(protobuf_request(model_version="2")).fault is RequestFault.UNKNOWN_VERSION

    def change_tensor(self, **changes: Any) -> Any:
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
    def test_a_wrong_tensor_is_named(self, changes: dict[str, Any], field: str, words: str) -> None:
        refused = fault(self.change_tensor(**changes))

        assert refused.fault is RequestFault.INVALID
        assert refused.field == field
        assert words in refused.message

    def test_a_shape_that_overflows_is_refused(self) -> None:
        message = service_pb2.ModelInferRequest(model_name="m", raw_input_contents=[b""])
        message.inputs.add(name="x", datatype="INT8", shape=[2, 2**62, 2**62])

        assert "too large" in fault(message, one_input("INT8", [-1, -1, -1])).message

    def test_a_negative_variable_dimension_is_refused(self) -> None:
        message = service_pb2.ModelInferRequest(model_name="m", raw_input_contents=[b""])
        message.inputs.add(name="x", datatype="INT8", shape=[2, -3])

        assert fault(message, one_input("INT8", [-1, -1])).field == "inputs[0].shape"

    def test_missing_extra_and_double_inputs_are_refused(self) -> None:
        missing = service_pb2.ModelInferRequest(model_name="digits")
        double = protobuf_request()
        double.inputs.append(double.inputs[0])
        double.raw_input_contents.append(IMAGE.tobytes())

        assert "'image' is missing" in fault(missing).message
        assert "'image' is given twice" in fault(double).message

    def test_raw_and_typed_contents_exclude_each_other(self) -> None:
        message = protobuf_request()
        message.inputs[0].contents.fp32_contents.append(1.0)

        assert fault(message).field == "inputs[0].contents"

    def test_one_raw_entry_is_needed_for_each_input(self) -> None:
        message = protobuf_request()
        message.raw_input_contents.append(b"")

        assert "has 2 entries for 1 inputs" in fault(message).message

    def test_contents_of_another_type_are_refused(self) -> None:
        message = service_pb2.ModelInferRequest(model_name="m")
        message.inputs.add(name="x", datatype="INT8", shape=[1]).contents.fp32_contents.append(1.0)

        assert "another datatype than INT8" in fault(message, one_input("INT8")).message

    def test_a_value_out_of_range_is_refused(self) -> None:
        message = service_pb2.ModelInferRequest(model_name="m")
        message.inputs.add(name="x", datatype="INT8", shape=[1]).contents.int_contents.append(200)

        assert "200, which is out of range for INT8" in fault(message, one_input("INT8")).message

    def test_half_floats_travel_only_raw(self) -> None:
        message = service_pb2.ModelInferRequest(model_name="m")
        message.inputs.add(name="x", datatype="FP16", shape=[1]).contents.fp32_contents.append(1.0)

        assert "FP16 travels only as raw contents" in fault(message, one_input("FP16")).message

    @pytest.mark.parametrize("raw", [b"\1", b"\5\0\0\0abc", b"\1\0\0\0a" * 2])
    def test_raw_bytes_must_fit_their_lengths_and_the_shape(self, raw: bytes) -> None:
        message = service_pb2.ModelInferRequest(model_name="m", raw_input_contents=[raw])
        message.inputs.add(name="x", datatype="BYTES", shape=[1])

        assert fault(message, one_input("BYTES")).field == "raw_input_contents[0]"

    def test_inputs_must_agree_on_rows(self) -> None:
        signature = _core.ModelSignature("m", "1", [("a", "INT8", [-1]), ("b", "INT8", [-1])], [("y", "INT8", [-1])], 9)
        message = service_pb2.ModelInferRequest(model_name="m", raw_input_contents=[b"\2", b"\1\1"])
        message.inputs.add(name="b", datatype="INT8", shape=[1])
        message.inputs.add(name="a", datatype="INT8", shape=[2])

        assert "has 2 rows, but another input has 1" in fault(message, signature).message

    def test_unknown_and_double_outputs_are_refused(self) -> None:
        unknown, double = protobuf_request(), protobuf_request()
        unknown.outputs.add(name="softmax")
        double.outputs.add(name="label")
        double.outputs.add(name="label")

        assert "'softmax' is no output of the model; it gives 'logits', 'label'" in fault(unknown).message
        assert "asked for twice" in fault(double).message

    def test_shared_memory_is_refused_instead_of_ignored(self) -> None:
        into, out = protobuf_request(), protobuf_request()
        into.inputs[0].parameters["shared_memory_region"].string_param = "region"
        out.outputs.add(name="label").parameters["shared_memory_region"].string_param = "region"

        assert "shared memory is not supported" in fault(into).message
        assert "shared memory is not supported" in fault(out).message

    def test_a_name_that_is_no_text_does_not_break_the_message(self) -> None:
        data = b"\x0a\x04\xff\xfe\x00a"

        assert r"\xff\xfe\x00a" in fault(data).message


class TestWrite:
    def test_a_written_request_is_protobufs(self) -> None:
        data = _core.write_infer_request("digits", "1", "id", [("image", "FP32", [2, 2, 2], IMAGE)], ["label"])

        message = service_pb2.ModelInferRequest.FromString(data)
        assert (message.model_name, message.model_version, message.id) == ("digits", "1", "id")
        assert list(message.inputs[0].shape) == [2, 2, 2]
        assert message.outputs[0].name == "label"
        assert message.raw_input_contents[0] == IMAGE.tobytes()
        assert isinstance(_core.parse_infer_request(data, SIGNATURE), _core.InferRequest)

    def test_a_written_response_is_protobufs_and_comes_back(self) -> None:
        data = _core.write_infer_response("digits", "1", "id", [("logits", "FP32", [2, 4], IMAGE)])

        message = service_pb2.ModelInferResponse.FromString(data)
        assert message.raw_output_contents[0] == IMAGE.tobytes()
        response = _core.parse_infer_response(data)
        assert response.tensors == [("logits", "FP32", [2, 4], IMAGE.tobytes())]

    def test_a_strided_array_is_refused(self) -> None:
        with pytest.raises(ValueError, match="'image' must be contiguous"):
            _core.write_infer_request("m", "", "", [("image", "FP32", [2], IMAGE[:, 0, 0])], [])

    def test_a_response_in_typed_contents_is_read(self) -> None:
        message = service_pb2.ModelInferResponse(model_name="m")
        message.outputs.add(name="y", datatype="FP32", shape=[2]).contents.fp32_contents.extend([1.0, 2.0])

        tensors = _core.parse_infer_response(message.SerializeToString()).tensors

        assert tensors == [("y", "FP32", [2], struct.pack("<2f", 1.0, 2.0))]

    @pytest.mark.parametrize(
        ("shape", "raw", "words"),
        [([3], b"\0" * 8, "outputs[0]"), ([-1], b"", "outputs[0]"), ([2, 2], b"\0" * 8, "do not fit FP32 of shape")],
    )
    def test_a_response_whose_contents_do_not_fit_is_refused(self, shape: list[int], raw: bytes, words: str) -> None:
        message = service_pb2.ModelInferResponse(model_name="m", raw_output_contents=[raw])
        message.outputs.add(name="y", datatype="FP32", shape=shape)

        with pytest.raises(ValueError, match="outputs"):
            _core.parse_infer_response(message.SerializeToString())

    def test_a_garbage_response_is_refused(self) -> None:
        with pytest.raises(ValueError, match="truncated or garbage"):
            _core.parse_infer_response(b"\x0a\xff")


class TestScanTarget:
    def test_model_and_version_are_found(self) -> None:
        assert _core.scan_target(protobuf_request(model_version="1").SerializeToString()) == ("digits", "1")

    def test_garbage_is_told(self) -> None:
        assert isinstance(_core.scan_target(b"\xff" * 20), RequestFaultInfo)


@pytest.mark.parametrize(
    "arguments",
    [
        ("m", "1", [("x", "FP31", [-1])], [("y", "FP32", [-1])], 1),
        ("m", "1", [("x", "FP32", [1])], [("y", "FP32", [-1])], 1),
        ("m", "1", [], [("y", "FP32", [-1])], 1),
        ("m", "1", [("x", "FP32", [-1])], [("y", "FP32", [-1])], 0),
    ],
)
def test_a_nonsensical_signature_is_refused(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"datatype|shape\[0\]|needs inputs|rows_max"):
        _core.ModelSignature(*arguments)
