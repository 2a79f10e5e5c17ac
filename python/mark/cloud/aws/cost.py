"""What a cluster costs an hour, and has cost, by what EC2 still tells of its instances. Pure.

EC2 tells of an instance for about an hour after its end, and of a standby only when it was started last. So this is a
lower bound; what a router says at its end, and AWS's own bill, know more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mark.cloud.aws.machines import Machine
from mark.cloud.aws.price_book import PoolPrices
from mark.domain.fleet import TAKEN_AWAY
from mark.domain.offering import Market

__all__ = ["CostLine", "cost_lines", "machine_usd", "volumes_usd_per_hour"]

_BILLED_S_MIN = 60.0  # of each start
_FREE_WHEN_TAKEN_S = 3600.0  # spot that EC2 takes away within it costs nothing
_GP3_USD_PER_GIB_MONTH = 0.08  # us-east-1, 2026-07-20
_HOURS_PER_MONTH = 730.0


@dataclass(frozen=True, slots=True)
class CostLine:
    """The instances of one offering in one market.

    Attributes:
        offering: its name; empty for instances whose tag is missing.
        market: "on demand" or "spot".
        running: instances that boot or run.
        stopped: that are kept stopped.
        ended: that ended, as far as EC2 still tells.
        usd_per_hour: of those that run.
        usd: that all of them have cost since their last start.
        unpriced: instances whose price nobody knows; they count as free.
    """

    offering: str
    market: str
    running: int
    stopped: int
    ended: int
    usd_per_hour: float
    usd: float
    unpriced: int


def cost_lines(machines: Iterable[Machine], prices: PoolPrices, now_s: float) -> list[CostLine]:
    """One line for each offering and market, by name."""
    groups: dict[tuple[str, str], list[Machine]] = {}
    for machine in machines:
        market = "spot" if machine.pool.market is Market.SPOT else "on demand"
        groups.setdefault((machine.offering, market), []).append(machine)
    return [_line(key, group, prices, now_s) for key, group in sorted(groups.items())]


def machine_usd(machine: Machine, usd_per_hour: float, now_s: float) -> float:
    """What an instance has cost since its last start, by EC2's rules; see `docs/aws.md`."""
    lived_s = max(0.0, _end_s(machine, now_s) - machine.launched_at_s)
    if machine.detail == TAKEN_AWAY and machine.pool.market is Market.SPOT and lived_s < _FREE_WHEN_TAKEN_S:
        return 0.0
    return max(lived_s, _BILLED_S_MIN) / 3600 * usd_per_hour


def volumes_usd_per_hour(volumes: Sequence[dict[str, Any]]) -> float:
    """What volumes cost an hour, those of stopped standbys too: entries of DescribeVolumes."""
    return sum(float(each["Size"]) for each in volumes) * _GP3_USD_PER_GIB_MONTH / _HOURS_PER_MONTH


def _end_s(machine: Machine, now_s: float) -> float:
    return now_s if machine.is_up or machine.changed_at_s is None else machine.changed_at_s


def _billed(machine: Machine, prices: PoolPrices, now_s: float) -> float:
    """Dollars an hour that it was billed on average; 0 where nobody knows."""
    mean = None
    if machine.pool.market is Market.SPOT:
        mean = prices.mean_price(machine.pool, machine.launched_at_s, _end_s(machine, now_s))
    return mean or prices.pool_price(machine.pool) or 0.0


def _line(key: tuple[str, str], machines: Sequence[Machine], prices: PoolPrices, now_s: float) -> CostLine:
    known = {machine.id: prices.pool_price(machine.pool) for machine in machines}
    priced = {name: usd for name, usd in known.items() if usd is not None}
    stopped = sum(each.state in {"stopping", "stopped"} for each in machines)
    running = [each for each in machines if each.is_up]
    return CostLine(
        offering=key[0],
        market=key[1],
        running=len(running),
        stopped=stopped,
        ended=len(machines) - stopped - len(running),
        usd_per_hour=sum(priced.get(each.id, 0.0) for each in running),
        usd=sum(machine_usd(each, _billed(each, prices, now_s), now_s) for each in machines),
        unpriced=len(machines) - len(priced),
    )
