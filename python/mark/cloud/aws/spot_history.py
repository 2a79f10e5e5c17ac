"""Spot prices over time: EC2 bills each hour of an instance's life at the price that held when the hour began. Passive.

Source: Amazon EC2 User Guide, "Spot Instance pricing history" and "Billing for interrupted Spot Instances".
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping

from mark.cloud.aws.price_lists import SpotChange

__all__ = ["SpotHistory"]

_HOUR_S = 3600.0
_BILLED_S_MIN = 60.0

Place = tuple[str, str]
"""(type, zone)"""


class SpotHistory:
    """Every price that was ever told.

    Thread safety: none.

    Invariant: the times of each place grow, and each has a price.
    """

    def __init__(self) -> None:
        """Know none yet."""
        self._times_s: dict[Place, list[float]] = {}
        self._prices: dict[Place, list[float]] = {}

    def add(self, changes: Iterable[SpotChange]) -> None:
        """Take note of prices, new ones or known ones."""
        for change in changes:
            place = (change.instance_type, change.zone)
            times_s, prices = self._times_s.setdefault(place, []), self._prices.setdefault(place, [])
            at = bisect.bisect_left(times_s, change.at_s)
            if at < len(times_s) and times_s[at] == change.at_s:
                prices[at] = change.usd_per_hour
            else:
                times_s.insert(at, change.at_s)
                prices.insert(at, change.usd_per_hour)

    def present(self) -> Mapping[Place, float]:
        """The newest price of each place."""
        return {place: prices[-1] for place, prices in self._prices.items()}

    def at(self, place: Place, at_s: float) -> float | None:
        """The price that held then; the oldest that is known for what was before. None when none is."""
        prices = self._prices.get(place)
        if not prices:
            return None
        return prices[max(0, bisect.bisect_right(self._times_s[place], at_s) - 1)]

    def mean(self, place: Place, began_s: float, ended_s: float) -> float | None:
        """Dollars an hour, on average, that an instance which lived so is billed; None when no price is known."""
        left_s = billed_s = max(_BILLED_S_MIN, ended_s - began_s)
        usd_s, at_s = 0.0, began_s
        while left_s > 0:
            price = self.at(place, at_s)
            if price is None:
                return None
            usd_s += min(left_s, _HOUR_S) * price
            left_s, at_s = left_s - _HOUR_S, at_s + _HOUR_S
        return usd_s / billed_s
