"""What simulated instances cost, by market, as time passes."""

from __future__ import annotations

from mark.domain.fleet import Instance, InstanceId
from mark.domain.offering import Market, Offering

__all__ = ["Billing"]

_NS_PER_HOUR = 3_600 * 1_000_000_000


class Billing:
    """Adds up what instances cost: by the second, with a least time for each.

    An instance is billed from `launch_overhead_s` before it is ready, or from its launch if its offering names none or
    it boots faster than that; one that ends before it was ever billed costs nothing.

    Thread safety: none.

    Invariant: `_open` holds exactly the instances that are billed or will be, `_usd` what the closed ones cost.
    """

    def __init__(self, billed_s_min: float) -> None:
        self._billed_ns_min = round(billed_s_min * 1e9)
        self._open: dict[InstanceId, tuple[int, Offering]] = {}  # billed from when, and at whose price
        self._usd = dict.fromkeys(Market, 0.0)

    def opened(self, instance: Instance, offering: Offering, ready_at_ns: int) -> None:
        """An instance was launched and will be ready then."""
        from_ns, overhead_s = instance.launched_at_ns, offering.launch_overhead_s
        if overhead_s is not None:
            from_ns = max(from_ns, ready_at_ns - round(overhead_s * 1e9))
        self._open[instance.id] = (from_ns, offering)

    def closed(self, instance: InstanceId, now_ns: int) -> None:
        """It ended."""
        from_ns, offering = self._open.pop(instance)
        if now_ns > from_ns:
            self._usd[offering.market] += self._cost(from_ns, max(now_ns, from_ns + self._billed_ns_min), offering)

    def add(self, market: Market, usd: float) -> None:
        """Something else was billed, such as credits that an unlimited burstable used without having them."""
        self._usd[market] += usd

    def usd(self, market: Market, now_ns: int) -> float:
        """Dollars spent on a market until now."""
        running = (
            self._cost(from_ns, max(now_ns, from_ns + self._billed_ns_min), offering)
            for from_ns, offering in self._open.values()
            if offering.market is market and now_ns > from_ns
        )
        return self._usd[market] + sum(running)

    @staticmethod
    def _cost(from_ns: int, until_ns: int, offering: Offering) -> float:
        return (until_ns - from_ns) / _NS_PER_HOUR * offering.price_usd_per_hour
