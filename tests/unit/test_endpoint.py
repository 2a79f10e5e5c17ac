"""One model's request path in C++: bytes in, batches out, answers cut by rows."""

from __future__ import annotations

import numpy as np
import pytest

from mark import _core
from mark._core import Admission, DispatcherParams, Endpoint, Failure, LatencyProfile, Outcome, WorkerSpec

MS = 1_000_000
SIGNATURE = _core.ModelSignature(
    "m", "3", [("x", "FP32", [-1, -1])], [("y", "FP32", [-1, -1]), ("word", "BYTES", [-1])], 4
)
# As slow for each row as for the first, so that no batch waits for another request.
SPEC = WorkerSpec(LatencyProfile([1, 8], [1 * MS, 8 * MS]), rows_max=8)


def request(rows: np.ndarray, request_id: str = "", outputs: tuple[str, ...] = ()) -> bytes:
    array = rows.astype(np.float32)
    return _core.write_infer_request("m", "", request_id, [("x", "FP32", array.shape, array)], outputs)


def words(*texts: bytes) -> bytes:
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)


def answer(y: np.ndarray, *texts: bytes) -> bytes:
    array = y.astype(np.float32)
    word = ("word", "BYTES", (len(texts),), words(*texts))
    return _core.write_infer_response("m", "9", "batch", [("y", "FP32", array.shape, array), word])


def endpoint(**params: object) -> Endpoint:
    made = Endpoint(SIGNATURE, DispatcherParams(1000 * MS, rows_max=8, **params))  # type: ignore[arg-type]
    made.worker_up(1, SPEC, 0)
    return made


def submit(to: Endpoint, message: bytes, now_ns: int = 0) -> int:
    admitted = to.submit(message, now_ns + 1000 * MS, now_ns)
    assert isinstance(admitted, int)
    return admitted


def test_a_batch_is_the_requests_one_after_the_other() -> None:
    path = endpoint()
    submit(path, request(np.array([[1, 2]])))
    submit(path, request(np.array([[3, 4], [5, 6]])))

    (batch,), replies = path.poll(0)

    assert replies == []
    assert (batch.worker, batch.requests, batch.rows) == (1, 2, 3)
    whole = _core.ModelSignature("m", "3", [("x", "FP32", [-1, 2])], [("y", "FP32", [-1])], 100)
    parsed = _core.parse_infer_request(batch.message, whole)
    assert isinstance(parsed, _core.InferRequest)
    np.testing.assert_array_equal(np.frombuffer(parsed.raw(0), np.float32), [1, 2, 3, 4, 5, 6])


def test_an_answer_is_cut_by_rows_for_each_request_with_its_own_id_and_outputs() -> None:
    path = endpoint()
    first = submit(path, request(np.zeros((1, 2)), "a"))
    second = submit(path, request(np.zeros((2, 2)), "b", ("word", "y")))
    (batch,), _ = path.poll(0)

    replies = path.complete(batch.batch, answer(np.array([[1], [2], [3]]), b"one", b"", b"three"), MS)

    assert [(reply[0], reply[2]) for reply in replies] == [(first, Outcome.ANSWERED), (second, Outcome.ANSWERED)]
    responses = [_core.parse_infer_response(reply[1] or b"") for reply in replies]
    assert [(r.model_name, r.model_version, r.id) for r in responses] == [("m", "3", "a"), ("m", "3", "b")]
    one = np.array([[1]], np.float32).tobytes()
    assert responses[0].tensors == [("y", "FP32", [1, 1], one), ("word", "BYTES", [1], words(b"one"))]
    rest = np.array([[2], [3]], np.float32).tobytes()
    assert responses[1].tensors == [("word", "BYTES", [2], words(b"", b"three")), ("y", "FP32", [2, 1], rest)]


def test_requests_of_unequal_shape_never_share_a_batch() -> None:
    path = endpoint()
    path.worker_up(2, SPEC, 0)
    for width in (2, 3, 2):
        submit(path, request(np.zeros((1, width))))

    batches, _ = path.poll(0)

    assert [batch.requests for batch in batches] == [1, 1]


def test_a_request_that_is_cancelled_in_flight_still_has_its_rows_in_the_answer() -> None:
    path = endpoint()
    first = submit(path, request(np.zeros((2, 1)), "a"))
    second = submit(path, request(np.zeros((1, 1)), "b"))
    (batch,), _ = path.poll(0)

    assert path.cancel(first, MS)
    assert not path.cancel(first, MS)
    replies = path.complete(batch.batch, answer(np.array([[1], [2], [3]]), b"", b"", b"x"), 2 * MS)

    assert [reply[0] for reply in replies] == [second]
    tensors = _core.parse_infer_response(replies[0][1] or b"").tensors
    assert tensors[0] == ("y", "FP32", [1, 1], np.array([[3]], np.float32).tobytes())


Y = ("y", "FP32", (1, 1), np.zeros(1, np.float32))
WORD = ("word", "BYTES", (1,), words(b""))


def response_of(*tensors: tuple[str, str, tuple[int, ...], object], model: str = "m") -> bytes:
    return _core.write_infer_response(model, "", "", tensors)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("response", "why"),
    [
        (b"\xff", "truncated or garbage"),
        (response_of(), "lacks output 'y'"),
        (answer(np.zeros((3, 1)), b"", b"", b""), "output 'y' has shape [3, 1] for a batch of 1 rows"),
        (response_of(("y", "FP64", (1, 1), np.zeros(1)), WORD), "output 'y' is FP64, not FP32"),
        (response_of(("y", "FP32", (), np.zeros(1, np.float32)), WORD), "output 'y' has shape []"),
        (response_of(("y", "FP32", (1,), np.zeros(1, np.float32)), WORD), "output 'y' has shape [1], not [-1, -1]"),
        (response_of(Y, ("word", "BYTES", (1, 1), words(b""))), "output 'word' has shape [1, 1], not [-1]"),
        (response_of(Y, WORD, Y), "output 'y' is given twice"),
        (response_of(Y, WORD, model="n"), "is of model 'n', not 'm'"),
    ],
)
def test_an_answer_that_does_not_fit_is_the_models_error(response: bytes, why: str) -> None:
    path = endpoint()
    asked = submit(path, request(np.zeros((1, 1))))
    (batch,), _ = path.poll(0)

    ((request_id, message, outcome, detail),) = path.complete(batch.batch, response, MS)

    assert (request_id, message, outcome) == (asked, None, Outcome.MODEL_ERROR)
    assert why in detail


def test_a_fixed_dimension_of_an_output_is_the_signatures() -> None:
    signature = _core.ModelSignature("m", "3", [("x", "FP32", [-1, -1])], [("y", "FP32", [-1, 2, -1])], 4)
    path = Endpoint(signature, DispatcherParams(1000 * MS))
    path.worker_up(1, SPEC, 0)
    submit(path, request(np.zeros((1, 1))))
    (batch,), _ = path.poll(0)

    ((_, _, outcome, detail),) = path.complete(
        batch.batch, response_of(("y", "FP32", (1, 3, 2), np.zeros(6, np.float32))), MS
    )

    assert outcome is Outcome.MODEL_ERROR
    assert "output 'y' has shape [1, 3, 2], not [-1, 2, -1]" in detail


def test_an_answer_need_not_say_its_model_and_may_hold_more_than_was_asked() -> None:
    path = endpoint()
    submit(path, request(np.zeros((1, 1))))
    (batch,), _ = path.poll(0)

    ((_, message, _, _),) = path.complete(
        batch.batch, response_of(("more", "INT8", (3,), np.zeros(3, np.int8)), WORD, Y, model=""), MS
    )

    assert [tensor[0] for tensor in _core.parse_infer_response(message or b"").tensors] == ["y", "word"]


def test_after_a_lost_worker_the_payload_is_still_there_for_the_retry() -> None:
    path = endpoint()
    asked = submit(path, request(np.array([[7, 8]])))
    path.poll(0)
    path.worker_up(2, SPEC, MS)

    assert path.worker_down(1, MS) == []
    (batch,), _ = path.poll(MS)

    assert batch.worker == 2
    assert np.array([7, 8], np.float32).tobytes() in batch.message
    ((lost, _, outcome, _),) = path.fail(batch.batch, Failure.WORKER_LOST, "gone", 2 * MS)
    assert (lost, outcome) == (asked, Outcome.WORKER_LOST)


def test_the_workers_words_reach_the_one_whose_request_failed() -> None:
    path = endpoint()
    submit(path, request(np.zeros((1, 1))))
    (batch,), _ = path.poll(0)

    ((_, _, outcome, detail),) = path.fail(batch.batch, Failure.MODEL_ERROR, "no \x00 luck", MS)

    assert (outcome, detail) == (Outcome.MODEL_ERROR, "no \x00 luck")


def test_an_answer_that_comes_twice_or_too_late_is_ignored() -> None:
    path = endpoint()
    submit(path, request(np.zeros((1, 1))))
    (batch,), _ = path.poll(0)
    response = answer(np.zeros((1, 1)), b"")
    assert len(path.complete(batch.batch, response, MS)) == 1

    assert path.complete(batch.batch, response, MS) == []
    assert path.fail(batch.batch, Failure.WORKER_LOST, "", MS) == []


def test_a_full_queue_says_how_long_to_wait() -> None:
    path = endpoint(queue_requests_max=1)
    submit(path, request(np.zeros((1, 1))))

    refused = path.submit(request(np.zeros((1, 1))), 1000 * MS, 0)

    assert isinstance(refused, _core.Refusal)
    assert refused.admission is Admission.QUEUE_FULL
    assert refused.retry_after_ns >= 0
    assert path.statistics().queued_requests == 1


def test_refused_and_ended_requests_hold_no_memory() -> None:
    path = endpoint(queue_bytes_max=200)
    for number in range(1000):
        now_ns = number * 10 * MS
        assert isinstance(path.submit(request(np.zeros((4, 100))), now_ns + 1000 * MS, now_ns), _core.Refusal)
        asked = submit(path, request(np.zeros((1, 1 + number % 3))), now_ns)
        assert asked & 0xFFFFFFFF == 0  # the first slot, again and again
        assert path.cancel(asked, now_ns)

    assert path.statistics().queued_bytes == 0


def test_rows_beyond_what_a_batch_holds_are_bad_input() -> None:
    path = Endpoint(SIGNATURE, DispatcherParams(1000 * MS, rows_max=2))

    refused = path.submit(request(np.zeros((3, 1))), 1000 * MS, 0)

    assert isinstance(refused, _core.RequestFaultInfo)
    assert "has 3 rows, more than the 2 that one batch may have" in refused.message
