from __future__ import annotations

from typing import Any

import pytest

from mark._core import (
    Admission,
    Dispatch,
    Dispatcher,
    DispatcherParams,
    DispatchReason,
    Failure,
    LatencyProfile,
    Outcome,
    WorkerSpec,
    latency_bucket_edges_ns,
    request_id,
)

MS = 1_000_000
RT_MAX = 100 * MS
FLAT = LatencyProfile([1, 8], [10 * MS, 10 * MS])  # batching is free: waiting for more can pay
PROPORTIONAL = LatencyProfile([1], [2 * MS])  # batching gains nothing: nothing ever waits


class Path:
    """A dispatcher with its own clock, in milliseconds, and requests named by their slot."""

    def __init__(self, *workers: LatencyProfile, **params: Any) -> None:
        self.dispatcher = Dispatcher(DispatcherParams(RT_MAX, **({"rows_max": 8} | params)))
        self.now = 0.0
        for worker, profile in enumerate(workers):
            self.dispatcher.worker_up(worker, WorkerSpec(profile), 0)

    @property
    def now_ns(self) -> int:
        return round(self.now * MS)

    def submit(self, slot: int, deadline_ms: float | None = None, **about: int) -> Admission:
        deadline = self.now_ns + RT_MAX if deadline_ms is None else round(deadline_ms * MS)
        return self.dispatcher.submit(request_id(slot, 1), deadline, self.now_ns, **about)

    def poll(self) -> tuple[list[Dispatch], list[tuple[int, Outcome]]]:
        decisions = self.dispatcher.poll(self.now_ns)
        return decisions.dispatches, [(drop.request, drop.outcome) for drop in decisions.drops]

    def launched(self) -> Dispatch:
        dispatches, drops = self.poll()
        assert len(dispatches) == 1
        assert drops == []
        return dispatches[0]

    def quiet(self) -> bool:
        return self.poll() == ([], [])

    def wakeup_ms(self) -> float | None:
        wakeup = self.dispatcher.next_wakeup_ns()
        return None if wakeup is None else wakeup / MS

    def ended(self, outcome: Outcome) -> int:
        return self.dispatcher.statistics().ended(outcome)

    def fail(self, dispatch: Dispatch, failure: Failure) -> list[tuple[int, Outcome]]:
        drops = self.dispatcher.fail(dispatch.batch, failure, self.now_ns)
        return [(drop.request, drop.outcome) for drop in drops]


def ids(*slots: int) -> list[int]:
    return [request_id(slot, 1) for slot in slots]


def test_a_free_worker_with_nothing_to_gain_starts_at_once() -> None:
    path = Path(FLAT)
    assert path.submit(0, rows=2, bytes=10) is Admission.ACCEPTED
    assert path.wakeup_ms() == 0
    batch = path.launched()
    assert (batch.worker, batch.requests, batch.rows, batch.reason) == (0, ids(0), 2, DispatchReason.IDLE)
    assert (batch.predicted_finish_ns, batch.earliest_deadline_ns) == (10 * MS, 100 * MS)
    assert path.wakeup_ms() is None


def test_requests_queue_behind_a_busy_worker_and_leave_together_by_deadline() -> None:
    path = Path(FLAT)
    path.submit(0)
    first = path.launched()
    path.submit(1, deadline_ms=90)
    path.submit(2, deadline_ms=60)
    path.submit(3, deadline_ms=90)
    assert path.quiet()
    path.now = 10
    assert path.dispatcher.complete(first.batch, path.now_ns) == ids(0)
    assert path.launched().requests == ids(2, 1, 3)


def test_a_full_batch_leaves_at_once_and_the_rest_waits_for_the_next() -> None:
    path = Path()
    for slot in range(10):
        path.submit(slot)
    path.dispatcher.worker_up(0, WorkerSpec(FLAT), 0)
    batch = path.launched()
    assert batch.requests == ids(*range(8))
    assert batch.reason is DispatchReason.FULL
    statistics = path.dispatcher.statistics()
    assert (statistics.queued_requests, statistics.in_flight_requests) == (2, 8)


def test_a_batch_waits_while_waiting_gains_and_not_longer() -> None:
    path = Path(FLAT)
    for slot, at_ms in enumerate([0, 1, 2, 3]):
        path.now = at_ms
        path.submit(slot)
        path.dispatcher.cancel(request_id(slot, 1), path.now_ns)
    path.now = 4
    path.submit(9)
    assert path.quiet()
    assert path.wakeup_ms() == 4 + 10 / 2  # T / (n + 1) after the last arrival
    path.now = 9
    assert path.launched().reason is DispatchReason.IDLE


def test_a_batch_closes_when_the_head_runs_out_of_slack() -> None:
    path = Path(FLAT)
    for slot in range(4):
        path.now = slot
        path.submit(slot, deadline_ms=50)
        path.dispatcher.cancel(request_id(slot, 1), path.now_ns)
    path.submit(9, deadline_ms=15)
    assert path.quiet()
    assert path.wakeup_ms() == 5
    path.now = 5
    assert path.launched().reason is DispatchReason.SLACK


def test_requests_of_another_shape_go_in_another_batch() -> None:
    path = Path()
    for slot, shape in enumerate([7, 7, 8, 7]):
        path.submit(slot, shape=shape)
    for worker in range(3):
        path.dispatcher.worker_up(worker, WorkerSpec(PROPORTIONAL), 0)
    dispatches, _ = path.poll()
    assert [batch.requests for batch in dispatches] == [ids(0, 1), ids(2), ids(3)]


def test_a_request_that_would_break_the_heads_deadline_is_left_for_the_next_batch() -> None:
    path = Path(margin_ns=2 * MS)
    path.submit(0, deadline_ms=22)
    path.submit(1)
    path.submit(2)
    path.submit(3)
    path.dispatcher.worker_up(0, WorkerSpec(LatencyProfile([1, 8], [10 * MS, 45 * MS])), 0)
    assert path.launched().requests == ids(0, 1, 2)


def test_a_request_with_more_rows_than_are_useful_goes_alone() -> None:
    path = Path()
    path.submit(0, rows=6)
    path.submit(1)
    no_gain_beyond_two = LatencyProfile([1, 2, 3], [5 * MS, 6 * MS, 18 * MS])
    path.dispatcher.worker_up(0, WorkerSpec(no_gain_beyond_two), 0)
    assert path.launched().requests == ids(0)


def test_a_worker_never_gets_more_rows_than_it_takes() -> None:
    path = Path()
    for slot in range(5):
        path.submit(slot)
    path.dispatcher.worker_up(0, WorkerSpec(FLAT, rows_max=3), 0)
    assert path.launched().rows == 3
    assert path.submit(9, rows=4) is Admission.PREDICTED_MISS


def test_a_queued_request_that_no_ready_worker_can_hold_is_given_up() -> None:
    path = Path()
    path.submit(0, rows=4)
    path.submit(1)
    path.dispatcher.worker_up(0, WorkerSpec(PROPORTIONAL, rows_max=3), 0)
    dispatches, drops = path.poll()
    assert drops == [(request_id(0, 1), Outcome.PREDICTED_MISS)]
    assert dispatches[0].requests == ids(1)


def test_without_a_worker_requests_wait_until_their_deadline() -> None:
    path = Path()
    path.submit(0, deadline_ms=30)
    path.submit(1, deadline_ms=20)
    assert path.quiet()
    assert path.wakeup_ms() == 20
    path.now = 20
    assert path.poll() == ([], [(request_id(1, 1), Outcome.EXPIRED)])
    assert path.wakeup_ms() == 30
    assert path.ended(Outcome.EXPIRED) == 1


def test_a_head_that_no_worker_can_finish_any_more_is_given_up_at_that_moment() -> None:
    path = Path(FLAT)
    path.submit(0)
    path.launched()
    path.submit(1, deadline_ms=25)
    assert path.quiet()
    assert path.dispatcher.next_wakeup_ns() == 15 * MS + 1
    path.now = 15
    assert path.quiet()
    assert path.dispatcher.poll(15 * MS + 1).drops[0].outcome is Outcome.PREDICTED_MISS


def test_without_admission_only_the_deadline_ends_the_wait() -> None:
    path = Path(FLAT, admission=False)
    path.submit(0)
    path.launched()
    assert path.submit(1, deadline_ms=1) is Admission.ACCEPTED
    assert path.quiet()
    assert path.wakeup_ms() == 1
    path.now = 1
    assert path.poll()[1] == [(request_id(1, 1), Outcome.EXPIRED)]


def test_the_door_refuses_what_the_backlog_makes_late() -> None:
    path = Path(FLAT)
    path.submit(0)
    path.launched()
    for slot in range(1, 9):
        path.submit(slot)
    # 10 ms for the batch in flight, 10 for the eight queued rows, 10 for itself.
    assert path.dispatcher.backlog_ns(0) == 20 * MS
    assert path.submit(20, deadline_ms=29.999) is Admission.PREDICTED_MISS
    assert path.submit(21, deadline_ms=30) is Admission.ACCEPTED


def test_the_door_refuses_what_expired_and_what_exceeds_the_bounds() -> None:
    path = Path(queue_requests_max=2, queue_bytes_max=100)
    path.now = 5
    assert path.submit(0, deadline_ms=5) is Admission.EXPIRED
    assert path.submit(1, bytes=101) is Admission.QUEUE_FULL
    assert path.submit(2, bytes=100) is Admission.ACCEPTED
    assert path.submit(3, bytes=1) is Admission.QUEUE_FULL
    assert path.submit(4) is Admission.ACCEPTED
    assert path.submit(5) is Admission.QUEUE_FULL
    assert path.dispatcher.backlog_ns(path.now_ns) == RT_MAX
    statistics = path.dispatcher.statistics()
    assert statistics.submitted_requests == 6
    assert (path.ended(Outcome.EXPIRED), path.ended(Outcome.QUEUE_FULL)) == (1, 3)
    assert statistics.queued_bytes == 100


def test_too_many_rows_is_bad_input_and_is_not_counted() -> None:
    path = Path(FLAT)
    assert path.submit(0, rows=9) is Admission.TOO_MANY_ROWS
    statistics = path.dispatcher.statistics()
    assert (statistics.submitted_requests, statistics.attainment) == (0, 1.0)


def test_a_cancelled_request_frees_its_place_at_once() -> None:
    path = Path(queue_requests_max=1)
    path.submit(0)
    assert path.dispatcher.cancel(request_id(0, 1), 0)
    assert not path.dispatcher.cancel(request_id(0, 1), 0)
    assert path.submit(1) is Admission.ACCEPTED
    assert path.ended(Outcome.CANCELLED) == 1
    assert path.dispatcher.statistics().attainment == 1.0


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


def test_a_worker_with_two_batches_in_flight_is_predicted_to_finish_them_in_turn() -> None:
    path = Path()
    path.dispatcher.worker_up(0, WorkerSpec(PROPORTIONAL, batches_in_flight_max=2), 0)
    path.submit(0)
    first = path.launched()
    path.submit(1)
    second = path.launched()
    path.submit(2)
    assert path.quiet()
    assert [batch.predicted_finish_ns for batch in (first, second)] == [2 * MS, 4 * MS]
    path.now = 3  # the first is a millisecond late, so the second will be
    path.dispatcher.complete(first.batch, path.now_ns)
    assert path.launched().predicted_finish_ns == (3 + 2 + 2) * MS


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
