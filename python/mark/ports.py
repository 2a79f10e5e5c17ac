"""What the policies and drivers need from the world. Only `app` chooses the implementations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from mark.domain.artifact import ModelArtifact
from mark.domain.bill import Bill
from mark.domain.fleet import Instance, InstanceId
from mark.domain.forecast import Forecast
from mark.domain.functions import FunctionAnswer, FunctionUse
from mark.domain.offering import Offering
from mark.domain.record import Record
from mark.domain.tls import TlsIdentity
from mark.errors import CloudError

__all__ = ["Clock", "Cloud", "Forecaster", "Functions", "Interruptible", "Led", "Recorder", "SecuresLinks", "Wholesale"]


class Clock(Protocol):
    """Where time comes from. Steady: it never goes back."""

    def now_ns(self) -> int:
        """Nanoseconds since an arbitrary but fixed instant."""
        ...


class Cloud(Protocol):
    """Rents and returns instances, each of which runs one worker.

    Calls may take as long as the cloud takes, so drivers make them off the request path. Safe to call from any thread.
    """

    def open(self) -> None:
        """Take the cluster over, once and before anything else: what runs of it already is listed from then on.

        May take as long as another router leads the cluster. `close` ends the wait.

        Raises:
            CloudError: the cloud cannot be used; the message says what to mend.
        """
        ...

    def launch(self, offering: str, artifact: ModelArtifact, token: str) -> Instance:
        """Rent one instance that serves the model, and return it (pending).

        Idempotent in `token`: a second call with the same token returns the first call's instance, whatever its state.

        Raises:
            QuotaExceeded: the offering's `max_count` is reached.
            InsufficientCapacity: the offering is sold out for now.
            CloudError: anything else; nothing was rented.
        """
        ...

    def prepare(self, artifact: ModelArtifact) -> None:
        """Make ready what the offerings keep stopped for a model, in the background; a launch of it is then faster.

        Call it once for each model. Until it is done, and where nothing is kept, launches take as long as they take.
        What is given back of such an offering is made ready again.
        """
        ...

    def terminate(self, instance: InstanceId) -> None:
        """Give an instance back. It stops being billed at once; its worker gets a moment to finish.

        Idempotent: an id that is unknown or gone is not an error.
        """
        ...

    def list_instances(self) -> Sequence[Instance]:
        """Every instance ever rented, the gone ones included, oldest first, as the cloud sees them now."""
        ...

    def wait_for_change(self, since: int, timeout_s: float) -> int:
        """Block until an instance changes, and return the number of changes so far.

        Returns at once when there were more than `since` changes already, and after `timeout_s` at the latest. Pass
        what the last call returned, and list the instances afterwards: then no change is missed.
        """
        ...

    def offerings(self) -> Sequence[Offering]:
        """What can be rented, in the order of the configuration."""
        ...

    def bill(self) -> Bill:
        """What it has cost so far, by hour, model, market and offering; of what is kept stopped where it is billed."""
        ...

    def spent_usd(self) -> float:
        """Dollars that it has cost so far: the total of the bill."""
        ...

    def close(self, grace_s: float | None = None) -> None:
        """Give everything back and release what the driver holds: no process, port or file remains. Idempotent.

        Args:
            grace_s: how long workers may finish their batches, where the cloud can be told; None for as usual.
        """
        ...


@runtime_checkable
class Wholesale(Protocol):
    """A cloud that rents several instances of an offering in one call."""

    def launch_many(
        self, offering: str, artifact: ModelArtifact, tokens: Sequence[str]
    ) -> Sequence[Instance | CloudError]:
        """Rent one instance for each token; see `Cloud.launch`.

        Idempotent in the tokens: the same ones in the same order return the instances of the first call.

        Returns:
            For each token in order: the instance, or why there is none; a cloud may have fewer than are wanted.

        Raises:
            CloudError: nothing was rented.
        """
        ...


@runtime_checkable
class Led(Protocol):
    """A cloud that several routers may serve through, and that one of them at a time may change."""

    def leads(self) -> bool:
        """Whether this router is the one: it may launch and retire now.

        Raises:
            CloudError: it was, and another has taken over meanwhile: this one is to end.
        """
        ...

    def check_leads(self) -> None:
        """Return only while this router is the one.

        Raises:
            CloudError: another one is, or nobody knows.
        """
        ...


@runtime_checkable
class SecuresLinks(Protocol):
    """A cloud whose workers are reached by mutual TLS."""

    def link_tls(self) -> TlsIdentity:
        """What the router shows to workers and whom it trusts, as of now; it is replaced from time to time.

        Raises:
            CloudError: it cannot be had.
        """
        ...


@runtime_checkable
class Interruptible(Protocol):
    """A cloud that takes spot instances away on command, so that what happens then can be seen and tested."""

    def interrupt_spot(self, share: float, model: str = "", notice_s: float | None = None) -> Sequence[Instance]:
        """Give notice to spot instances that are under none yet, and take them away when it is over.

        Their pools are sold out for a while, as after any interruption.

        Args:
            share: of them, in (0, 1]: the oldest first, rounded up.
            model: only those that serve this one; empty for all.
            notice_s: how long the notice is; None for as long as the cloud gives.

        Returns:
            Those that were given notice.
        """
        ...


class Forecaster(Protocol):
    """Turns the load that was seen into the load to provision for."""

    def forecast(self, maxima_per_s: npt.NDArray[np.float64], step_s: float, horizon_steps: int) -> Forecast:
        """Forecast the maximum rate of each of the next `horizon_steps` steps.

        Args:
            maxima_per_s: maximum rate of each past step in rows per second, oldest first; the last entry is the step
                that runs now, as far as it was seen. May be empty.
            step_s: length of a step.
            horizon_steps: how many rates to return, the step that runs now included.
        """
        ...


class Functions(Protocol):
    """Serverless functions of one model. Each serves one request at a time; another is started when none is idle.

    Belongs to one event loop.
    """

    async def start(self) -> None:
        """Begin to keep as many functions warm as are to be; does not wait until they are."""
        ...

    async def invoke(self, message: bytes, timeout_s: float) -> FunctionAnswer:
        """Run one ModelInferRequest, on a warm function if one is idle.

        It cannot be taken back: a function goes on, and is billed, when its caller gives up.

        Raises:
            Throttled: as many requests as may be are with functions already.
            ModelFailed: the model failed on this request, or refused it.
            CloudError: anything else: no answer within `timeout_s`, the function ended, it is closed.
        """
        ...

    def use(self) -> FunctionUse:
        """What they have done so far."""
        ...

    async def close(self, grace_s: float | None = None) -> None:
        """End every function, after `grace_s` by force (None: as long as is usual). Idempotent; nothing remains."""
        ...


class Recorder(Protocol):
    """Keeps what was decided and why, for people and for replay.

    Safe to call from any thread; it never waits, and never fails.
    """

    def record(self, record: Record) -> None:
        """Keep one record."""
        ...
