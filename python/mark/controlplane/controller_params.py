"""How the fleet of one model is sized."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from mark.controlplane.slo_monitor import SloMonitorParams

__all__ = ["ControllerParams"]


@dataclass(frozen=True, slots=True)
class ControllerParams:
    """How the fleet of one model is sized.

    Attributes:
        step_s: length of a planning step; a whole number of windows.
        window_s: the load of a step is the maximum over windows of this length.
        horizon_steps: how far the forecast reaches.
        cooldown_s: an instance is retired when it was not needed for this long.
        min_instances: kept even without load.
        standbys: offerings that only bridge interruptions, and are not planned with otherwise.
        policy: "refined" searches for the cheapest schedule over the horizon, "greedy" is MArk's Algorithm 1.
        monitor: what is done between two steps when the promise is broken; None for nothing.
    """

    step_s: float = 60.0
    window_s: float = 5.0
    horizon_steps: int = 60
    cooldown_s: float = 300.0
    min_instances: int = 1
    standbys: frozenset[str] = frozenset()
    policy: Literal["greedy", "refined"] = "refined"
    monitor: SloMonitorParams | None = None

    def __post_init__(self) -> None:
        if not (0 < self.window_s <= self.step_s < math.inf and self.cooldown_s < math.inf):
            raise ValueError("0 < window_s <= step_s must hold, and both and cooldown_s must be finite")
        if self.horizon_steps < 1 or self.cooldown_s < 0 or self.min_instances < 0:
            raise ValueError("horizon_steps must be positive, cooldown_s and min_instances not negative")
