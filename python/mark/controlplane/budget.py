"""Shares what a router may spend among its models: who may commit how many dollars an hour now."""

from __future__ import annotations

import math
from collections.abc import Collection

from mark.domain.budget import BudgetCaps

__all__ = ["Budget"]

_DAY_S = 86_400.0
_HOUR_S = 3_600.0
_NS = 1_000_000_000
# Of a day's even rate, what is kept for each later hour, whatever the hours before it ask for.
_KEPT_SHARE = 0.5
# Until what is let go for a cap that shrinks is gone: a step, and a drain.
_REACTION_S = 120.0


class Budget:
    """Grants each model the dollars an hour that it may commit, so that all grants together keep to the caps.

    A model that wants little gets it, and the rest is shared evenly by those that want more. What a model holds, it
    keeps until it has let it go: nobody else is granted the same dollars meanwhile.

    The cap of a day becomes one of the hour: half of an even share is kept for each later hour, and what is left beyond
    that may be spent by whoever needs it first. So a morning's peak is served, and no evening is without a fleet.

    Thread safety: none; `mark.live.shared_budget` adds it.

    Invariant: what is granted never exceeds the cap, but for what was held before the cap sank.
    """

    def __init__(self, caps: BudgetCaps, models: Collection[str]) -> None:
        """Grant nothing yet; every model is taken to want all until it asks."""
        self._caps = caps
        self._wanted = dict.fromkeys(models, math.inf)
        self._granted = dict.fromkeys(models, 0.0)
        self._usd_per_hour = min(caps.usd_per_hour, caps.usd_per_day / 24)  # until it is told the time

    @property
    def caps(self) -> BudgetCaps:
        """What it was made with."""
        return self._caps

    @property
    def usd_per_hour(self) -> float:
        """What all models together may commit now."""
        return self._usd_per_hour

    def spent(self, unix_ns: int, usd_today: float) -> None:
        """Take note of what was spent since midnight, UTC."""
        self._usd_per_hour = min(self._caps.usd_per_hour, self._paced(unix_ns, usd_today))

    def ask(self, model: str, wanted_usd_per_hour: float, held_usd_per_hour: float) -> float:
        """What a model may commit from now on, until it asks again; less than it holds: it is to let go of that much.

        Args:
            model: one of those that it was made with.
            wanted_usd_per_hour: what the model's load needs.
            held_usd_per_hour: what of it runs or boots now, with what its functions have cost in the last hour.
        """
        self._wanted[model] = wanted_usd_per_hour
        others = sum(granted for name, granted in self._granted.items() if name != model)
        allowed = max(0.0, min(self._share_of(model), self._usd_per_hour - others))
        self._granted[model] = max(allowed, held_usd_per_hour)
        return allowed

    def _share_of(self, model: str) -> float:
        """Max-min fair: the cap is filled evenly, and who has what it wants leaves the rest to the others."""
        left, waiting = self._usd_per_hour, sorted(self._wanted.values())
        while waiting and waiting[0] <= left / len(waiting):
            left -= waiting.pop(0)
        if waiting:
            return min(self._wanted[model], left / len(waiting))
        # All have what they want: whoever asks may have what is left, too.
        return self._wanted[model] + left

    def _paced(self, unix_ns: int, usd_today: float) -> float:
        cap_usd = self._caps.usd_per_day
        if math.isinf(cap_usd):
            return math.inf
        left_s = _DAY_S - (unix_ns / _NS) % _DAY_S
        kept_usd = _KEPT_SHARE * cap_usd / _DAY_S * max(0.0, left_s - _HOUR_S)
        return max(0.0, cap_usd - usd_today - kept_usd) / (min(_HOUR_S, left_s) + _REACTION_S) * _HOUR_S
