"""Serverless functions on one machine: worker processes that come with the requests, stay warm for a while, and go."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, cast

import grpc
import grpc.aio

from mark._core import FunctionPrice
from mark.cloud.socket_folder import SocketFolder
from mark.cloud.worker_process import WorkerProcess
from mark.domain.functions import FunctionAnswer, FunctionUse
from mark.errors import CloudError, ModelFailed, Throttled
from mark.protocol import messages
from mark.protocol.statuses import LINK_CODES

__all__ = ["LocalFunctions", "LocalFunctionsParams"]

_log = logging.getLogger(__name__)

_PING_TIMEOUT_S = 5.0
_CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
]


@dataclass(frozen=True, slots=True)
class LocalFunctionsParams:
    """How functions come and go.

    Attributes:
        concurrency_max: functions at once.
        idle_s: one that was idle for so long ends.
        keep_warm: so many are started before they are needed, and pinged so that they stay.
        ping_s: pause between two pings; less than `idle_s`, or they would end in between.
        grace_s: how long one that is told to end may finish its request.
        boot_max_s: one that does not answer so long after its start is ended.
    """

    concurrency_max: int
    idle_s: float
    keep_warm: int = 0
    ping_s: float = 60.0
    grace_s: float = 5.0
    boot_max_s: float = 120.0

    def __post_init__(self) -> None:
        if not 0 <= self.keep_warm <= self.concurrency_max or self.concurrency_max < 1:
            raise ValueError("needs concurrency_max >= 1 and 0 <= keep_warm <= concurrency_max")
        if not self.idle_s > 0 or (self.keep_warm > 0 and not 0 < self.ping_s < self.idle_s):
            raise ValueError("needs idle_s > 0, and 0 < ping_s < idle_s where functions are kept warm")


@dataclass(slots=True, eq=False)
class _Function:
    """One process. `ready` gives how its requests are sent; it raises when the process ends before."""

    began_s: float
    ready: asyncio.Future[None]
    taken: bool
    process: WorkerProcess | None = None  # None until it is started
    channel: grpc.aio.Channel | None = None
    unbilled_s: float = 0.0  # of its start, until the first request or ping pays for it
    gone: bool = False
    expiry: asyncio.TimerHandle | None = None


class LocalFunctions:
    """Functions as worker processes of this machine. Implements `mark.ports.Functions`.

    A cold start is real: a process starts and loads the model. It is billed with the first request, as on AWS Lambda.
    The one used last is used first, so that the others end when fewer are needed. What a request leaves behind that was
    not answered in time is ended, for nobody knows what it still computes.

    As for every local worker: each holds the other end of a pipe of this process and ends with it, however it ends.

    Thread safety: belongs to one event loop; processes are started on a thread, and watched on theirs.

    Invariants:
        - a function in `_idle` is ready, not taken, and has an expiry;
        - there are at most `concurrency_max` in `_functions`, those that end included;
        - every process is in `_functions` until it has ended.
    """

    def __init__(
        self, command: Callable[[str], Sequence[str]], price: FunctionPrice, params: LocalFunctionsParams
    ) -> None:
        """Make a pool with no function in it.

        Args:
            command: address to serve at -> the command line of a worker.
            price: what a request costs.
            params: how functions come and go.
        """
        self._command = command
        self._price = price
        self._params = params
        self._loop = asyncio.get_running_loop()
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="mark-functions")
        self._sockets = SocketFolder()
        self._functions: set[_Function] = set()
        self._idle: list[_Function] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._cold_starts = 0
        self._usd = 0.0
        self._closed = False

    async def start(self) -> None:
        """Begin to keep functions warm; see `mark.ports.Functions.start`."""
        if self._params.keep_warm > 0 and not self._closed:
            self._spawn(self._keep_warm())

    async def invoke(
        self, message: bytes, timeout_s: float, headers: Mapping[str, str] | None = None
    ) -> FunctionAnswer:
        """Run one request; see `mark.ports.Functions.invoke`."""
        if self._closed:
            raise CloudError("the functions are closed")
        began_s = self._loop.time()
        function, was_cold = self._take()
        trusted, usd = False, 0.0
        try:
            await self._until_ready(function, timeout_s)
            response = await self._call(function, message, began_s + timeout_s, tuple((headers or {}).items()))
            trusted = True
        except ModelFailed:
            trusted = True
            raise
        finally:
            if function.ready.done() and function.ready.exception() is None:
                # The start of a cold one is billed by itself: it is part of what was waited for here.
                usd = self._bill(function, self._loop.time() - max(began_s, function.began_s + function.unbilled_s))
            self._give_back(function, trusted=trusted)
        return FunctionAnswer(response, usd, was_cold)

    def use(self) -> FunctionUse:
        """What they have done so far."""
        warm = sum(each.ready.done() and not each.gone for each in self._functions)
        return FunctionUse(len(self._functions), warm, self._cold_starts, self._usd)

    async def close(self, grace_s: float | None = None) -> None:
        """End every function; returns when no process is left."""
        self._closed = True
        grace_s = self._params.grace_s if grace_s is None else grace_s
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._starter.shutdown)  # what it was starting has its process now
        functions = list(self._functions)
        for function in functions:
            self._end(function, grace_s)
        await asyncio.to_thread(_join, [each.process for each in functions if each.process], grace_s + 5.0)
        for function in functions:
            self._ended(function, "the functions are closed")
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._sockets.close()

    # --- taking and giving back

    def _take(self) -> tuple[_Function, bool]:
        if self._idle:
            function = self._idle.pop()
            if function.expiry is not None:
                function.expiry.cancel()
        else:
            # One that was started to be kept warm, and is not yet, is as good as a new one and sooner there.
            booting = [each for each in self._functions if not each.taken and not each.ready.done() and not each.gone]
            function = min(booting, key=lambda each: each.began_s) if booting else self._start_one()
        was_cold = not function.ready.done()
        function.taken = True
        return function, was_cold

    def _give_back(self, function: _Function, *, trusted: bool) -> None:
        function.taken = False
        if function not in self._functions:
            self._hang_up(function)
            return
        if function.gone or not function.ready.done():
            return  # one that boots is idle once it is ready
        if trusted and not self._closed:
            self._rest(function)
        else:
            self._end(function, 0.0)

    def _rest(self, function: _Function) -> None:
        self._idle.append(function)
        function.expiry = self._loop.call_later(self._params.idle_s, self._expire, function)

    def _expire(self, function: _Function) -> None:
        self._end(function, self._params.grace_s)

    def _bill(self, function: _Function, ran_s: float) -> float:
        usd = self._price.usd(round((function.unbilled_s + max(0.0, ran_s)) * 1e9))
        function.unbilled_s = 0.0
        self._usd += usd
        return usd

    # --- a request

    async def _until_ready(self, function: _Function, timeout_s: float) -> None:
        if not function.ready.done():
            await asyncio.wait({function.ready}, timeout=timeout_s)
        if not function.ready.done():
            raise CloudError(f"a function did not start within {timeout_s:.3g} s")
        function.ready.result()

    async def _call(
        self, function: _Function, message: bytes, until_s: float, metadata: tuple[tuple[str, str], ...]
    ) -> bytes:
        infer = self._channel(function).unary_unary(messages.MODEL_INFER)
        try:
            return cast(bytes, await infer(message, timeout=max(0.0, until_s - self._loop.time()), metadata=metadata))
        except grpc.aio.AioRpcError as error:
            words = f"{error.code().name}: {error.details()}"
            if error.code() in LINK_CODES:
                raise CloudError(f"a function did not answer: {words}") from error
            raise ModelFailed(error.details() or words) from error

    # --- life of a function

    def _start_one(self) -> _Function:
        if len(self._functions) >= self._params.concurrency_max:
            raise Throttled(
                f"{self._params.concurrency_max} functions are at work, and no more may be (concurrency_max)"
            )
        function = _Function(self._loop.time(), self._loop.create_future(), taken=False)
        self._functions.add(function)
        self._cold_starts += 1
        self._starter.submit(self._start_process, function)
        return function

    def _start_process(self, function: _Function) -> None:
        """On the starter's thread: a fork takes milliseconds, which the event loop has not."""
        address = ""
        try:
            if self._closed:
                raise CloudError("the functions are closed")
            address = self._sockets.address()
            process = WorkerProcess(self._command(address), address)
        except (OSError, CloudError) as error:
            self._sockets.release(address)
            self._tell(self._ended, function, f"its process does not start: {error}")
            return
        function.process = process

        def exited(detail: str) -> None:
            self._sockets.release(address)
            self._tell(self._ended, function, detail)

        process.watch(
            boot_s=0.0,
            boot_max_s=self._params.boot_max_s,
            on_ready=lambda: self._tell(self._became_ready, function),
            on_late=lambda _: process.stop(0.0),
            on_exit=exited,
        )

    def _tell(self, act: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody listens
            self._loop.call_soon_threadsafe(act, *arguments)

    def _became_ready(self, function: _Function) -> None:
        if function.gone or function.ready.done():
            return
        function.unbilled_s = self._loop.time() - function.began_s
        function.ready.set_result(None)
        if not function.taken:
            self._rest(function)

    def _end(self, function: _Function, grace_s: float) -> None:
        """Use it no more, and tell its process to end; it is forgotten once that has ended."""
        self._withdraw(function)
        function.gone = True
        if function.process is not None:
            function.process.stop(grace_s)

    def _ended(self, function: _Function, detail: str) -> None:
        if function not in self._functions:
            return
        self._functions.remove(function)
        self._withdraw(function)
        if not function.gone:
            _log.warning("a function is gone: %s", detail)
        function.gone = True
        if not function.ready.done():
            function.ready.set_exception(CloudError(f"a function did not start: {detail}"))
            function.ready.exception()  # it may be that nobody waits for it
        if not function.taken:  # else its call fails first, which is how its caller hears of it
            self._hang_up(function)

    def _hang_up(self, function: _Function) -> None:
        if function.channel is not None:
            self._spawn(function.channel.close())
            function.channel = None

    def _withdraw(self, function: _Function) -> None:
        if function in self._idle:
            self._idle.remove(function)
        if function.expiry is not None:
            function.expiry.cancel()
            function.expiry = None

    def _channel(self, function: _Function) -> grpc.aio.Channel:
        if function.channel is None:
            if function.process is None:
                raise CloudError("a function has no process")
            function.channel = grpc.aio.insecure_channel(function.process.address, options=_CHANNEL_OPTIONS)
        return function.channel

    # --- keeping warm

    async def _keep_warm(self) -> None:
        while True:
            missing = self._params.keep_warm - sum(not each.gone for each in self._functions)
            with contextlib.suppress(Throttled):  # those that end still count; the next round tries again
                for _ in range(missing):
                    self._start_one()
            pings = [self._spawn(self._ping(each)) for each in self._idle[-self._params.keep_warm :]]
            if pings:
                # Not gathered: a function that ends meanwhile cancels its ping, and must not cancel this loop.
                await asyncio.wait(pings)
            await asyncio.sleep(self._params.ping_s)

    async def _ping(self, function: _Function) -> None:
        """A request that computes nothing, billed as any. It does not keep the function from a real one."""
        began_s = self._loop.time()
        ask = self._channel(function).unary_unary(messages.SERVER_READY)
        try:
            await ask(b"", timeout=_PING_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            _log.warning("a function does not answer its ping: %s: %s", error.code().name, error.details())
            if function in self._idle:
                self._end(function, 0.0)
            return
        self._bill(function, self._loop.time() - began_s)
        if function in self._idle:
            self._withdraw(function)
            self._rest(function)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _join(processes: Sequence[WorkerProcess], timeout_s: float) -> None:
    for process in processes:
        if not process.join(timeout_s):
            _log.error("a function does not end")
