from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from mark._core import (
    Admission,
    ConcurrentDispatcher,
    DispatcherParams,
    Failure,
    LatencyProfile,
    Outcome,
    WorkerSpec,
    request_id,
)

MS = 1_000_000
SECOND = 1_000 * MS
FLAT = LatencyProfile([1, 8], [10 * MS, 10 * MS])
DEADLOCK_S = 30.0


@pytest.fixture
def dispatcher() -> ConcurrentDispatcher:
    return ConcurrentDispatcher(DispatcherParams(100 * MS, rows_max=8))


def while_waiting(dispatcher: ConcurrentDispatcher, event: Callable[[], object]) -> list[bool]:
    """What wait() returns when the event takes place in the meantime. The wait alone would outlast the test."""
    answers: list[bool] = []
    entered = threading.Event()

    def wait() -> None:
        entered.set()
        answers.append(dispatcher.wait(3_600 * SECOND))

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    assert entered.wait(DEADLOCK_S)
    event()
    thread.join(DEADLOCK_S)
    assert not thread.is_alive(), "the event was slept through"
    return answers


def test_a_wait_ends_at_its_timeout(dispatcher: ConcurrentDispatcher) -> None:
    assert dispatcher.wait(0)
    assert dispatcher.wait(-5)
    assert dispatcher.wait(1)


def test_an_event_before_the_wait_is_not_slept_through(dispatcher: ConcurrentDispatcher) -> None:
    dispatcher.submit(request_id(0, 1), 100 * MS, 0)
    assert dispatcher.wait(3_600 * SECOND)


def test_a_submission_wakes_the_waiter(dispatcher: ConcurrentDispatcher) -> None:
    dispatcher.worker_up(0, WorkerSpec(FLAT), 0)
    assert while_waiting(dispatcher, lambda: dispatcher.submit(request_id(0, 1), 100 * MS, 0)) == [True]


def test_a_worker_that_comes_up_wakes_the_waiter(dispatcher: ConcurrentDispatcher) -> None:
    dispatcher.submit(request_id(0, 1), 100 * MS, 0)
    dispatcher.poll(0)
    assert while_waiting(dispatcher, lambda: dispatcher.worker_up(0, WorkerSpec(FLAT), 0)) == [True]


def test_a_completion_wakes_the_waiter_when_requests_are_queued(dispatcher: ConcurrentDispatcher) -> None:
    dispatcher.worker_up(0, WorkerSpec(FLAT), 0)
    dispatcher.submit(request_id(0, 1), 100 * MS, 0)
    batch = dispatcher.poll(0).dispatches[0].batch
    dispatcher.submit(request_id(1, 1), 100 * MS, 0)
    dispatcher.poll(0)
    assert while_waiting(dispatcher, lambda: dispatcher.complete(batch, 10 * MS)) == [True]


def test_an_event_that_gives_poll_nothing_to_do_wakes_nobody(dispatcher: ConcurrentDispatcher) -> None:
    dispatcher.worker_up(0, WorkerSpec(FLAT), 0)
    dispatcher.submit(request_id(0, 1), 100 * MS, 0)
    dispatcher.poll(0)
    dispatcher.submit(request_id(1, 1), 50 * MS, 0)
    dispatcher.poll(0)
    before = dispatcher.next_wakeup_ns()
    # The worker is busy and the newcomer is behind the head: no sooner wake-up than before, so no notice either.
    dispatcher.submit(request_id(2, 1), 100 * MS, 0)
    assert dispatcher.next_wakeup_ns() == before == 40 * MS + 1


def test_stop_ends_this_wait_and_all_later_ones(dispatcher: ConcurrentDispatcher) -> None:
    assert while_waiting(dispatcher, dispatcher.stop) == [False]
    assert dispatcher.wait(3_600 * SECOND) is False


def test_a_time_that_is_slightly_old_counts_as_the_latest_seen(dispatcher: ConcurrentDispatcher) -> None:
    dispatcher.worker_up(0, WorkerSpec(FLAT), 50 * MS)
    assert dispatcher.submit(request_id(0, 1), 50 * MS, 40 * MS) is Admission.EXPIRED
    assert dispatcher.submit(request_id(1, 1), 100 * MS, 45 * MS) is Admission.ACCEPTED
    assert dispatcher.backlog_ns(0) == dispatcher.backlog_ns(50 * MS)
    dispatch = dispatcher.poll(10 * MS).dispatches[0]
    assert dispatch.predicted_finish_ns == 60 * MS
    assert dispatcher.complete(dispatch.batch, 0) == [request_id(1, 1)]
    assert dispatcher.statistics().latency_sum_ns == 0


def test_every_event_reaches_the_dispatcher(dispatcher: ConcurrentDispatcher) -> None:
    dispatcher.worker_up(0, WorkerSpec(FLAT), 0)
    dispatcher.submit(request_id(0, 1), 100 * MS, 0)
    batch = dispatcher.poll(0).dispatches[0].batch
    assert dispatcher.worker_busy(0)
    assert dispatcher.fail(batch, Failure.WORKER_LOST, MS) == []
    assert dispatcher.poll(MS).dispatches[0].requests == [request_id(0, 1)]
    drops = dispatcher.worker_down(0, 2 * MS)
    assert [(drop.request, drop.outcome) for drop in drops] == [(request_id(0, 1), Outcome.WORKER_LOST)]
    dispatcher.worker_up(1, WorkerSpec(FLAT), 2 * MS)
    dispatcher.worker_drain(1)
    assert dispatcher.statistics().ready_workers == 0
    dispatcher.submit(request_id(0, 2), 100 * MS, 3 * MS)
    assert dispatcher.cancel(request_id(0, 2), 3 * MS)
    assert dispatcher.next_wakeup_ns() is None


def test_threads_submit_and_serve_without_losing_a_request() -> None:
    dispatcher = ConcurrentDispatcher(DispatcherParams(3_600 * SECOND, rows_max=8, queue_requests_max=10_000))
    dispatcher.worker_up(0, WorkerSpec(FLAT), 0)
    answered: list[int] = []
    expected = {request_id(slot, 1) for slot in range(2_000)}

    def submit(slots: range) -> None:
        for slot in slots:
            assert dispatcher.submit(request_id(slot, 1), 3_600 * SECOND, slot) is Admission.ACCEPTED

    def serve() -> None:
        now = 0
        while True:
            for dispatch in dispatcher.poll(now).dispatches:
                answered.extend(dispatcher.complete(dispatch.batch, now))
            if len(answered) >= len(expected):
                return
            wakeup = dispatcher.next_wakeup_ns()
            if wakeup is None:
                dispatcher.wait(60 * SECOND)
            else:
                now = max(now, wakeup)  # virtual time: skip the wait

    threads = [threading.Thread(target=submit, args=(range(first, 2_000, 4),)) for first in range(4)]
    threads.append(threading.Thread(target=serve, daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLOCK_S)
    assert sorted(answered) == sorted(expected)
