"""The bill of instances of which most have ended: what those cost is reckoned once, however often somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from mark.domain.bill import Bill, BillLine, instance_lines
from mark.domain.fleet import Instance, InstanceId
from mark.domain.offering import Offering

__all__ = ["InstanceBill"]


class InstanceBill:
    """Bills the instances of one cloud.

    Thread safety: none.

    Invariant: `_settled` holds exactly the instances whose dollars are in `_usd`.
    """

    def __init__(
        self, epoch_ns: int, settles_after_s: float = 0.0, as_billed: Callable[[Instance], Instance] = lambda each: each
    ) -> None:
        """Know of no instance.

        Args:
            epoch_ns: 1970 UTC, on the clock of the instances.
            settles_after_s: an instance that ended so long ago costs what it costs, whatever prices are told later.
            as_billed: an instance with the price that it is billed at, where that is not its own.
        """
        self._epoch_ns = epoch_ns
        self._settles_after_ns = round(settles_after_s * 1e9)
        self._as_billed = as_billed
        self._settled: set[InstanceId] = set()
        self._usd: dict[tuple[int, str, str, str], float] = {}

    def lines(self, instances: Iterable[Instance], offerings: Mapping[str, Offering], now_ns: int) -> list[BillLine]:
        """What all instances have cost until now; pass every one of them each time."""
        open_: list[Instance] = []
        for instance in instances:
            if instance.id in self._settled:
                continue
            if instance.ended_at_ns is None or now_ns - instance.ended_at_ns < self._settles_after_ns:
                open_.append(self._as_billed(instance))
            else:
                self._settle(self._as_billed(instance), offerings, now_ns)
        settled = [BillLine(*key, usd) for key, usd in self._usd.items()]
        return [*settled, *instance_lines(open_, offerings, now_ns, self._epoch_ns)]

    def bill(self, instances: Iterable[Instance], offerings: Mapping[str, Offering], now_ns: int) -> Bill:
        """The bill of `lines`."""
        return Bill.of(self.lines(instances, offerings, now_ns))

    def _settle(self, instance: Instance, offerings: Mapping[str, Offering], now_ns: int) -> None:
        self._settled.add(instance.id)
        for line in instance_lines([instance], offerings, now_ns, self._epoch_ns):
            key = (line.hour_unix_s, line.model, line.market, line.offering)
            self._usd[key] = self._usd.get(key, 0.0) + line.usd
