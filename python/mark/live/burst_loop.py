"""Drives one model's bouncer: sends to functions what instances cannot answer in time, and counts how that ends."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from mark._core import (
    BatchTrace,
    BreakerState,
    BurstLedger,
    BurstPolicy,
    BurstStatistics,
    BurstTicket,
    BurstVerdict,
    ModelSignature,
    Outcome,
    RequestTrace,
    SpanName,
    Statistics,
    padded_request,
    single_answer,
    with_bursts,
)
from mark.domain.functions import FunctionUse
from mark.errors import CloudError, DeadlineExceeded, ModelFailed, RequestError, Throttled, Unavailable
from mark.ports import Clock, Functions
from mark.tracing.requests import end_batch, sent_headers

__all__ = ["BurstLoop", "BurstLoopParams", "GivenUp"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A request that the dispatcher refused or dropped.

    Attributes:
        message: the ModelInferRequest.
        arrived_ns: when it came.
        deadline_ns: after which an answer is useless.
        outcome: what it ends as unless a function takes it.
        error: what its client is told then.
        trace: of one that is sampled.
    """

    message: bytes
    arrived_ns: int
    deadline_ns: int
    outcome: Outcome
    error: RequestError
    trace: RequestTrace | None = None


@dataclass(frozen=True, slots=True)
class BurstLoopParams:
    """What does not change.

    Attributes:
        signature: of the model.
        margin_ns: as the dispatcher's.
        timeout_s: a function that has not answered after this long has failed.
        sizes: that requests are padded to, as batches are; empty where any number of rows will do.
    """

    signature: ModelSignature
    margin_ns: int
    timeout_s: float
    sizes: tuple[int, ...] = ()


class BurstLoop:
    """The way to the functions of one model, live.

    A request that was sent is answered when the function answers, late ones too: whoever still waits gets it. When a
    client leaves, the function goes on: it is busy and billed all the same, and its end is news to the breaker.

    Thread safety: belongs to one event loop.

    Invariants:
        - each request that was sent is reported to the policy once when its function is done with it, and to the ledger
          once when its client is.
    """

    def __init__(self, functions: Functions, policy: BurstPolicy, clock: Clock, params: BurstLoopParams) -> None:
        self._functions = functions
        self._policy = policy
        self._clock = clock
        self._params = params
        self._ledger = BurstLedger(params.margin_ns)
        self._tasks: set[asyncio.Task[bytes]] = set()
        self._closed = False

    async def start(self) -> None:
        """Begin to keep functions warm."""
        await self._functions.start()

    async def answer(self, given_up: GivenUp) -> bytes:
        """Have a function answer, if the bouncer sends it there.

        Raises:
            RequestError: `given_up.error` when it is not sent, or the functions are throttled; else how it failed.
        """
        now_ns = self._clock.now_ns()
        if self._closed:
            raise given_up.error
        verdict = self._policy.decide(given_up.deadline_ns, now_ns)
        self._ledger.decided(verdict)
        if verdict is not BurstVerdict.SEND:
            raise given_up.error
        ticket = self._policy.sent(now_ns)
        self._ledger.sent(given_up.outcome)
        task = asyncio.get_running_loop().create_task(self._invoke(given_up, ticket))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        try:
            message = await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.cancelled():
                self._ledger.left(given_up.deadline_ns, self._clock.now_ns())
                raise
            self._ledger.ended(Outcome.CANCELLED)
            raise Unavailable("the server stops") from None
        except Exception as error:
            outcome, told = self._failed(given_up, error)
            self._ledger.ended(outcome)
            raise told from error
        self._ledger.answered(given_up.arrived_ns, given_up.deadline_ns, self._clock.now_ns())
        return message

    def together_with(self, instances: Statistics) -> Statistics:
        """What the dispatcher counted, with each request that went to a function counted by how that ended."""
        return with_bursts(instances, self._ledger.statistics())

    def statistics(self) -> BurstStatistics:
        """What became of the requests that instances could not answer."""
        return self._ledger.statistics()

    @property
    def breaker(self) -> BreakerState:
        """Whether functions are asked at all."""
        return self._policy.breaker(self._clock.now_ns())

    @property
    def spent_usd(self) -> float:
        """Dollars of the last hour that the budget knows of."""
        return self._policy.spent_usd(self._clock.now_ns())

    @property
    def functions(self) -> Functions:
        """That requests are sent to."""
        return self._functions

    def limit(self, usd_per_hour: float) -> None:
        """Spend no more than that in any hour from now on, whatever the bouncer's own budget is."""
        self._policy.limit(usd_per_hour)

    def use(self) -> FunctionUse:
        """What the functions have done so far."""
        return self._functions.use()

    async def close(self, grace_s: float | None = None) -> None:
        """End all functions; requests that still wait for one end as Unavailable."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._functions.close(grace_s)

    async def _invoke(self, given_up: GivenUp, ticket: BurstTicket) -> bytes:
        failed, usd = True, self._policy.usd_per_request
        message, params = given_up.message, self._params
        trace = None if given_up.trace is None else BatchTrace(SpanName.FUNCTION, given_up.trace)
        headers = sent_headers(trace, "function", self._clock.now_ns())
        try:
            sent, size = padded_request(message, params.signature, params.sizes) if params.sizes else (message, 0)
            answer = await self._functions.invoke(sent, params.timeout_s, headers)
            failed, usd = False, answer.usd
            checked = _checked(message, answer.message, params.signature, size)
            end_batch(trace, "OK", "", self._clock.now_ns())
            return checked
        except ModelFailed as error:
            failed = False  # the function did what it was asked to
            end_batch(trace, "INTERNAL", str(error), self._clock.now_ns())
            raise
        except Throttled as error:
            usd = 0.0
            end_batch(trace, "RESOURCE_EXHAUSTED", str(error), self._clock.now_ns())
            raise
        except CloudError as error:
            end_batch(trace, "UNAVAILABLE", str(error), self._clock.now_ns())
            raise
        finally:
            self._ended(ticket, failed=failed, usd=usd)

    def _ended(self, ticket: BurstTicket, *, failed: bool, usd: float) -> None:
        before = self.breaker
        self._policy.ended(ticket, failed=failed, usd=usd, now_ns=self._clock.now_ns())
        if self.breaker is not before:
            _log.warning("functions: the circuit breaker is %s, it was %s", self.breaker.name, before.name)

    def _failed(self, given_up: GivenUp, error: Exception) -> tuple[Outcome, RequestError]:
        """How a request ends that a function did not answer."""
        if isinstance(error, ModelFailed):
            return Outcome.MODEL_ERROR, error
        if isinstance(error, Throttled):
            return given_up.outcome, given_up.error
        if isinstance(error, CloudError):
            _log.warning("functions: %s", error)
        else:
            _log.error("functions: a request failed unexpectedly", exc_info=error)
        if self._clock.now_ns() >= given_up.deadline_ns:
            return Outcome.EXPIRED, DeadlineExceeded("the deadline passed before a function answered")
        return Outcome.WORKER_LOST, Unavailable("the function was lost; safe to send again")

    def _done(self, task: asyncio.Task[bytes]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # its client may have left: then nobody asks


def _checked(request: bytes, response: bytes, signature: ModelSignature, size: int) -> bytes:
    """The answer, when it is one to this request: functions are trusted no more than workers."""
    try:
        return single_answer(request, response, signature, size)
    except ValueError as error:
        raise ModelFailed(str(error)) from error
