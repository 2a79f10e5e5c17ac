"""What is rented: instances and their states."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final, NewType

__all__ = ["TAKEN_AWAY", "Instance", "InstanceId", "InstanceState"]

InstanceId = NewType("InstanceId", str)

TAKEN_AWAY: Final = "taken away by the cloud"
"""The `detail` of an instance that ended because the cloud wanted it back."""


class InstanceState(enum.Enum):
    """Where an instance is in its life. It only ever moves forward."""

    PENDING = "pending"  # launched, billed, does not answer yet
    READY = "ready"  # answers
    GONE = "gone"  # terminated, crashed or taken away


@dataclass(frozen=True, slots=True)
class Instance:
    """One rented machine with one worker.

    Attributes:
        id: unique for the life of the cloud, never used again.
        offering: name of the offering that it was launched from.
        model: name of the model that its worker serves.
        state: where it is in its life.
        launched_at_ns: when billing began.
        ready_at_ns: when it first answered; None while pending.
        ended_at_ns: when billing ended; None while it lives.
        taken_at_ns: when the cloud takes it away, once it gave notice of that; None as long as it did not.
        address: gRPC target of its worker; None while pending.
        detail: why it is gone, in a line; empty otherwise.
        price_usd_per_hour: what it is billed at; None for the price of its offering.
    """

    id: InstanceId
    offering: str
    model: str
    state: InstanceState
    launched_at_ns: int
    ready_at_ns: int | None = None
    ended_at_ns: int | None = None
    taken_at_ns: int | None = None
    address: str | None = None
    detail: str = ""
    price_usd_per_hour: float | None = None
