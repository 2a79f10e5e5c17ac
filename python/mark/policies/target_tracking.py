"""Target tracking, as SageMaker and EC2 Auto Scaling do it: the baseline that MArk is compared with."""

from __future__ import annotations

import math
from collections import deque

__all__ = ["TargetTracking"]

_OUT_MINUTES = 3
_IN_MINUTES = 15
_IN_SHARE = 0.9


class TargetTracking:
    """How many instances of one kind keep the load of each near a target.

    The rules are those of the alarms that AWS makes for such a policy (Application Auto Scaling user guide, "Target
    tracking scaling policies"): out when the load of an instance was above the target in each of 3 minutes, in when it
    was below 90 % of it in each of 15; and then at once to the count that the last minute's load, or on the way in the
    highest of the 15, asks for.

    Thread safety: none.
    """

    def __init__(self, target_per_s: float, count_min: int = 1) -> None:
        """Make a policy.

        Args:
            target_per_s: requests per second that one instance should get.
            count_min: never fewer than this.
        """
        if not 0 < target_per_s < math.inf or count_min < 0:
            raise ValueError("target_per_s must be positive and finite, count_min not negative")
        self._target_per_s = target_per_s
        self._count_min = count_min
        self._minutes: deque[float] = deque(maxlen=_IN_MINUTES)
        self._desired = count_min

    def desired(self, load_per_s: float) -> int:
        """How many instances there should be, after a minute with this load."""
        self._minutes.append(load_per_s)
        recent = list(self._minutes)
        if len(recent) >= _OUT_MINUTES and min(recent[-_OUT_MINUTES:]) > self._desired * self._target_per_s:
            self._desired = self._count_for(load_per_s)
        elif len(recent) == _IN_MINUTES and max(recent) < _IN_SHARE * self._desired * self._target_per_s:
            self._desired = self._count_for(max(recent))
        return self._desired

    def _count_for(self, load_per_s: float) -> int:
        return max(self._count_min, math.ceil(load_per_s / self._target_per_s))
