"""One machine that is kept stopped between uses, and what is to be done with such machines."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from mark.cloud.aws.pools import Pool

__all__ = ["Key", "Phase", "Standby", "StandbySteps"]

Key = tuple[str, str]
"""(offering, model)"""


class Phase(enum.Enum):
    """What a standby does."""

    PREPARING = "preparing"  # boots, loads its model, and earns credits
    STOPPING = "stopping"
    STOPPED = "stopped"
    RENTED = "rented"  # it is an instance


@dataclass(slots=True)
class Standby:
    """One machine that is kept stopped between uses.

    Attributes:
        machine: EC2's id.
        key: what it is for.
        pool: where it is.
        phase: what it does.
        since_ns: since when.
        loaded: its worker has answered once.
        credits_s: seconds at full speed that it has earned, at least.
        counted_ns: until when they were counted.
        listed_ns: when EC2 listed it last.
        address: its private address while it runs.
    """

    machine: str
    key: Key
    pool: Pool
    phase: Phase
    since_ns: int
    loaded: bool = False
    credits_s: float = 0.0
    counted_ns: int = 0
    listed_ns: int = 0
    address: str = ""


@dataclass(frozen=True, slots=True)
class StandbySteps:
    """What is to be done now.

    Attributes:
        create: how many to buy of each kind.
        stop: machines to stop.
        start: machines to start so that they earn credits again.
        let_go: machines to terminate.
    """

    create: Mapping[Key, int] = field(default_factory=dict)
    stop: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    let_go: tuple[str, ...] = ()
