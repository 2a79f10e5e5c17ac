"""How a simulated run went over time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from mark.domain.plan import Decision

__all__ = ["History"]

Floats = npt.NDArray[np.float64]


class History:
    """Notes at the edges of bins: what was spent, what was ready, what was forecast.

    The first note is taken where the first bin begins, every further one where a bin ends.

    Thread safety: none.
    """

    def __init__(self, bin_s: float, capacities: Mapping[str, float]) -> None:
        self.bin_s = bin_s
        self._capacities = dict(capacities)
        self._forecast_per_s = 0.0  # of the decision that was taken last
        self._forecasts: list[float] = []
        self._answered: list[int] = []
        self._latency_sums_ns: list[int] = []
        self._usd: list[dict[str, float]] = []
        self._fleets: list[dict[str, int]] = []

    def decided(self, decision: Decision) -> None:
        """A decision was taken, where a bin begins."""
        self._forecast_per_s = decision.forecast.rates_per_s[0] if decision.forecast.rates_per_s else 0.0

    def note(self, usd: Mapping[str, float], fleet: Mapping[str, int], answered: tuple[int, int] = (0, 0)) -> None:
        """Take note of how things stand.

        Args:
            usd: what was spent so far, by market.
            fleet: instances that are ready, by offering.
            answered: requests that were answered so far, and the sum of their latencies in nanoseconds.
        """
        self._forecasts.append(self._forecast_per_s)
        self._answered.append(answered[0])
        self._latency_sums_ns.append(answered[1])
        self._usd.append(dict(usd))
        self._fleets.append(dict(fleet))

    def forecast_per_s(self) -> Floats:
        """What was forecast for each bin when it began."""
        return np.array(self._forecasts[1:], dtype=np.float64)

    def latency_mean_ms(self) -> Floats:
        """Mean latency of what was answered in each bin; 0 where nothing was."""
        answered = np.diff(np.array(self._answered, dtype=np.float64))
        sums_ms = np.diff(np.array(self._latency_sums_ns, dtype=np.float64)) / 1e6
        return np.divide(sums_ms, answered, out=np.zeros_like(sums_ms), where=answered > 0)

    def capacity_per_s(self) -> Floats:
        """What the ready instances could serve when each bin ended."""
        rates = [
            sum(self._capacities.get(name, 0.0) * count for name, count in fleet.items()) for fleet in self._fleets[1:]
        ]
        return np.array(rates, dtype=np.float64)

    def usd_by_market(self) -> dict[str, Floats]:
        """Dollars spent in each bin."""
        markets = list(self._usd[0]) if self._usd else []
        return {market: np.diff(np.array([usd[market] for usd in self._usd], dtype=np.float64)) for market in markets}

    def fleet(self) -> dict[str, Floats]:
        """Instances that were ready when each bin ended, by offering."""
        names = dict.fromkeys(name for fleet in self._fleets[1:] for name in fleet)
        return {name: np.array([fleet.get(name, 0) for fleet in self._fleets[1:]], dtype=np.float64) for name in names}
