"""What is rented: instances and their states."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NewType

__all__ = ["TAKEN_AWAY", "Instance", "InstanceId", "InstanceState", "capacity_ready_per_s"]

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


def capacity_ready_per_s(
    instances: Iterable[Instance], draining: Collection[InstanceId], capacities: Mapping[str, float]
) -> float:
    """Rows per second that those of these instances serve which answer now and are not being drained.

    Args:
        instances: of one model.
        draining: those that take no more batches.
        capacities: rows per second of one instance, by offering; 0 for those that are not named.
    """
    return sum(
        capacities.get(instance.offering, 0.0)
        for instance in instances
        if instance.state is InstanceState.READY and instance.id not in draining
    )
