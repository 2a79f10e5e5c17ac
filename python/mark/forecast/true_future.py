"""A forecaster that knows the future: only a simulation can have one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mark.domain.forecast import Forecast
from mark.ports import Clock

__all__ = ["TrueFuture"]


class TrueFuture:
    """Answers with the rates that will come. Implements `mark.ports.Forecaster`.

    Thread safety: none.
    """

    def __init__(self, rates_per_s: npt.NDArray[np.float64], clock: Clock, headroom: float = 1.0) -> None:
        """Make one.

        Args:
            rates_per_s: the highest rate of each step from the clock's zero on; the last holds for ever after;
                empty for no load at all.
            clock: says which step runs now.
            headroom: what every rate is multiplied by.
        """
        self._rates_per_s = headroom * rates_per_s if len(rates_per_s) else np.zeros(1)
        self._clock = clock

    def forecast(self, maxima_per_s: npt.NDArray[np.float64], step_s: float, horizon_steps: int) -> Forecast:  # noqa: ARG002 - the past does not matter to it
        """The rates of the next steps, the one that runs now included."""
        now = self._clock.now_ns() // round(step_s * 1e9)
        steps = np.minimum(np.arange(now, now + horizon_steps), len(self._rates_per_s) - 1)
        rates = tuple(float(rate) for rate in self._rates_per_s[steps])
        return Forecast(step_s=step_s, rates_per_s=rates, forecaster="true future")
