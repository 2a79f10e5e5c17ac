"""What simulated instances cost, by market, as time passes."""

from __future__ import annotations

from mark.domain.bill import Bill, BillLine, spread
from mark.domain.fleet import Instance, InstanceId
from mark.domain.offering import Market, Offering

__all__ = ["Billing"]

_NS_PER_HOUR = 3_600 * 1_000_000_000


class Billing:
    """Adds up what instances cost: by the second, with a least time for each.

    An instance is billed from `launch_overhead_s` before it is ready, or from its launch if its offering names none or
    it boots faster than that; one that ends before it was ever billed costs nothing.

    Thread safety: none.

    Invariant: `_open` holds exactly the instances that are billed or will be; `_usd` and `_lines` what the closed ones
    cost.
    """

    def __init__(self, billed_s_min: float) -> None:
        self._billed_ns_min = round(billed_s_min * 1e9)
        self._open: dict[InstanceId, tuple[int, Offering, str]] = {}  # billed from when, for what, for whom
        self._usd = dict.fromkeys(Market, 0.0)
        self._lines: dict[tuple[int, str, Offering], float] = {}  # by hour, model and offering

    def opened(self, instance: Instance, offering: Offering, ready_at_ns: int) -> None:
        """An instance was launched and will be ready then."""
        from_ns, overhead_s = instance.launched_at_ns, offering.launch_overhead_s
        if overhead_s is not None:
            from_ns = max(from_ns, ready_at_ns - round(overhead_s * 1e9))
        self._open[instance.id] = (from_ns, offering, instance.model)

    def closed(self, instance: InstanceId, now_ns: int) -> None:
        """It ended."""
        from_ns, offering, model = self._open.pop(instance)
        if now_ns > from_ns:
            until_ns = max(now_ns, from_ns + self._billed_ns_min)
            self._usd[offering.market] += self._cost(from_ns, until_ns, offering)
            for hour_s, usd in spread(from_ns, until_ns, self._cost(from_ns, until_ns, offering)):
                self._add(hour_s, model, offering, usd)

    def add(self, instance: Instance, offering: Offering, usd: float, now_ns: int) -> None:
        """Something else was billed, such as credits that an unlimited burstable used without having them."""
        self._usd[offering.market] += usd
        for hour_s, part_usd in spread(now_ns, now_ns, usd):
            self._add(hour_s, instance.model, offering, part_usd)

    def bill(self, now_ns: int) -> Bill:
        """What was spent until now, by hours of the clock."""
        lines = [_line(*key, usd) for key, usd in self._lines.items()]
        for from_ns, offering, model in self._open.values():
            if now_ns > from_ns:
                until_ns = max(now_ns, from_ns + self._billed_ns_min)
                parts = spread(from_ns, until_ns, self._cost(from_ns, until_ns, offering))
                lines.extend(_line(hour_s, model, offering, usd) for hour_s, usd in parts)
        return Bill.of(lines)

    def usd(self, market: Market, now_ns: int) -> float:
        """Dollars spent on a market until now."""
        running = (
            self._cost(from_ns, max(now_ns, from_ns + self._billed_ns_min), offering)
            for from_ns, offering, _ in self._open.values()
            if offering.market is market and now_ns > from_ns
        )
        return self._usd[market] + sum(running)

    def _add(self, hour_s: int, model: str, offering: Offering, usd: float) -> None:
        key = (hour_s, model, offering)
        self._lines[key] = self._lines.get(key, 0.0) + usd

    @staticmethod
    def _cost(from_ns: int, until_ns: int, offering: Offering) -> float:
        return (until_ns - from_ns) / _NS_PER_HOUR * offering.price_usd_per_hour


def _line(hour_s: int, model: str, offering: Offering, usd: float) -> BillLine:
    return BillLine(hour_s, model, offering.market.value, offering.name, usd)
