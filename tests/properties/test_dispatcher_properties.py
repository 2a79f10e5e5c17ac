"""The dispatcher against a model of what it was told: every request is somewhere, once, and no limit is broken."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mark._core import (
    Admission,
    Dispatch,
    Dispatcher,
    DispatcherParams,
    Drop,
    Failure,
    LatencyProfile,
    Outcome,
    WorkerSpec,
    batch_limits,
    request_id,
)

MS = 1_000_000
RT_MAX = 50 * MS
PROFILES = [
    LatencyProfile([1, 8], [4 * MS, 5 * MS]),
    LatencyProfile([1, 8], [3 * MS, 24 * MS]),
    LatencyProfile([1, 4, 8], [10 * MS, 12 * MS, 40 * MS]),
    LatencyProfile([1], [60 * MS]),  # cannot meet the SLO
    LatencyProfile([1, 4, 8], [10 * MS, 12 * MS, 40 * MS]).padded_to([1, 4, 8]),
    LatencyProfile([1, 8], [2 * MS, 16 * MS]).padded_to([3, 6]),
]


@dataclass
class Told:
    """What the test knows of a request that has not ended."""

    deadline_ns: int
    rows: int
    bytes: int
    shape: int
    sequence: int
    batch: int | None = None
    lost_worker: bool = False
    solo: bool = False

    @property
    def order(self) -> tuple[int, int]:
        return self.deadline_ns, self.sequence


@dataclass
class Sent:
    worker: int
    requests: list[int]


@dataclass
class Up:
    profile: LatencyProfile
    rows_max: int
    n_batch: int
    batches_max: int
    draining: bool = False


class DispatcherMachine(RuleBasedStateMachine):
    @initialize(
        rows_max=st.sampled_from([8, 7, 3, 1]),
        requests_max=st.sampled_from([40, 10, 3]),
        bytes_max=st.sampled_from([1000, 200]),
        margin_ns=st.sampled_from([0, 2 * MS]),
        admission=st.booleans(),
        corrects=st.booleans(),
        workers=st.lists(st.sampled_from(PROFILES), min_size=1, max_size=2),
        prompt=st.booleans(),
    )
    def start(
        self,
        rows_max: int,
        requests_max: int,
        bytes_max: int,
        margin_ns: int,
        admission: bool,
        corrects: bool,
        workers: list[LatencyProfile],
        prompt: bool,
    ) -> None:
        self.prompt = prompt
        self.dispatcher = Dispatcher(
            DispatcherParams(
                RT_MAX,
                rows_max=rows_max,
                queue_requests_max=requests_max,
                queue_bytes_max=bytes_max,
                margin_ns=margin_ns,
                admission=admission,
                corrects=corrects,
            )
        )
        self.rows_max = rows_max
        self.requests_max = requests_max
        self.bytes_max = bytes_max
        self.admission = admission
        self.corrects = corrects
        self.margin_ns = margin_ns
        self.now = 0
        self.slots = 0
        self.live: dict[int, Told] = {}
        self.sent: dict[int, Sent] = {}
        self.workers: dict[int, Up] = {}
        self.ended = dict.fromkeys(Outcome, 0)
        self.submitted = 0
        for worker, profile in enumerate(workers):
            self.worker_up(worker, profile, 8, 1)

    # --- what happens; a prompt driver polls after each arrival

    @rule(
        burst=st.lists(
            st.tuples(
                st.sampled_from([RT_MAX, 45 * MS, 30 * MS, 29 * MS, 15 * MS, 6 * MS, 0]),
                st.sampled_from([1, 1, 1, 2, 3, 9]),
                st.sampled_from([1, 60]),
                st.sampled_from([0, 0, 0, 1]),
            ),
            min_size=1,
            max_size=8,
        )
    )
    def submit(self, burst: list[tuple[int, int, int, int]]) -> None:
        for slack_ns, rows, size, shape in burst:
            self.submit_one(slack_ns, rows, size, shape)
        if self.prompt:
            self.serve()

    def submit_one(self, slack_ns: int, rows: int, size: int, shape: int) -> None:
        self.slots += 1
        request = request_id(self.slots, 1)
        full = self.full(size)
        admission = self.dispatcher.submit(request, self.now + slack_ns, self.now, rows=rows, bytes=size, shape=shape)
        assert (admission is Admission.TOO_MANY_ROWS) == (rows > self.rows_max)
        if admission is Admission.TOO_MANY_ROWS:
            return
        self.submitted += 1
        assert (admission is Admission.EXPIRED) == (slack_ns <= 0)
        assert (admission is Admission.QUEUE_FULL) == (slack_ns > 0 and full)
        if admission is Admission.ACCEPTED:
            self.live[request] = Told(self.now + slack_ns, rows, size, shape, self.slots)
        else:
            self.ended[Outcome[admission.name]] += 1

    @rule()
    def poll(self) -> None:
        self.serve()

    def serve(self) -> bool:
        """Polls; whether that decided anything."""
        decisions = self.dispatcher.poll(self.now)
        for drop in decisions.drops:
            self.check_drop_from_queue(drop)
        for dispatch in decisions.dispatches:
            self.check_dispatch(dispatch)
        self.check_progress()
        return bool(decisions.drops or decisions.dispatches)

    @rule(passed_ns=st.sampled_from([1, MS, 3 * MS, 10 * MS]))
    def let_time_pass(self, passed_ns: int) -> None:
        self.now += passed_ns

    @rule()
    def go_to_the_next_wakeup(self) -> None:
        self.serve()
        wakeup = self.dispatcher.next_wakeup_ns()
        if wakeup is not None:
            self.now = wakeup
            # Beside a second worker the queue may pass from waiting for that one to waiting for more requests.
            assert self.serve() or len(self.workers) > 1, "woken for nothing"

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def complete(self, data: st.DataObject) -> None:
        batch, sent = self.take_batch(data)
        waiting = [request for request in sent.requests if self.is_in(request, batch)]
        assert self.dispatcher.complete(batch, self.now) == waiting
        for request in waiting:
            late = self.now > self.live.pop(request).deadline_ns
            self.ended[Outcome.LATE if late else Outcome.ANSWERED] += 1
        assert self.dispatcher.complete(batch, self.now) == []

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), failure=st.sampled_from(Failure))
    def fail(self, data: st.DataObject, failure: Failure) -> None:
        batch, sent = self.take_batch(data)
        self.check_failure({batch: sent}, failure, self.dispatcher.fail(batch, failure, self.now))

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(sorted(self.live)))
        assert self.dispatcher.cancel(request, self.now)
        assert not self.dispatcher.cancel(request, self.now)
        # A client's own deadline arrives as a cancellation, and is a broken promise all the same.
        broken = self.now + self.margin_ns >= self.live.pop(request).deadline_ns
        self.ended[Outcome.EXPIRED if broken else Outcome.CANCELLED] += 1

    @rule(
        worker=st.integers(0, 3),
        profile=st.sampled_from(PROFILES),
        rows_max=st.integers(1, 8),
        batches_max=st.integers(1, 2),
    )
    def worker_up(self, worker: int, profile: LatencyProfile, rows_max: int, batches_max: int) -> None:
        if worker in self.workers:
            return
        spec = WorkerSpec(profile, rows_max=rows_max, batches_in_flight_max=batches_max)
        self.dispatcher.worker_up(worker, spec, self.now)
        rows = min(rows_max, self.rows_max, *profile.sizes[-1:])
        limits = batch_limits(profile, RT_MAX - self.margin_ns, rows)
        late = min(rows, max(1, profile.size_for(1)))  # what is served where nothing is in time
        self.workers[worker] = Up(profile, rows, limits.n_batch if limits else late, batches_max)

    @rule(worker=st.integers(0, 9))
    def worker_drain(self, worker: int) -> None:
        self.dispatcher.worker_drain(worker)
        if worker in self.workers:
            self.workers[worker].draining = True

    @rule(worker=st.integers(0, 9))
    def worker_down(self, worker: int) -> None:
        lost = {batch: sent for batch, sent in self.sent.items() if sent.worker == worker}
        for batch in lost:
            del self.sent[batch]
        self.workers.pop(worker, None)
        self.check_failure(lost, Failure.WORKER_LOST, self.dispatcher.worker_down(worker, self.now))

    # --- what must hold

    def queued(self) -> list[Told]:
        return [told for told in self.live.values() if told.batch is None]

    def full(self, size: int) -> bool:
        queued = self.queued()
        too_many = len(queued) >= self.requests_max
        return too_many or sum(told.bytes for told in queued) + size > self.bytes_max

    def is_in(self, request: int, batch: int) -> bool:
        return request in self.live and self.live[request].batch == batch

    def take_batch(self, data: st.DataObject) -> tuple[int, Sent]:
        batch = data.draw(st.sampled_from(sorted(self.sent)))
        return batch, self.sent.pop(batch)

    def check_drop_from_queue(self, drop: Drop) -> None:
        told = self.live.pop(drop.request)
        assert told.batch is None
        self.ended[drop.outcome] += 1
        if drop.outcome is Outcome.EXPIRED:
            assert told.deadline_ns <= self.now
            return
        assert drop.outcome is Outcome.PREDICTED_MISS
        assert self.admission
        serving = [up for worker, up in self.workers.items() if not up.draining and worker not in self.ejected()]
        able = [up for up in serving if up.rows_max >= told.rows]
        certain = all(self.is_late_on(up, told) for up in able)
        # Else others wait that it would hold up.
        assert certain or self.queued() or self.corrects
        assert serving

    def ejected(self) -> set[int]:
        return {each.worker for each in self.dispatcher.statistics().workers if each.ejected}

    def check_probe(self, dispatch: Dispatch) -> None:
        """A copy of a request that another worker has, for an idle worker that is ejected."""
        assert dispatch.worker in self.ejected()
        assert not any(sent.worker == dispatch.worker for sent in self.sent.values())
        (request,) = dispatch.requests
        other = self.live[request].batch
        assert other in self.sent
        assert self.sent[other].worker != dispatch.worker
        self.sent[dispatch.batch] = Sent(dispatch.worker, dispatch.requests)

    def check_dispatch(self, dispatch: Dispatch) -> None:
        if dispatch.probe:
            self.check_probe(dispatch)
            return
        up = self.workers[dispatch.worker]
        told = [self.live[request] for request in dispatch.requests]
        in_flight = sum(sent.worker == dispatch.worker for sent in self.sent.values())
        # Passed over is only what the worker does not take, or would be late with. Behind a batch in flight that is
        # more than can be said here.
        queued = [
            each
            for each in sorted(self.queued(), key=lambda each: each.order)
            if each in told or (not in_flight and each.rows <= up.rows_max and self.is_surely_in_time_on(up, each))
        ]
        assert told == queued[: len(told)], "a batch is the beginning of the queue, in deadline order"
        assert told[0].deadline_ns == dispatch.earliest_deadline_ns > self.now
        assert len({each.shape for each in told}) == 1
        assert dispatch.rows == sum(each.rows for each in told)
        assert dispatch.size == up.profile.size_for(dispatch.rows) > 0 or not up.profile.sizes
        assert dispatch.rows <= (up.rows_max if len(told) == 1 or self.corrects else up.n_batch)
        assert dispatch.worker not in self.ejected()
        in_time = dispatch.predicted_finish_ns <= dispatch.earliest_deadline_ns
        assert in_time or not self.admission
        assert len(told) == 1 or not any(each.solo for each in told)
        assert not up.draining
        assert in_flight < up.batches_max
        assert dispatch.batch not in self.sent
        self.sent[dispatch.batch] = Sent(dispatch.worker, dispatch.requests)
        for each in told:
            each.batch = dispatch.batch

    def is_surely_in_time_on(self, up: Up, told: Told) -> bool:
        return not self.corrects and not self.is_late_on(up, told)

    def is_late_on(self, up: Up, told: Told) -> bool:
        return self.now + up.profile.predict_ns(told.rows) > told.deadline_ns

    def check_failure(self, failed: dict[int, Sent], failure: Failure, drops: list[Drop]) -> None:
        expected: dict[int, Outcome] = {}
        for batch, sent in failed.items():
            model_error = failure is Failure.MODEL_ERROR
            alone = len(sent.requests) == 1
            for request in sent.requests:
                if not self.is_in(request, batch):
                    continue
                told = self.live[request]
                expired = told.deadline_ns <= self.now
                if model_error and alone:
                    expected[request] = Outcome.MODEL_ERROR
                elif expired:
                    expected[request] = Outcome.EXPIRED
                elif told.lost_worker and not model_error:
                    expected[request] = Outcome.WORKER_LOST
                else:
                    told.batch, told.solo = None, True
                    told.lost_worker = told.lost_worker or not model_error
        assert {drop.request: drop.outcome for drop in drops} == expected
        assert len(drops) == len(expected)
        for request, outcome in expected.items():
            del self.live[request]
            self.ended[outcome] += 1

    def check_progress(self) -> None:
        """After poll: the next wake-up lies ahead, and is there whenever something is queued."""
        wakeup = self.dispatcher.next_wakeup_ns()
        queued = self.queued()
        if not queued:
            assert wakeup is None
            return
        assert wakeup is not None
        assert self.now < wakeup <= min(told.deadline_ns for told in queued)

    @invariant()
    def every_request_is_counted_once(self) -> None:
        if not hasattr(self, "dispatcher"):
            return
        statistics = self.dispatcher.statistics()
        assert {outcome: statistics.ended(outcome) for outcome in Outcome} == self.ended
        assert statistics.submitted_requests == self.submitted == len(self.live) + sum(self.ended.values())
        queued = self.queued()
        assert statistics.queued_requests == len(queued)
        assert statistics.queued_bytes == sum(told.bytes for told in queued)
        assert statistics.in_flight_requests == len(self.live) - len(queued)
        sick = self.ejected()
        serving = sum(not up.draining and worker not in sick for worker, up in self.workers.items())
        assert statistics.ready_workers == serving

    def teardown(self) -> None:
        """Whatever happened before: one worker that answers empties the dispatcher in finitely many wake-ups."""
        if not hasattr(self, "dispatcher"):
            return
        for worker in list(self.workers):
            self.worker_down(worker)
        self.worker_up(0, PROFILES[0], 8, 1)
        for _ in range(10 * len(self.live) + 10):
            self.go_to_the_next_wakeup()
            for batch, sent in list(self.sent.items()):
                self.sent.pop(batch)
                for request in self.dispatcher.complete(batch, self.now):
                    assert request in sent.requests
                    late = self.now > self.live.pop(request).deadline_ns
                    self.ended[Outcome.LATE if late else Outcome.ANSWERED] += 1
        assert not self.live
        self.every_request_is_counted_once()


TestDispatcher = DispatcherMachine.TestCase
TestDispatcher.settings = settings(max_examples=300, stateful_step_count=50, deadline=None, derandomize=True)
