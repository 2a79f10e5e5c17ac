from __future__ import annotations

from unit.request_path import FLAT, MS, PROPORTIONAL, RT_MAX, Path, ids

from mark._core import (
    Admission,
    DispatchReason,
    LatencyProfile,
    Outcome,
    WorkerSpec,
    request_id,
)


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
        path.submit(slot, deadline_ms=29)
    # 10 ms for the batch in flight, 10 for the eight queued rows, 10 for itself.
    assert path.dispatcher.backlog_ns(0) == 20 * MS
    assert path.submit(20, deadline_ms=29.999) is Admission.PREDICTED_MISS
    assert path.submit(21, deadline_ms=30) is Admission.ACCEPTED


def test_the_door_counts_only_those_that_go_before_the_newcomer() -> None:
    path = Path(FLAT)
    path.submit(0)
    path.launched()
    for slot in range(1, 9):
        path.submit(slot)
    # 10 ms for the batch in flight and 10 for its own: it is due before all that wait.
    assert path.submit(20, deadline_ms=19.999) is Admission.PREDICTED_MISS
    assert path.submit(21, deadline_ms=20) is Admission.ACCEPTED


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


def test_a_slow_free_worker_serves_those_behind_a_head_that_is_left_to_a_busy_fast_one() -> None:
    path = Path(LatencyProfile([1], [10 * MS]), rows_max=1)
    path.submit(0)
    busy = path.launched()
    path.dispatcher.worker_up(1, WorkerSpec(LatencyProfile([1], [60 * MS])), 0)
    path.submit(1, deadline_ms=45)  # the slow one would be late
    path.submit(2, deadline_ms=90)

    assert path.launched().requests == ids(2)
    path.now = 10
    assert path.dispatcher.complete(busy.batch, path.now_ns) == ids(0)
    assert path.launched().requests == ids(1)


def test_a_small_worker_is_not_idle_behind_a_head_that_is_too_large_for_it() -> None:
    path = Path(PROPORTIONAL)
    path.submit(0, rows=8)
    path.launched()
    path.dispatcher.worker_up(1, WorkerSpec(PROPORTIONAL, rows_max=4), 0)
    path.submit(1, rows=8)
    path.submit(2)

    assert path.launched().requests == ids(2)


def test_a_request_waits_for_a_worker_that_takes_its_rows_unless_predictions_refuse_it() -> None:
    path = Path(admission=False)
    path.submit(0, rows=8)
    path.dispatcher.worker_up(0, WorkerSpec(PROPORTIONAL, rows_max=4), 0)
    assert path.quiet()

    path.dispatcher.worker_up(1, WorkerSpec(PROPORTIONAL), 0)

    assert path.launched().requests == ids(0)


def test_the_backlog_of_a_pipelined_worker_counts_what_it_has() -> None:
    path = Path()
    profile = LatencyProfile([1], [40 * MS])
    path.dispatcher.worker_up(0, WorkerSpec(profile, rows_max=1, batches_in_flight_max=2), 0)
    path.submit(0)
    path.launched()

    assert path.dispatcher.backlog_ns(0) == 40 * MS
    assert path.submit(1, deadline_ms=60) is Admission.PREDICTED_MISS
