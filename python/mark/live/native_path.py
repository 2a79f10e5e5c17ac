"""One model's request path in the native data plane, as control loop, status and tuner see it.

No request passes through here but those that instances cannot answer in time, where functions may.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from mark._core import (
    BatchLost,
    DispatcherParams,
    GivenUpLeft,
    GivenUpRequest,
    NativePath,
    NativeServer,
    PathClosed,
    RequestTrace,
    Statistics,
    WorkerGone,
    WorkerProbed,
    WorkerReady,
    WorkerSpec,
    ended_by_stop,
)
from mark.domain.budget import SpendingLimits, Spent
from mark.domain.tls import TlsIdentity
from mark.errors import CloudError, RequestError, Unavailable
from mark.live.burst_loop import BurstLoop, GivenUp
from mark.live.request_path import WorkerAddress, attained, spent
from mark.live.worker_link import log_finding
from mark.protocol.error_names import end_of_error, error_of_end

__all__ = ["NativeRequestPath", "PathNotice"]

PathNotice = GivenUpRequest | GivenUpLeft | WorkerReady | WorkerProbed | WorkerGone | BatchLost | PathClosed
"""What the native path of a model tells."""

_Ticket = tuple[int, int]

_log = logging.getLogger(__name__)

# A certificate is replaced days before it ends; who asks so often is told soon enough, and asks for next to nothing.
_RETRUST_S = 30.0
_NO_IDENTITY_S = 1.0


class NativeRequestPath:
    """The native request path of one model.

    Thread safety: belongs to one event loop; an identity's `tls` is called on threads.

    Invariants:
        - each request that the path gave up is answered or ended by this, unless its client left;
        - a worker is known here from `connect_worker` until it was drained or removed.
    """

    def __init__(self, server: NativeServer, path: NativePath, bursts: BurstLoop | None = None) -> None:
        """Make the driver of a path without workers; `bursts` takes what they cannot answer, None: nothing does."""
        self._server = server
        self._path = path
        self.bursts = bursts
        self._addresses: dict[int, str] = {}
        self._gone: dict[int, asyncio.Event] = {}
        self._trusting: dict[int, asyncio.Task[None]] = {}
        self._given_up: dict[_Ticket, asyncio.Task[None]] = {}
        self._ready = asyncio.Event()
        self._closed = asyncio.Event()
        self._running = False

    async def infer(self, message: bytes, deadline_ns: int, trace: RequestTrace | None = None) -> bytes:  # noqa: ARG002 - the interface is wider
        """Refuse: requests come by the server's own address, and this is the way behind it.

        Raises:
            Unavailable: always.
        """
        raise Unavailable(f"this socket serves what is not inference; send to {self._server.address}")

    def connect_worker(self, worker: int, at: WorkerAddress, spec: WorkerSpec) -> None:
        """Send to a worker as soon as it says that it is ready, and again each time it comes back."""
        self._addresses[worker] = at.address
        if at.tls is None:
            self._path.add_worker(worker, at.address, spec, None)
        else:
            self._trusting[worker] = asyncio.get_running_loop().create_task(self._trust(worker, at, at.tls, spec))

    async def drain_worker(self, worker: int) -> None:
        """Send nothing more to the worker, wait for what it has in flight, then forget it and close its link."""
        if worker in self._addresses:
            await self._forget(worker, drains=True)

    async def remove_worker(self, worker: int) -> None:
        """Forget a worker at once: what it had in flight is tried elsewhere."""
        if worker in self._addresses:
            await self._forget(worker, drains=False)

    async def wait_ready(self) -> None:
        """Return once a worker was ready for the first time."""
        await self._ready.wait()

    @property
    def ready_workers(self) -> int:
        """Workers that batches are sent to."""
        return self._path.ready_workers

    @property
    def hung_workers(self) -> frozenset[int]:
        """Workers that let one batch after another run out of time, and are better replaced."""
        # Asked once in a while from the event loop, which must not wait: what was so the last time is soon enough.
        return frozenset(report.worker for report in self._path.workers(as_of_now=False) if report.hung)

    def not_ready_because(self) -> list[str]:
        """What each worker that batches are not sent to last said, with its address."""
        return [
            f"worker {report.address}: {report.last_probe}"
            for report in self._path.workers(as_of_now=True)
            if not report.up and not report.draining
        ]

    def address_of(self, worker: int) -> str:
        """Where a worker is; empty when it is not known any more."""
        return self._addresses.get(worker, "")

    def retune(self, params: DispatcherParams) -> None:
        """Reckon with other parameters from now on; ValueError when they differ in what cannot change."""
        self._path.retune(params)

    def statistics(self) -> Statistics:
        """What the request path counted so far, bursts included."""
        statistics = self._path.statistics()
        return statistics if self.bursts is None else self.bursts.together_with(statistics)

    def attained(self) -> tuple[int, int]:
        """Requests that ended so far and that more capacity could have answered; how many of them were in time."""
        return attained(self.statistics())

    def spent(self) -> Spent:
        """What its functions have cost so far, and what was offered."""
        return spent(self._path.statistics(), self.bursts)

    def keep_to(self, limits: SpendingLimits) -> None:
        """Shed, and limit functions, as a budget wants it from now on."""
        self._path.shed(limits.shed_share)
        if self.bursts is not None:
            self.bursts.limit(limits.functions_usd_per_hour)

    async def close(self) -> None:
        """Forget all workers; requests that still wait end as Unavailable."""
        for task in self._trusting.values():
            task.cancel()
        await asyncio.gather(*self._trusting.values(), return_exceptions=True)
        if self._running:
            self._path.close()
            await self._closed.wait()
        for gone in self._gone.values():
            gone.set()
        for task in list(self._given_up.values()):
            task.cancel()
        await asyncio.gather(*self._given_up.values(), return_exceptions=True)
        self._addresses.clear()

    def server_started(self) -> None:
        """Note that what the path is asked for is done from now on."""
        self._running = True

    def server_ended(self) -> None:
        """Note that nothing runs the path, so that nothing is told any more."""
        self._running = False
        self._closed.set()
        for gone in self._gone.values():
            gone.set()

    def told(self, notice: PathNotice) -> None:
        """Act on what the path tells."""
        if isinstance(notice, GivenUpRequest):
            self._answer_soon(notice)
        elif isinstance(notice, GivenUpLeft):
            if (left := self._given_up.get(notice.ticket)) is not None:
                left.cancel()
        elif isinstance(notice, WorkerReady):
            self._ready.set()
        elif isinstance(notice, WorkerProbed):
            log_finding(self.address_of(notice.worker), notice.finding)
        elif isinstance(notice, WorkerGone):
            if (gone := self._gone.get(notice.worker)) is not None:
                gone.set()
        elif isinstance(notice, BatchLost):
            _log.warning("lost a worker with %d requests in flight: %s", notice.requests, notice.why)
        else:
            self._closed.set()

    def _answer_soon(self, request: GivenUpRequest) -> None:
        if self.bursts is None:
            return  # the native path gives nothing up then
        task = asyncio.get_running_loop().create_task(self._answer(request, self.bursts))
        self._given_up[request.ticket] = task
        task.add_done_callback(lambda _: self._given_up.pop(request.ticket, None))

    async def _answer(self, request: GivenUpRequest, bursts: BurstLoop) -> None:
        error = error_of_end(request.end)
        arrived_ns, deadline_ns = request.arrived_ns, request.deadline_ns
        given_up = GivenUp(request.message, arrived_ns, deadline_ns, request.outcome, error, request.trace)
        try:
            answer = await bursts.answer(given_up)
        except RequestError as failed:
            self._server.end(request.ticket, end_of_error(failed))
        except asyncio.CancelledError:
            self._server.end(request.ticket, ended_by_stop())  # of one whose client has left: it finds nobody
            raise
        else:
            self._server.answer(request.ticket, answer)

    async def _forget(self, worker: int, *, drains: bool) -> None:
        trusting = self._trusting.pop(worker, None)
        if trusting is not None:
            trusting.cancel()
            await asyncio.gather(trusting, return_exceptions=True)
        if self._running:
            gone = self._gone.setdefault(worker, asyncio.Event())
            (self._path.drain_worker if drains else self._path.remove_worker)(worker)
            await gone.wait()
            self._gone.pop(worker, None)
        self._addresses.pop(worker, None)

    async def _trust(self, worker: int, at: WorkerAddress, tls: Callable[[], TlsIdentity], spec: WorkerSpec) -> None:
        """Add the worker as soon as there is a certificate to show to it, and show each later one from then on."""
        shown: TlsIdentity | None = None
        while True:
            try:
                identity = await asyncio.to_thread(tls)
            except CloudError as error:
                _log.warning("worker %s: no certificate to show to it: %s", at.address, error)
            else:
                if shown is None:
                    self._path.add_worker(worker, at.address, spec, _pem(identity))
                elif identity != shown:
                    self._path.retrust(worker, _pem(identity))
                shown = identity
            await asyncio.sleep(_NO_IDENTITY_S if shown is None else _RETRUST_S)


def _pem(identity: TlsIdentity) -> tuple[bytes, bytes, bytes, str]:
    return identity.certificate_pem, identity.key_pem, identity.authorities_pem, identity.peer_name
