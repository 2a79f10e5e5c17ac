"""What can be rented now: at which price, with which capacity, and what cannot be had for a while."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from mark.domain.cost import instance_usd_per_hour
from mark.domain.fleet import Instance
from mark.domain.offering import Offering
from mark.domain.plan import Action, Alternative, Launch, Retire

__all__ = ["Catalogue"]

# As a share of what it was.
_CORRECTION_TOLD = 0.05


class Catalogue:
    """The offerings of one model, as far as they are known by now.

    Thread safety: none.

    Invariant: a capacity is that of the profile, divided by the offering's correction where there is one.
    """

    def __init__(self, offerings: Sequence[Offering], capacities: Mapping[str, float]) -> None:
        """Make a catalogue.

        Args:
            offerings: what can be rented.
            capacities: rows per second that one instance of each offering serves under the SLO; 0 where it cannot.
        """
        self._offerings = tuple(offerings)
        self._by_profile = dict(capacities)
        self._corrections: dict[str, float] = {}
        self._capacities = dict(capacities)
        self._unavailable_until_ns: dict[str, int] = {}

    @property
    def offerings(self) -> tuple[Offering, ...]:
        """At the prices of now."""
        return self._offerings

    @property
    def capacities(self) -> Mapping[str, float]:
        """Rows per second that one instance of each offering serves under the SLO."""
        return self._capacities

    @property
    def prices(self) -> dict[str, float]:
        """Dollars per hour of each offering."""
        return {offering.name: offering.price_usd_per_hour for offering in self._offerings}

    def correct(self, offering: str, factor: float) -> None:
        """Reckon from now on with a capacity of an offering that is divided by `factor`; unknown offerings are ignored.

        A factor that is close to the one before changes nothing: a plan that follows every breath costs launches.
        """
        if not 0 < factor < math.inf:
            raise ValueError(f"offering {offering}: a correction must be positive and finite, not {factor}")
        known = self._corrections.get(offering, 1.0)
        if offering in self._by_profile and abs(factor - known) >= _CORRECTION_TOLD * known:
            self._corrections[offering] = factor
            self._capacities[offering] = self._by_profile[offering] / factor

    def reprice(self, offerings: Iterable[Offering]) -> None:
        """Take over the prices of these offerings; unknown ones are ignored, and so is all else of them."""
        prices = {each.name: each.price_usd_per_hour for each in offerings}
        if any(prices.get(each.name, each.price_usd_per_hour) != each.price_usd_per_hour for each in self._offerings):
            self._offerings = tuple(
                replace(each, price_usd_per_hour=prices.get(each.name, each.price_usd_per_hour))
                for each in self._offerings
            )

    def refused(self, offering: str, until_ns: int) -> None:
        """An offering cannot be had until then."""
        self._unavailable_until_ns[offering] = until_ns

    def unavailable(self, now_ns: int) -> set[str]:
        """What cannot be had now."""
        return {name for name, until_ns in self._unavailable_until_ns.items() if now_ns < until_ns}

    def unavailable_for_s(self, offering: str, now_ns: int) -> float:
        """How much longer an offering cannot be had; not positive where it can."""
        return (self._unavailable_until_ns.get(offering, 0) - now_ns) / 1e9

    def left_out(self, full: Collection[str], now_ns: int) -> Iterator[Alternative]:
        """What could not be planned with: refused or, in `full`, all there until others are gone."""
        refused = self.unavailable(now_ns)
        for name in sorted(refused):
            left_s = self.unavailable_for_s(name, now_ns)
            yield Alternative(f"a new {name}", None, f"it was refused; it is tried again in {left_s:.0f} s")
        for name in sorted(set(full) - refused):
            yield Alternative(f"a new {name}", None, "all that may exist do, until those that leave are gone")

    def usd_per_hour(self, instances: Iterable[Instance]) -> list[float]:
        """What each of these instances costs."""
        offerings = {offering.name: offering for offering in self._offerings}
        return [instance_usd_per_hour(each, offerings[each.offering]) for each in instances]

    def capacity_after(self, actions: Sequence[Action], instances: Sequence[Instance]) -> float:
        """Rows per second that these instances serve once the actions are done."""
        retired = {action.instance for action in actions if isinstance(action, Retire)}
        names = [instance.offering for instance in instances if instance.id not in retired]
        names += [action.offering for action in actions if isinstance(action, Launch)]
        return sum(self._capacities.get(name, 0.0) for name in names)
