"""How often the load stayed within what was forecast: the realised coverage of each quantile, and of the bound."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from mark.domain.forecast import Forecast

__all__ = ["BOUND", "Coverage"]

BOUND: Final = 0.0
"""In place of a level: the rate that was planned for, `Forecast.rates_per_s`."""

_STEPS_KEPT = 1440  # a day of minutes


class Coverage:
    """Compares each forecast of the step that then ran with the load of that step.

    A quantile of 0.9 that holds in nine of ten steps is right; one that holds in all of them costs money, and one that
    holds in half of them costs requests. The bound is that of the common maximum of several steps, so it holds more
    often than its level says.

    Thread safety: none.

    Invariant: `_waiting` is the last forecast, with when it was made, until its step is over.
    """

    def __init__(self, steps_max: int = _STEPS_KEPT) -> None:
        """Look back on so many steps at most."""
        self._waiting: tuple[int, Forecast] | None = None
        self._held: dict[float, deque[bool]] = {}
        self._steps_max = steps_max

    def planned(self, now_ns: int, load_per_s: float, forecast: Forecast) -> None:
        """Take note of a plan: of what it is made for, and of the step that it ends.

        A forecast whose step ended otherwise than with the next plan, as after a pause, is not judged.

        Args:
            now_ns: when it was made.
            load_per_s: highest rate of the step before it, in rows per second.
            forecast: of the step that runs from now on, and of later ones.
        """
        if self._waiting is not None:
            made_ns, before = self._waiting
            if abs((now_ns - made_ns) / 1e9 - before.step_s) <= before.step_s / 2:
                self._judge(before, load_per_s)
        self._waiting = (now_ns, forecast)

    def levels(self) -> Sequence[float]:
        """What was judged so far: levels in increasing order, `BOUND` first."""
        return sorted(self._held)

    def steps(self, level: float) -> int:
        """How many of the steps that are looked back on had a forecast of this level."""
        return len(self._held.get(level, ()))

    def share(self, level: float) -> float:
        """Share of those steps whose load stayed within it; 1 when there was none."""
        held = self._held.get(level)
        return sum(held) / len(held) if held else 1.0

    def _judge(self, forecast: Forecast, load_per_s: float) -> None:
        rates = {
            level: quantiles[0]
            for level, quantiles in zip(forecast.levels, forecast.quantiles_per_s, strict=True)
            if quantiles
        }
        if forecast.rates_per_s:
            rates[BOUND] = forecast.rates_per_s[0]
        for level, rate_per_s in rates.items():
            self._held.setdefault(level, deque(maxlen=self._steps_max)).append(load_per_s <= rate_per_s)
