"""Serverless functions on AWS Lambda."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mark._core import FunctionPrice
from mark.cloud.aws.lambda_calls import FunctionLost, LambdaAnswer, LambdaCalls
from mark.cloud.aws.session import AwsSession
from mark.domain.api_counts import ApiCounts
from mark.domain.functions import FunctionAnswer, FunctionUse
from mark.errors import CloudError, ModelFailed, Throttled

__all__ = ["LambdaFunctions", "LambdaFunctionsParams"]

_log = logging.getLogger(__name__)

_PAUSE_S = 0.1  # after a refusal; twice as long after each further one
_PAUSE_MAX_S = 5.0
_PING_HOLD_S = 0.1  # longer than it takes to send all pings of a round, so that each finds another function


@dataclass(frozen=True, slots=True)
class LambdaFunctionsParams:
    """How a function is used.

    Attributes:
        concurrency_max: requests at once.
        idle_s: one that was not used for so long is taken to have ended; AWS Lambda does not tell.
        keep_warm: so many are started before they are needed, and pinged so that they stay.
        ping_s: pause between two rounds of pings.
        ping_timeout_s: a ping may take so long: the start of a cold one is part of it.
    """

    concurrency_max: int
    idle_s: float = 300.0
    keep_warm: int = 0
    ping_s: float = 60.0
    ping_timeout_s: float = 60.0

    def __post_init__(self) -> None:
        if not 0 <= self.keep_warm <= self.concurrency_max or self.concurrency_max < 1:
            raise ValueError("needs concurrency_max >= 1 and 0 <= keep_warm <= concurrency_max")
        if not (self.idle_s > 0 and self.ping_s > 0 and self.ping_timeout_s > 0):
            raise ValueError("needs idle_s, ping_s and ping_timeout_s above 0")


class LambdaFunctions:
    """The Lambda function of one model. Implements `mark.ports.Functions`.

    A call is a thread that waits for AWS Lambda, which sends one answer and takes nothing back: a caller that gives up
    leaves its thread waiting until the time-out, and the function is billed. What AWS refuses is refused here, too,
    for a pause that doubles with each further refusal, so that nothing is sent in vain.

    Thread safety: belongs to one event loop; calls run on threads, and report to the loop.

    Invariants:
        - `_calls` holds every call that has a thread, `_in_flight` of which are requests and the others pings;
        - `_in_flight` never exceeds `concurrency_max`;
        - every call is billed once, when its thread is done with it.
    """

    def __init__(self, session: AwsSession, function: str, price: FunctionPrice, params: LambdaFunctionsParams) -> None:
        """Use a function that is deployed.

        Args:
            session: of the region that it is in.
            function: its name.
            price: what a request costs.
            params: how it is used.
        """
        threads = params.concurrency_max + params.keep_warm
        self._session = session
        self._client = LambdaCalls(session, function, threads)
        self._price = price
        self._params = params
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="mark-lambda")
        self._calls: set[asyncio.Future[LambdaAnswer]] = set()
        self._in_flight = 0
        self._seen_s: dict[str, float] = {}  # function -> when it was used last
        self._paused_until_s = 0.0
        self._pause_s = 0.0
        self._cold_starts = 0
        self._usd = 0.0
        self._pinging: asyncio.Task[None] | None = None
        self._closed = False

    async def start(self) -> None:
        """Begin to keep functions warm; see `mark.ports.Functions.start`."""
        if self._params.keep_warm > 0 and self._pinging is None and not self._closed:
            self._pinging = self._loop.create_task(self._keep_warm())

    async def invoke(
        self, message: bytes, timeout_s: float, headers: Mapping[str, str] | None = None
    ) -> FunctionAnswer:
        """Run one request; see `mark.ports.Functions.invoke`."""
        self._check_admitted()
        self._in_flight += 1
        call = self._begin(lambda: self._client.request(message, timeout_s, headers))
        call.add_done_callback(self._left)
        await asyncio.wait({call}, timeout=timeout_s)
        if not call.done():
            raise CloudError(f"a function did not answer within {timeout_s:.3g} s")
        answer = call.result()
        if answer.failed is not None:
            raise ModelFailed(answer.failed)
        return FunctionAnswer(answer.message, self._usd_of(answer.billed_ms), answer.was_cold)

    def use(self) -> FunctionUse:
        """What they have done so far; how many there are is what their answers suggest."""
        if self._closed and not self._calls:
            return FunctionUse(0, 0, self._cold_starts, self._usd)
        now_s = self._loop.time()
        self._seen_s = {each: at_s for each, at_s in self._seen_s.items() if now_s - at_s <= self._params.idle_s}
        warm = len(self._seen_s)
        return FunctionUse(max(warm, self._in_flight), warm, self._cold_starts, self._usd)

    def api_counts(self) -> ApiCounts:
        """How often AWS Lambda was asked; see `mark.ports.CountsCalls`."""
        return self._session.counts()

    async def close(self, grace_s: float | None = None) -> None:  # noqa: ARG002 - AWS Lambda takes nothing back
        """Send nothing more, and wait for what was sent, which ends by its time-out; functions end by themselves."""
        self._closed = True
        if self._pinging is not None:
            self._pinging.cancel()
            await asyncio.gather(self._pinging, return_exceptions=True)
        if self._calls:
            await asyncio.wait(self._calls)
        await asyncio.to_thread(self._threads.shutdown)
        self._client.close()

    # --- a call

    def _check_admitted(self) -> None:
        if self._closed:
            raise CloudError("the functions are closed")
        left_s = self._paused_until_s - self._loop.time()
        if left_s > 0:
            raise Throttled(f"AWS Lambda refused; it is asked again in {left_s:.2g} s")
        if self._in_flight >= self._params.concurrency_max:
            raise Throttled(
                f"{self._params.concurrency_max} functions are at work, and no more may be (concurrency_max)"
            )

    def _begin(self, call: Callable[[], LambdaAnswer]) -> asyncio.Future[LambdaAnswer]:
        future = self._loop.run_in_executor(self._threads, call)
        self._calls.add(future)
        future.add_done_callback(self._ended)  # first, so that whoever waits finds it billed
        return future

    def _left(self, _: asyncio.Future[LambdaAnswer]) -> None:
        self._in_flight -= 1

    def _ended(self, call: asyncio.Future[LambdaAnswer]) -> None:
        self._calls.discard(call)
        error = call.exception()  # taken, for it may be that nobody waits any more
        if error is None:
            self._answered(call.result())
        elif isinstance(error, Throttled):
            self._refused()
        elif isinstance(error, FunctionLost):
            self._usd += self._usd_of(error.billed_ms)
            if self._seen_s:  # which one it was is not told; the one used last is used first, as a rule
                self._seen_s.pop(max(self._seen_s, key=lambda each: self._seen_s[each]))

    def _answered(self, answer: LambdaAnswer) -> None:
        self._pause_s = 0.0
        self._usd += self._usd_of(answer.billed_ms)
        self._cold_starts += answer.was_cold
        if answer.instance:
            self._seen_s[answer.instance] = self._loop.time()

    def _refused(self) -> None:
        now_s = self._loop.time()
        if now_s < self._paused_until_s:
            return  # sent before the pause began
        self._pause_s = min(max(_PAUSE_S, 2 * self._pause_s), _PAUSE_MAX_S)
        self._paused_until_s = now_s + self._pause_s

    def _usd_of(self, billed_ms: int) -> float:
        return self._price.usd(billed_ms * 1_000_000)

    # --- keeping warm

    async def _keep_warm(self) -> None:
        while True:
            # Those that work on requests are warm, and a ping must not take a request's place.
            wanted = self._params.keep_warm - self._in_flight if self._loop.time() >= self._paused_until_s else 0
            pings = [self._begin(self._ping) for _ in range(wanted)]
            if pings:
                await asyncio.wait(pings)
            for error in filter(None, (each.exception() for each in pings)):
                _log.warning("a function was not kept warm: %s", error)
            await asyncio.sleep(self._params.ping_s)

    def _ping(self) -> LambdaAnswer:
        return self._client.ping(_PING_HOLD_S, self._params.ping_timeout_s)
