"""Messages that protobuf itself wrote, by the classes of NVIDIA's client, or that no protobuf library would write."""

from __future__ import annotations

from typing import Any

import numpy as np
from tritonclient.grpc import service_pb2

from mark import _core
from mark._core import RequestFaultInfo

SIGNATURE = _core.ModelSignature(
    "digits", "1", [("image", "FP32", [-1, 2, 2])], [("logits", "FP32", [-1, 3]), ("label", "BYTES", [-1])], 4
)
IMAGE = np.arange(8, dtype=np.float32).reshape(2, 2, 2)


def varint(value: int) -> bytes:
    head = b""
    while value >= 0x80:
        head, value = head + bytes([value & 0x7F | 0x80]), value >> 7
    return head + bytes([value])


def chunk(number: int, payload: bytes) -> bytes:
    """A length-delimited field: text, bytes, a message, or packed numbers."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


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
