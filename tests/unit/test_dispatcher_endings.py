"""How requests end when things go wrong: lost workers, model errors, drains, and calls that make no sense."""

from __future__ import annotations

from typing import Any

import pytest
from unit.request_path import FLAT, MS, PROPORTIONAL, RT_MAX, Path, ids

from mark._core import (
    Dispatcher,
    DispatcherParams,
    DispatchReason,
    Failure,
    LatencyHistogram,
    LatencyProfile,
    Outcome,
    WorkerSpec,
    latency_bucket_edges_ns,
    request_id,
)


def test_a_request_cancelled_in_flight_is_not_answered() -> None:
    path = Path()
    path.submit(0)
    path.submit(1)
    path.dispatcher.worker_up(0, WorkerSpec(PROPORTIONAL), 0)
    batch = path.launched()
    assert path.dispatcher.cancel(request_id(0, 1), 0)
    path.submit(0)  # not even the same id, though it should not be used again, inherits the answer
    assert path.dispatcher.complete(batch.batch, 0) == ids(1)
    assert path.dispatcher.complete(batch.batch, 0) == []


def test_a_late_answer_is_a_violation() -> None:
    path = Path(FLAT)
    path.submit(0, deadline_ms=20)
    batch = path.launched()
    path.now = 20.001
    assert path.dispatcher.complete(batch.batch, path.now_ns) == ids(0)
    assert path.ended(Outcome.LATE) == 1
    assert path.dispatcher.statistics().attainment == 0.0


def test_a_lost_worker_loses_no_request_that_has_slack() -> None:
    path = Path(FLAT, FLAT)
    path.submit(0, deadline_ms=80)
    batch = path.launched()
    path.now = 5
    assert path.dispatcher.worker_down(batch.worker, path.now_ns) == []
    again = path.launched()
    assert again.requests == ids(0)
    assert again.worker != batch.worker
    assert again.earliest_deadline_ns == 80 * MS
    assert path.dispatcher.complete(batch.batch, path.now_ns) == []
    assert path.dispatcher.statistics().retried_requests == 1
    drops = path.dispatcher.worker_down(again.worker, path.now_ns)
    assert [(drop.request, drop.outcome) for drop in drops] == [(request_id(0, 1), Outcome.WORKER_LOST)]


def test_after_a_lost_worker_each_request_is_tried_alone() -> None:
    # One of them may be what killed it: it must not take the others with it a second time.
    path = Path()
    for slot in range(3):
        path.submit(slot)
    path.dispatcher.worker_up(0, WorkerSpec(PROPORTIONAL), 0)
    assert path.launched().requests == ids(0, 1, 2)
    path.dispatcher.worker_up(1, WorkerSpec(PROPORTIONAL), 0)

    assert path.dispatcher.worker_down(0, 0) == []

    for slot in range(3):
        alone = path.launched()
        assert alone.requests == ids(slot)
        assert path.dispatcher.complete(alone.batch, 0) == ids(slot)


def test_a_batch_that_fails_after_the_deadline_is_expired() -> None:
    path = Path(FLAT)
    path.submit(0, deadline_ms=20)
    batch = path.launched()
    path.now = 20
    assert path.fail(batch, Failure.WORKER_LOST) == [(request_id(0, 1), Outcome.EXPIRED)]


def test_after_a_model_error_each_request_is_tried_alone() -> None:
    path = Path(queue_requests_max=3)
    for slot in range(3):
        path.submit(slot)
    path.dispatcher.worker_up(0, WorkerSpec(PROPORTIONAL), 0)
    batch = path.launched()
    path.submit(7)
    assert path.fail(batch, Failure.MODEL_ERROR) == []
    for slot in range(3):
        alone = path.launched()
        assert alone.requests == ids(slot)
        if slot == 1:
            assert path.fail(alone, Failure.MODEL_ERROR) == [(request_id(1, 1), Outcome.MODEL_ERROR)]
        else:
            assert path.dispatcher.complete(alone.batch, 0) == ids(slot)
    assert path.launched().requests == ids(7)


def test_a_model_error_of_a_single_request_is_not_retried() -> None:
    path = Path(FLAT)
    path.submit(0)
    assert path.fail(path.launched(), Failure.MODEL_ERROR) == [(request_id(0, 1), Outcome.MODEL_ERROR)]
    assert path.dispatcher.statistics().retried_requests == 0


def test_a_draining_worker_finishes_its_batch_and_takes_no_other() -> None:
    path = Path(FLAT)
    path.submit(0)
    batch = path.launched()
    path.dispatcher.worker_drain(0)
    path.dispatcher.worker_drain(77)
    path.submit(1)
    assert path.dispatcher.worker_busy(0)
    assert path.dispatcher.complete(batch.batch, 0) == ids(0)
    assert not path.dispatcher.worker_busy(0)
    assert path.quiet()
    assert path.dispatcher.statistics().ready_workers == 0


def test_a_hung_worker_loses_its_attraction() -> None:
    slow = LatencyProfile([1, 8], [60 * MS, 60 * MS])
    path = Path(FLAT, slow)
    path.submit(0)
    assert path.launched().worker == 0
    path.submit(1, deadline_ms=1000)
    assert path.quiet()
    assert path.wakeup_ms() == 60  # late by the 50 ms that the slow worker needs more
    path.now = 60
    assert path.launched().worker == 1


def test_a_request_that_waits_for_a_hung_worker_is_given_up_in_time() -> None:
    path = Path(FLAT, LatencyProfile([1, 8], [60 * MS, 60 * MS]))
    path.submit(0)
    assert path.launched().worker == 0
    path.submit(1, deadline_ms=55)  # late on the slow worker in any case
    assert path.quiet()
    assert path.dispatcher.next_wakeup_ns() == 45 * MS + 1
    assert path.dispatcher.poll(45 * MS + 1).drops[0].outcome is Outcome.PREDICTED_MISS


def test_statistics_count_each_request_once() -> None:
    path = Path(FLAT)
    path.submit(0)
    path.now = 10
    path.dispatcher.complete(path.launched().batch, path.now_ns)
    statistics = path.dispatcher.statistics()
    assert sum(statistics.ended(outcome) for outcome in Outcome) == statistics.ended(Outcome.ANSWERED) == 1
    assert [statistics.dispatched(reason) for reason in DispatchReason].count(1) == 1
    assert (statistics.dispatched_batches, statistics.dispatched_rows) == (1, 1)
    assert statistics.latency_sum_ns == 10 * MS
    assert 10 * MS < statistics.latency_quantile_ns(0.5) <= 10.4 * MS
    edges = latency_bucket_edges_ns()
    buckets = statistics.latency_buckets()
    assert len(buckets) == len(edges)
    assert buckets.sum() == 1
    assert edges[buckets.argmax()] == statistics.latency_quantile_ns(1.0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        statistics.latency_quantile_ns(2.0)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"rows_max": 0}, "rows_max"),
        ({"rows_max": 65537}, "rows_max"),
        ({"queue_requests_max": 0}, "queue_requests_max"),
        ({"queue_bytes_max": 0}, "queue_bytes_max"),
        ({"margin_ns": -1}, "margin"),
        ({"margin_ns": RT_MAX}, "margin"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Dispatcher(DispatcherParams(RT_MAX, **params))


def test_an_slo_of_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="rt_max"):
        Dispatcher(DispatcherParams(0))


def test_a_call_that_breaks_the_contract_is_refused_and_changes_nothing() -> None:
    path = Path(FLAT)
    path.now = 1
    path.submit(0)
    for request, about, message in [
        (request_id(0, 1), {}, "a live request holds"),
        (request_id(0, 2), {}, "a live request holds"),
        (5, {}, "generation is 0"),
        (request_id(2**24, 1), {}, "hand out small slots"),
        (request_id(1, 1), {"rows": 0}, "1 row or more"),
        (request_id(1, 1), {"bytes": -1}, "0 bytes or more"),
    ]:
        with pytest.raises(ValueError, match=message):
            path.dispatcher.submit(request, RT_MAX, path.now_ns, **about)
    with pytest.raises(ValueError, match="earlier than at the event before"):
        path.dispatcher.poll(0)
    with pytest.raises(ValueError, match="up already"):
        path.dispatcher.worker_up(0, WorkerSpec(FLAT), path.now_ns)
    with pytest.raises(ValueError, match="1 row or more"):
        path.dispatcher.worker_up(1, WorkerSpec(FLAT, rows_max=0), path.now_ns)
    with pytest.raises(ValueError, match="1 batch or more"):
        path.dispatcher.worker_up(1, WorkerSpec(FLAT, batches_in_flight_max=0), path.now_ns)
    with pytest.raises(ValueError, match="generation 0"):
        request_id(0, 0)
    assert path.dispatcher.statistics().submitted_requests == 1
    assert path.launched().requests == ids(0)


def test_events_about_unknown_ids_change_nothing() -> None:
    path = Path(FLAT)
    assert path.dispatcher.complete(123, 0) == []
    assert path.dispatcher.fail(123, Failure.WORKER_LOST, 0) == []
    assert not path.dispatcher.cancel(request_id(4, 1), 0)
    assert path.dispatcher.worker_down(9, 0) == []
    assert not path.dispatcher.worker_busy(9)


def test_a_request_that_lost_its_worker_is_no_less_innocent_of_a_model_error() -> None:
    path = Path()
    path.submit(0)
    path.submit(1)
    path.dispatcher.worker_up(0, WorkerSpec(PROPORTIONAL), 0)
    assert path.fail(path.launched(), Failure.MODEL_ERROR) == []
    alone = path.launched()
    assert alone.requests == ids(0)

    assert path.fail(alone, Failure.WORKER_LOST) == []  # its first loss, after the batch's model error

    again = path.launched()
    assert again.requests == ids(0)
    assert path.fail(again, Failure.WORKER_LOST) == [(request_id(0, 1), Outcome.WORKER_LOST)]


def test_what_was_counted_is_told_between_bounds() -> None:
    dispatcher = Dispatcher(DispatcherParams(100 * MS))
    dispatcher.worker_up(0, WorkerSpec(LatencyProfile([1], [10 * MS])), 0)
    dispatcher.submit(request_id(0, 1), 100 * MS, 0)
    batch = dispatcher.poll(0).dispatches[0].batch
    dispatcher.complete(batch, 20 * MS)

    statistics = dispatcher.statistics()

    for counted in (statistics.latency_s, statistics.queue_wait_s, statistics.slack_s, statistics.batch_rows):
        assert sum(counted.counts) == 1
        assert len(counted.counts) == len(counted.bounds) + 1
    assert statistics.latency_s.sum == pytest.approx(0.02)
    assert statistics.slack_s.sum == pytest.approx(0.09)
    assert statistics.batch_rows.counts[0] == 1
    assert statistics.predicted_over_observed.sum == pytest.approx(0.5)
    assert statistics.overtaking_batches == 0


def test_a_histogram_of_ones_own_tells_the_same() -> None:
    histogram = LatencyHistogram()
    for ns in (1 * MS, 3 * MS):
        histogram.record(ns)

    counted = histogram.distribution_s()

    assert counted.sum == pytest.approx(0.004)
    assert [bound for bound, count in zip(counted.bounds, counted.counts, strict=False) if count] == pytest.approx(
        [0.001024, 0.003072]
    )
