"""What a fleet can be planned for without serving anything: a promise, what can be rented, and how fast that is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mark.domain.offering import Offering, Serverless
from mark.domain.slo import Slo

__all__ = ["Scenario"]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A question to a planner, but for the load.

    Attributes:
        name: for reports.
        slo: the promise that the capacities keep.
        offerings: what can be rented.
        capacities: requests per second that one instance of each offering serves under the SLO, by name; 0 where it
            cannot.
        serverless: what takes single requests beside the instances; None for nothing.
        step_s: length of one step of the plan.
        horizon_steps: how many steps are planned.
        notes: in words, what is assumed and what was left out.
    """

    name: str
    slo: Slo
    offerings: tuple[Offering, ...]
    capacities: Mapping[str, float]
    serverless: Serverless | None
    step_s: float
    horizon_steps: int
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [offering.name for offering in self.offerings]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"{self.name}: needs offerings with different names, not {names}")
        if set(self.capacities) != set(names):
            raise ValueError(f"{self.name}: needs a capacity for each of {names}, not for {sorted(self.capacities)}")
        if not all(0 <= capacity < math.inf for capacity in self.capacities.values()):
            raise ValueError(f"{self.name}: capacities must be finite and not negative")
        if not 0 < self.step_s < math.inf or self.horizon_steps < 1:
            raise ValueError(f"{self.name}: needs a positive step_s and horizon_steps >= 1")
