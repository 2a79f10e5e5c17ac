"""What was spent, hour by hour: on which model, in which market, on what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from mark.domain.cost import billed_until_ns, instance_cost_usd
from mark.domain.fleet import Instance
from mark.domain.offering import Offering

__all__ = ["MEASURING", "SERVERLESS", "Bill", "BillKey", "BillLine", "instance_lines", "spread"]

SERVERLESS: Final = "serverless"
"""The market of lines that are functions."""

MEASURING: Final = "measuring"
"""The offering of lines that are no serving: what it cost to find out how long functions take."""

BillKey = Literal["hour_unix_s", "model", "market", "offering"]

_NS = 1_000_000_000
_HOUR_S = 3600
_HOUR_NS = _HOUR_S * _NS


@dataclass(frozen=True, slots=True)
class BillLine:
    """What one offering has cost for one model in one hour.

    Attributes:
        hour_unix_s: when the hour began, in seconds since 1970 UTC; of a simulation, since it began.
        model: that it was rented for; empty where that is not known.
        market: "on_demand", "spot", "burstable" or "serverless".
        offering: its name; of functions theirs.
        usd: dollars.
    """

    hour_unix_s: int
    model: str
    market: str
    offering: str
    usd: float


@dataclass(frozen=True, slots=True)
class Bill:
    """Lines in order of hour, model, market and offering, one for each; all totals are sums of them."""

    lines: tuple[BillLine, ...] = ()

    @classmethod
    def of(cls, lines: Iterable[BillLine]) -> Bill:
        """The bill of any lines: those of the same hour, model, market and offering are one, free ones are left out."""
        usd: dict[tuple[int, str, str, str], float] = {}
        for line in lines:
            key = (line.hour_unix_s, line.model, line.market, line.offering)
            usd[key] = usd.get(key, 0.0) + line.usd
        return cls(tuple(BillLine(*key, usd[key]) for key in sorted(usd) if usd[key] != 0))

    @property
    def usd(self) -> float:
        """Dollars in all."""
        return sum(line.usd for line in self.lines)

    def by(self, *keys: BillKey) -> dict[tuple[str | int, ...], float]:
        """Dollars by what is named, in order of it."""
        usd: dict[tuple[str | int, ...], float] = {}
        for line in self.lines:
            key = tuple(getattr(line, each) for each in keys)
            usd[key] = usd.get(key, 0.0) + line.usd
        return {key: usd[key] for key in sorted(usd)}

    def by_market(self) -> dict[str, float]:
        """Dollars by market."""
        return {str(market): usd for (market,), usd in self.by("market").items()}

    def by_model(self) -> dict[str, float]:
        """Dollars by model."""
        return {str(model): usd for (model,), usd in self.by("model").items()}

    def by_hour(self) -> dict[int, float]:
        """Dollars by the second at which an hour began."""
        return {int(hour): usd for (hour,), usd in self.by("hour_unix_s").items()}

    def of_model(self, model: str) -> Bill:
        """The lines of one model."""
        return Bill(tuple(line for line in self.lines if line.model == model))

    def __add__(self, other: Bill) -> Bill:
        return Bill.of((*self.lines, *other.lines))


def spread(began_unix_ns: int, ended_unix_ns: int, usd: float) -> Iterator[tuple[int, float]]:
    """Spread dollars evenly over a span of time: when each hour began that it touches, and the dollars of it."""
    span_ns = ended_unix_ns - began_unix_ns
    if span_ns <= 0:
        yield began_unix_ns // _HOUR_NS * _HOUR_S, usd
        return
    at_ns = began_unix_ns
    while at_ns < ended_unix_ns:
        hour = at_ns // _HOUR_NS
        until_ns = min(ended_unix_ns, (hour + 1) * _HOUR_NS)
        yield hour * _HOUR_S, usd * ((until_ns - at_ns) / span_ns)
        at_ns = until_ns


def instance_lines(
    instances: Iterable[Instance], offerings: Mapping[str, Offering], now_ns: int, epoch_ns: int
) -> Iterator[BillLine]:
    """What instances have cost until `now_ns`, as `mark.domain.cost` reckons it, by the hours that they ran in.

    Args:
        instances: of any model.
        offerings: by name.
        now_ns: the time, on the clock of the instances.
        epoch_ns: 1970 UTC on that clock.
    """
    for instance in instances:
        offering = offerings[instance.offering]
        began_ns, ended_ns = instance.launched_at_ns, billed_until_ns(instance, offering, now_ns)
        usd = instance_cost_usd(instance, offering, now_ns)
        for hour_unix_s, part_usd in spread(began_ns - epoch_ns, ended_ns - epoch_ns, usd):
            yield BillLine(hour_unix_s, instance.model, offering.market.value, offering.name, part_usd)
