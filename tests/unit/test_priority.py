"""The parameter `priority`: as protobuf reads it, out of its range, and as clients write it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tritonclient.grpc import service_pb2
from unit.oip_messages import SIGNATURE as MESSAGE_SIGNATURE
from unit.oip_messages import chunk, fault, parsed, protobuf_request, varint

from mark import _core
from mark._core import (
    Dispatcher,
    DispatcherParams,
    Endpoint,
    LatencyProfile,
    RequestFault,
    RequestFaultInfo,
    WorkerSpec,
)
from mark.client.calls import encode_request
from mark.config.sections import BatchingConfig
from mark.errors import InvalidRequest
from mark.protocol import messages

MS = 1_000_000
SIGNATURE = _core.ModelSignature("m", "1", [("x", "INT8", [-1])], [("y", "INT8", [-1])], 4)


def with_parameter(name: str, **value: Any) -> Any:
    message = protobuf_request()
    message.parameters[name].CopyFrom(service_pb2.InferParameter(**value))
    return message


def raw_entry(key: bytes, *values: bytes) -> bytes:
    return chunk(4, chunk(1, key) + b"".join(chunk(2, value) for value in values))


def request(priority: int = 0) -> bytes:
    return _core.write_infer_request("m", "", "", [("x", "INT8", [1], np.array([1], np.int8))], [], priority)


def endpoint(**params: Any) -> Endpoint:
    made = Endpoint(SIGNATURE, DispatcherParams(1000 * MS, rows_max=1, **params))
    made.worker_up(1, WorkerSpec(LatencyProfile([1], [10 * MS]), rows_max=1), 0)
    return made


@pytest.mark.parametrize("value", [{"int64_param": 3}, {"uint64_param": 3}])
def test_a_whole_number_is_read(value: dict[str, int]) -> None:
    try:
        message = with_parameter("priority", **value)
    except ValueError:
        pytest.skip("this client's protocol has no such parameter")
    assert parsed(message).priority == 3


def test_without_the_parameter_it_is_left_to_the_server() -> None:
    assert parsed(protobuf_request()).priority == 0
    assert parsed(with_parameter("other", int64_param=7)).priority == 0


@pytest.mark.parametrize(
    "value",
    [{"int64_param": -1}, {"string_param": "1"}, {"bool_param": True}, {}],
    ids=["negative", "text", "bool", "none"],
)
def test_what_is_no_whole_number_is_refused_and_named(value: dict[str, Any]) -> None:
    refused = fault(with_parameter("priority", **value))

    assert refused.fault is RequestFault.INVALID
    assert "priority" in refused.field
    assert "whole number" in refused.message


def test_of_several_entries_and_values_the_last_counts_as_in_protobuf() -> None:
    message = protobuf_request().SerializeToString()
    int64, boolean = b"\x10", b"\x08"
    first = raw_entry(b"priority", boolean + varint(1))
    second = raw_entry(b"priority", boolean + varint(1), int64 + varint(2))

    read = parsed(service_pb2.ModelInferRequest.FromString(message + first + second))
    assert read.priority == 2
    raw = _core.parse_infer_request(message + first + second, MESSAGE_SIGNATURE)
    assert isinstance(raw, _core.InferRequest)
    assert raw.priority == 2


@pytest.mark.parametrize("priority", [3, 2**63 - 1])
def test_a_priority_out_of_range_is_refused_with_the_range(priority: int) -> None:
    refused = endpoint().submit(request(priority), 1000 * MS, 0)

    assert isinstance(refused, RequestFaultInfo)
    assert refused.fault is RequestFault.INVALID
    assert refused.field == "parameters['priority']"
    assert str(priority) in refused.message
    assert "to 2" in refused.message


def test_a_higher_priority_overtakes_those_that_wait() -> None:
    path = endpoint(priority_levels=3, priority_default=2)

    def submit(priority: int) -> int:
        admitted = path.submit(request(priority), 500 * MS, 0)
        assert isinstance(admitted, int)
        return admitted

    def answer_next(now_ns: int) -> int:
        (batch,), _ = path.poll(now_ns)
        answer = _core.write_infer_response("m", "1", "", [("y", "INT8", [1], np.array([1], np.int8))])
        ((answered, *_),) = path.complete(batch.batch, answer, now_ns + 10 * MS)
        return int(answered)

    low, middle, high = submit(3), submit(0), submit(1)

    assert [answer_next(step * 10 * MS) for step in range(3)] == [high, middle, low]


def test_levels_of_the_configuration_are_checked() -> None:
    assert BatchingConfig(priority_levels=4, priority_default=2).priority_default == 2
    with pytest.raises(ValueError, match="priority_levels"):
        BatchingConfig(priority_levels=2, priority_default=3)
    with pytest.raises(ValueError, match="priority_levels"):
        BatchingConfig(priority_levels=0)


def test_clients_write_what_servers_read() -> None:
    message = messages.ModelInferRequest.FromString(
        encode_request("m", "", "", {"x": np.array([1], np.int8)}, priority=2)
    )
    assert dict(message.parameters)["priority"].uint64_param == 2
    silent = messages.ModelInferRequest.FromString(encode_request("m", "", "", {"x": np.array([1], np.int8)}))
    assert not silent.parameters


@pytest.mark.parametrize("priority", [-1, True, 1.5, "1", 2**63])
def test_a_client_refuses_what_is_no_priority(priority: Any) -> None:
    with pytest.raises(InvalidRequest, match="priority"):
        encode_request("m", "", "", {"x": np.array([1], np.int8)}, priority=priority)


def test_fixed_batches_wait_their_time_whatever_the_deadline() -> None:
    dispatcher = Dispatcher(DispatcherParams(100 * MS, rows_max=2, admission=False, fixed=(2, 5 * MS)))
    dispatcher.worker_up(1, WorkerSpec(LatencyProfile([1], [MS]), rows_max=2), 0)
    dispatcher.submit(_core.request_id(0, 1), 100 * MS, 0)
    assert not dispatcher.poll(0).dispatches
    assert dispatcher.next_wakeup_ns() == 5 * MS
    (waited,) = dispatcher.poll(5 * MS).dispatches
    dispatcher.complete(waited.batch, 6 * MS)
    dispatcher.submit(_core.request_id(1, 1), 100 * MS, 6 * MS)
    dispatcher.submit(_core.request_id(2, 1), 100 * MS, 6 * MS)
    (full,) = dispatcher.poll(6 * MS).dispatches
    assert len(full.requests) == 2
