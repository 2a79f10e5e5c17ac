"""What is padded on its way is answered as if it were not: any datatype, raw or typed, any rows, any sizes."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st
from properties.oip_reference import INPUTS, OUTPUTS, ROWS_MAX
from properties.test_oip_properties import messages
from tritonclient.grpc import service_pb2

from mark import _core

SIGNATURE = _core.ModelSignature("m", "1", INPUTS, OUTPUTS, ROWS_MAX)
PROFILES = [([1], [1000]), ([1, 64], [1000, 64_000]), ([1, 64], [1000, 2000])]


def echo(sent: _core.InferRequest) -> bytes:
    outputs = [("y", "FP32", sent.shape(0), sent.raw(0)), ("z", "BYTES", sent.shape(1), sent.raw(1))]
    return _core.write_infer_response("m", "1", "", outputs)


def answers_of(
    asked: list[service_pb2.ModelInferRequest], profile: _core.LatencyProfile, rows_max: int
) -> tuple[list[bytes], list[int], _core.Statistics]:
    """What each request is answered, the rows of every batch that was sent, and what was counted."""
    endpoint = _core.Endpoint(SIGNATURE, _core.DispatcherParams(10**9, rows_max=rows_max))
    endpoint.worker_up(1, _core.WorkerSpec(profile, rows_max=rows_max), 0)
    ids = [endpoint.submit(message.SerializeToString(), 10**9, 0) for message in asked]
    answers: dict[object, bytes] = {}
    sent_rows, now_ns = [], 0
    while len(answers) < len(ids):
        batches, dropped = endpoint.poll(now_ns)
        assert dropped == []
        now_ns += 1000
        for batch in batches:
            sent = _core.parse_infer_request(batch.message, SIGNATURE)
            assert isinstance(sent, _core.InferRequest)
            assert sent.rows == (batch.size or batch.rows)
            assert not any(sent.raw(0)[8 * batch.rows :])
            sent_rows.append(sent.rows)
            for request, reply, _, _ in endpoint.complete(batch.batch, echo(sent), now_ns):
                assert reply is not None
                answers[request] = reply
    return [answers[number] for number in ids], sent_rows, endpoint.statistics()


@given(
    asked=st.lists(messages(), min_size=1, max_size=8),
    points=st.sampled_from(PROFILES),
    steps=st.lists(st.integers(1, 8), min_size=1, max_size=5),
)
def test_padded_batches_are_answered_as_unpadded_ones(
    asked: list[service_pb2.ModelInferRequest], points: tuple[list[int], list[int]], steps: list[int]
) -> None:
    sizes = list(accumulate([*steps, 5]))  # any request fits into the largest
    plain = _core.LatencyProfile(*points)

    expected, _, without = answers_of(asked, plain, sizes[-1])
    padded, sent_rows, statistics = answers_of(asked, plain.padded_to(sizes), sizes[-1])

    assert padded == expected
    assert set(sent_rows) <= set(sizes)
    assert statistics.dispatched_rows == without.dispatched_rows == statistics.submitted_rows
    assert statistics.padded_rows == sum(sent_rows) - statistics.dispatched_rows
    assert without.padded_rows == 0


@given(messages(), st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_a_request_that_goes_alone_is_padded_and_answered_as_one_that_is_not(
    asked: service_pb2.ModelInferRequest, steps: list[int]
) -> None:
    wire, sizes = asked.SerializeToString(), list(accumulate(steps))
    rows = asked.inputs[0].shape[0]

    padded, size = _core.padded_request(wire, SIGNATURE, sizes)

    expected = next((each for each in sizes if each >= rows), rows)
    assert size == (0 if expected == rows else expected)
    sent, plain = (_core.parse_infer_request(each, SIGNATURE) for each in (padded, wire))
    assert isinstance(sent, _core.InferRequest)
    assert isinstance(plain, _core.InferRequest)
    assert sent.rows == expected
    assert _core.single_answer(wire, echo(sent), SIGNATURE, size) == _core.single_answer(wire, echo(plain), SIGNATURE)
