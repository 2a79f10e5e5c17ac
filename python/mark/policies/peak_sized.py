"""The fleet to compare with: rented once, on demand, for the highest load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mark.domain.offering import Market, Offering
from mark.policies.provisioning import peak_sized_fleet

__all__ = ["PeakSizedFleet", "on_demand_for_peak"]

_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class PeakSizedFleet:
    """How many of each offering, and what all of them cost in an hour."""

    counts: Mapping[str, int]
    usd_per_hour: float

    def usd(self, duration_s: float) -> float:
        """Dollars for as long."""
        return self.usd_per_hour * duration_s / _HOUR_S


def on_demand_for_peak(
    offerings: Sequence[Offering], capacities: Mapping[str, float], peak_per_s: float
) -> PeakSizedFleet | None:
    """The cheapest fleet on demand for a rate; None where the offerings do not carry it.

    On demand: a fleet that is rented once and never replaced would not outlive an interruption on spot.

    Args:
        offerings: in any market.
        capacities: rows per second that one instance of each serves under the SLO.
        peak_per_s: rows per second, head-room included.
    """
    bought = [offering for offering in offerings if offering.market is Market.ON_DEMAND]
    try:
        counts = peak_sized_fleet(bought, capacities, peak_per_s)
    except ValueError:
        return None
    return PeakSizedFleet(counts, sum(each.price_usd_per_hour * counts.get(each.name, 0) for each in bought))
