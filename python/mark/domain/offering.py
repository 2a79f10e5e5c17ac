"""What can be rented: a kind of machine in a zone and a market, at a price; and what takes single requests."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from mark.domain.device import device_of

__all__ = ["Market", "Offering", "Serverless"]


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
        device: what its worker computes on: "cpu", "cuda" or "cuda:N".
        launch_overhead_s: seconds that are billed before it serves (MArk's O_i); None for as long as it boots.
        interruptions_per_hour: how often one is taken away, on average.
        pool: offerings that are taken away together, a type in a zone; empty for a pool of its own.
        pool_share_max: of the load that the pool may carry, in (0, 1].
        baseline_share: of the capacity that is left when a burstable has no credits, in [0, 1].
        credits_s: seconds that a new burstable serves at full capacity.
        stopped: machines that are kept ready and stopped for each model, so that a launch takes but `boot_s`; they are
            not billed until they are launched.
        billed_s_min: least seconds that are billed for each launch.
        free_when_taken_s: one that the cloud takes away within so many seconds after its launch costs nothing.
    """

    name: str
    market: Market
    price_usd_per_hour: float
    boot_s: float
    max_count: int
    threads: int = 1
    cpu_share: float = 1.0
    device: str = "cpu"
    launch_overhead_s: float | None = None
    interruptions_per_hour: float = 0.0
    pool: str = ""
    pool_share_max: float = 1.0
    baseline_share: float = 1.0
    credits_s: float = math.inf
    stopped: int = 0
    billed_s_min: float = 0.0
    free_when_taken_s: float = 0.0

    def __post_init__(self) -> None:
        if not self.price_usd_per_hour >= 0 or not self.boot_s >= 0:
            raise ValueError(f"offering {self.name}: price_usd_per_hour and boot_s must not be negative")
        if not 0 <= self.stopped <= self.max_count:
            raise ValueError(f"offering {self.name}: needs 0 <= stopped <= max_count")
        if self.max_count < 1 or self.threads < 1 or not 0 < self.cpu_share <= 1:
            raise ValueError(f"offering {self.name}: needs max_count >= 1, threads >= 1 and 0 < cpu_share <= 1")
        if not self.billed_s_min >= 0 or not self.free_when_taken_s >= 0:
            raise ValueError(f"offering {self.name}: billed_s_min and free_when_taken_s must not be negative")
        device_of(self.device)
        if not self.interruptions_per_hour >= 0 or not self.credits_s >= 0 or not self.billed_boot_s >= 0:
            raise ValueError(
                f"offering {self.name}: interruptions_per_hour, credits_s and launch_overhead_s must not be negative"
            )
        if not 0 < self.pool_share_max <= 1 or not 0 <= self.baseline_share <= 1:
            raise ValueError(f"offering {self.name}: needs 0 < pool_share_max <= 1 and 0 <= baseline_share <= 1")

    @property
    def billed_boot_s(self) -> float:
        """Seconds that are billed before it serves."""
        return self.boot_s if self.launch_overhead_s is None else self.launch_overhead_s


@dataclass(frozen=True, slots=True)
class Serverless:
    """A service that takes single requests at once, at a price for each.

    Attributes:
        name: for reports.
        usd_per_million_requests: price, duration and request fee together.
        latency_ms: of one request.
        concurrency_max: requests that it serves at once.
    """

    name: str
    usd_per_million_requests: float
    latency_ms: float
    concurrency_max: int

    def __post_init__(self) -> None:
        if not self.usd_per_million_requests >= 0 or not self.latency_ms > 0 or self.concurrency_max < 1:
            raise ValueError(f"{self.name}: needs a price of 0 or more, a positive latency and concurrency_max >= 1")

    @property
    def requests_per_s_max(self) -> float:
        """The highest rate that its concurrency allows."""
        return self.concurrency_max / (self.latency_ms / 1e3)
