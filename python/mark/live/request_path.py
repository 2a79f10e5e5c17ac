"""What control loop, status, tuner and server see of a model's request path, whichever data plane carries it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mark._core import DispatcherParams, Outcome, RequestTrace, Statistics, WorkerSpec
from mark.domain.budget import SpendingLimits, Spent
from mark.domain.tls import TlsIdentity
from mark.live.burst_loop import BurstLoop

__all__ = ["RequestPath", "WorkerAddress", "attained", "promised", "spent"]

# How a request may end that the promise is about: not those that their callers gave up, or the model did.
_PROMISED = tuple(outcome for outcome in Outcome if outcome not in {Outcome.CANCELLED, Outcome.MODEL_ERROR})
# And of these that more capacity could have answered: none is to be had for what the budget does not pay for.
_ANSWERABLE = tuple(outcome for outcome in _PROMISED if outcome is not Outcome.SHED)


@dataclass(frozen=True, slots=True)
class WorkerAddress:
    """Where a worker is, what it is asked for, and who the router is to it.

    Attributes:
        address: "host:port" or "unix:/path".
        model: the model's name.
        version: the model's version; empty for whichever it serves.
        tls: gives this end's identity, which may be replaced; called on threads. None for a connection without TLS.
    """

    address: str
    model: str
    version: str
    tls: Callable[[], TlsIdentity] | None = None


class RequestPath(Protocol):
    """The request path of one model, live; belongs to one event loop."""

    async def infer(self, message: bytes, deadline_ns: int, trace: RequestTrace | None = None) -> bytes:
        """Answer one ModelInferRequest, whose trace is noted if it is sampled; a RequestError says how it ended."""
        ...

    def connect_worker(self, worker: int, at: WorkerAddress, spec: WorkerSpec) -> None:
        """Send to a worker as soon as it says that it is ready, and again each time it comes back."""
        ...

    async def drain_worker(self, worker: int) -> None:
        """Send nothing more to a worker, wait for what it has in flight, then forget it."""
        ...

    async def remove_worker(self, worker: int) -> None:
        """Forget a worker at once: what it had in flight is tried elsewhere."""
        ...

    async def wait_ready(self) -> None:
        """Return once a worker was ready for the first time."""
        ...

    @property
    def ready_workers(self) -> int:
        """Workers that batches are sent to."""
        ...

    @property
    def hung_workers(self) -> frozenset[int]:
        """Workers that let one batch after another run out of time, and are better replaced."""
        ...

    def not_ready_because(self) -> list[str]:
        """What each worker that batches are not sent to last said, with its address."""
        ...

    def address_of(self, worker: int) -> str:
        """Where a worker is; empty when it is not known any more."""
        ...

    def retune(self, params: DispatcherParams) -> None:
        """Reckon with other parameters from now on; ValueError when they differ in what cannot change."""
        ...

    def statistics(self) -> Statistics:
        """What the request path counted so far, bursts included."""
        ...

    def attained(self) -> tuple[int, int]:
        """See `attained`."""
        ...

    def spent(self) -> Spent:
        """What its functions have cost so far, and what was offered."""
        ...

    def keep_to(self, limits: SpendingLimits) -> None:
        """Shed, and limit functions, as a budget wants it from now on."""
        ...

    @property
    def bursts(self) -> BurstLoop | None:
        """The way to the functions of the model; None without serverless."""
        ...

    async def close(self) -> None:
        """Forget all workers; requests that still wait end as Unavailable."""
        ...


def attained(statistics: Statistics) -> tuple[int, int]:
    """Requests that ended so far and that more capacity could have answered; how many of them were in time.

    Functions count as instances do: what they answer in time keeps the promise.
    """
    ended = sum(statistics.ended(outcome) for outcome in _ANSWERABLE)
    return ended, statistics.ended(Outcome.ANSWERED)


def promised(statistics: Statistics) -> tuple[int, int]:
    """Requests that ended and that the promise is about, whatever was paid for; how many of them were in time."""
    ended = sum(statistics.ended(outcome) for outcome in _PROMISED)
    return ended, statistics.ended(Outcome.ANSWERED)


def spent(statistics: Statistics, bursts: BurstLoop | None) -> Spent:
    """What the functions of a model have cost, if it has any, and what was offered to it."""
    usd, usd_hour = (0.0, 0.0) if bursts is None else (bursts.use().usd, bursts.spent_usd)
    return Spent(usd, usd_hour, statistics.submitted_rows, statistics.submitted_rows_lowest)
