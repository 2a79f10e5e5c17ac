"""What can be rented: a kind of machine, in a market, at a price."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["Market", "Offering"]


class Market(enum.Enum):
    """How an instance is bought."""

    ON_DEMAND = "on_demand"
    SPOT = "spot"
    BURSTABLE = "burstable"


@dataclass(frozen=True, slots=True)
class Offering:
    """One thing that a cloud sells.

    Attributes:
        name: unique among the offerings of a cloud.
        market: how it is bought.
        price_usd_per_hour: billed per second from launch to termination.
        boot_s: seconds from launch until it can serve.
        max_count: how many may exist at once.
        threads: compute threads of its worker.
        cpu_share: share of the machine that its worker may use, in (0, 1]; 1 is unthrottled.
    """

    name: str
    market: Market
    price_usd_per_hour: float
    boot_s: float
    max_count: int
    threads: int = 1
    cpu_share: float = 1.0

    def __post_init__(self) -> None:
        if not self.price_usd_per_hour >= 0 or not self.boot_s >= 0:
            raise ValueError(f"offering {self.name}: price_usd_per_hour and boot_s must not be negative")
        if self.max_count < 1 or self.threads < 1 or not 0 < self.cpu_share <= 1:
            raise ValueError(f"offering {self.name}: needs max_count >= 1, threads >= 1 and 0 < cpu_share <= 1")
