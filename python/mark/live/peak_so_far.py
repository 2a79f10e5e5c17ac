"""What a fleet sized for the highest load so far would have cost until now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mark.controlplane.arrivals import Arrivals
from mark.domain.offering import Offering
from mark.policies.peak_sized import PeakSizedFleet, on_demand_for_peak

__all__ = ["PeakSoFar"]


class PeakSoFar:
    """Keeps the highest rate of one window, and reckons the fleet for it anew when it grows.

    Thread safety: none.
    """

    def __init__(self, capacities: Mapping[str, float], window_s: float, headroom: float) -> None:
        """Make it.

        Args:
            capacities: rows per second that one instance of each offering serves under the SLO, by its profile: what
                workers turn out to be later does not change what a fleet would have been sized by.
            window_s: as the controller's: the load is the maximum over windows of this length.
            headroom: as the controller's: the fleet is sized for so many times the load.
        """
        self._capacities = dict(capacities)
        self._headroom = headroom
        self._arrivals = Arrivals(window_s, window_s, steps_max=1)
        self._began_ns: int | None = None
        self._peak_per_s = 0.0
        self._sized: tuple[float, tuple[float, ...], PeakSizedFleet | None] | None = None

    def look(self, now_ns: int, rows: int, offerings: Sequence[Offering]) -> float | None:
        """Dollars that the fleet would have cost since the first look; None where no fleet carries the load.

        Args:
            now_ns: the time.
            rows: that were offered so far.
            offerings: what can be rented, at the prices of now.
        """
        self._arrivals.observe(now_ns, rows)
        if self._began_ns is None:
            self._began_ns = now_ns
        self._peak_per_s = max(self._peak_per_s, self._arrivals.last_per_s())
        prices = tuple(offering.price_usd_per_hour for offering in offerings)
        if self._sized is None or self._sized[:2] != (self._peak_per_s, prices):
            fleet = on_demand_for_peak(offerings, self._capacities, self._peak_per_s * self._headroom)
            self._sized = (self._peak_per_s, prices, fleet)
        fleet = self._sized[2]
        return None if fleet is None else fleet.usd((now_ns - self._began_ns) / 1e9)
