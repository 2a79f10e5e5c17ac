"""What may be spent, and what is given up, in this order, when it does not do."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

__all__ = ["BudgetCaps", "SpendingLimits", "Spent", "Stage", "StageChange"]


class Stage(enum.IntEnum):
    """How far serving is degraded for the budget's sake. Each stage includes those before it."""

    FULL = 0  # nothing is given up
    SPOT_FIRST = 1  # nothing is launched on demand while spot is to be had, and pools may carry any share of the load
    NO_SERVERLESS = 2  # no request is sent to a function
    SHED = 3  # of the lowest priority, what the instances do not carry is refused at the door

    @property
    def words(self) -> str:
        """For people."""
        return _WORDS[self]


_WORDS = {
    Stage.FULL: "nothing is given up",
    Stage.SPOT_FIRST: "spot first",
    Stage.NO_SERVERLESS: "serverless off",
    Stage.SHED: "the lowest priority is shed",
}


@dataclass(frozen=True, slots=True)
class BudgetCaps:
    """What a router may spend, on all models together.

    Attributes:
        usd_per_hour: what may be committed at any time: prices of all that runs or boots, and what functions have cost
            in the last hour.
        usd_per_day: what may be spent from midnight to midnight, UTC.
    """

    usd_per_hour: float = math.inf
    usd_per_day: float = math.inf

    def __post_init__(self) -> None:
        if not self.usd_per_hour > 0 or not self.usd_per_day > 0:
            raise ValueError("budget caps must be positive")


@dataclass(frozen=True, slots=True)
class Spent:
    """What a driver sees of one model between two plans.

    Attributes:
        functions_usd: that its functions have cost since the beginning, as billed.
        functions_usd_hour: of the last hour, what is under way included.
        rows: that were submitted since the beginning.
        rows_lowest: of them, of the lowest priority.
    """

    functions_usd: float = 0.0
    functions_usd_hour: float = 0.0
    rows: int = 0
    rows_lowest: int = 0


@dataclass(frozen=True, slots=True)
class SpendingLimits:
    """What a driver is to keep to.

    Attributes:
        stage: how far serving is degraded.
        functions_usd_per_hour: what functions may cost in an hour.
        shed_share: of the requests of the lowest priority, to be refused at the door.
    """

    stage: Stage
    functions_usd_per_hour: float
    shed_share: float


@dataclass(frozen=True, slots=True)
class StageChange:
    """Another stage, and the dollars an hour that it follows from.

    Attributes:
        before: the stage until now.
        after: the stage from now on.
        needed_usd_per_hour: what the stage `before` would need or, on the way back, what `after` needs.
        allowed_usd_per_hour: what may be committed.
    """

    before: Stage
    after: Stage
    needed_usd_per_hour: float
    allowed_usd_per_hour: float

    @property
    def reason(self) -> str:
        """In words."""
        needed, allowed = f"${self.needed_usd_per_hour:.4f}", f"${self.allowed_usd_per_hour:.4f}"
        if self.after > self.before:
            return f"budget: {self.after.words}; the load would need {needed} an hour of {allowed} allowed"
        return f"budget: back to {self.after.words}; the load needs {needed} an hour of {allowed} allowed"
