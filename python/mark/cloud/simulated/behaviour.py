"""How a simulated cloud behaves beyond what its offerings say. All defaults are assumptions, named as such."""

from __future__ import annotations

from dataclasses import dataclass, field

from mark.cloud.spot_market import SpotMarketParams

__all__ = ["CloudBehaviour", "Interruption", "PriceChange", "SoldOut"]


@dataclass(frozen=True, slots=True)
class SoldOut:
    """A time in which no instance of an offering or a pool is to be had.

    Attributes:
        name: of the offering or of the pool.
        from_s: when it begins.
        until_s: when it ends.
    """

    name: str
    from_s: float
    until_s: float


@dataclass(frozen=True, slots=True)
class Interruption:
    """An interruption that is not left to chance.

    Attributes:
        at_s: when the notices are given.
        share: of all spot instances that run then, the oldest first, rounded up.
        notice_s: from the notices to the end; None for as long as the cloud gives.
    """

    at_s: float
    share: float
    notice_s: float | None = None


@dataclass(frozen=True, slots=True)
class PriceChange:
    """A new price of an offering, for what is launched from then on.

    Attributes:
        at_s: from when on.
        offering: its name.
        usd_per_hour: the price.
    """

    at_s: float
    offering: str
    usd_per_hour: float


@dataclass(frozen=True, slots=True)
class CloudBehaviour:
    """What happens between a launch and an end.

    Attributes:
        boot_variation: of boot times: about their standard deviation over their mean, which is the offering's boot_s
            (assumed: 0.1, lognormal).
        billed_s_min: an instance is billed for at least so long (EC2: a minute, then by the second).
        notice_s: from the notice of a spot interruption to its end (EC2: two minutes).
        taken_share: of a pool's instances that one interruption takes, each by chance (assumed: half of them, so that
            interruptions come together; SkyServe, EuroSys 2025, found 83 to 97 % followed by another within 5 minutes).
        sold_out_after_s: a pool that was interrupted sells nothing for so long, on average (assumed: four minutes,
            with which spot capacity is back about six minutes after the notice, as in the MArk paper, figure 8d).
        sold_out: times in which something is not to be had in any case.
        interruptions: those that happen in any case, in order of time; the pools that they hit are sold out after them
            as after any.
        prices: changes of prices, in order of time.
        draws: whether pools are interrupted by chance, too, as often as their offerings say.
    """

    boot_variation: float = 0.1
    billed_s_min: float = 60.0
    notice_s: float = 120.0
    taken_share: float = 0.5
    sold_out_after_s: float = 240.0
    sold_out: tuple[SoldOut, ...] = field(default=())
    interruptions: tuple[Interruption, ...] = field(default=())
    prices: tuple[PriceChange, ...] = field(default=())
    draws: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.boot_variation < 1 or not 0 < self.taken_share <= 1:
            raise ValueError("needs 0 <= boot_variation < 1 and 0 < taken_share <= 1")
        if min(self.billed_s_min, self.notice_s, self.sold_out_after_s) < 0:
            raise ValueError("billed_s_min, notice_s and sold_out_after_s must not be negative")
        changed_s = [each.at_s for each in self.prices]
        if changed_s != sorted(changed_s) or any(not each.usd_per_hour >= 0 for each in self.prices):
            raise ValueError("prices must be in order of time, and none negative")
        instants_s = [each.at_s for each in self.interruptions]
        if instants_s != sorted(instants_s) or any(not 0 < each.share <= 1 for each in self.interruptions):
            raise ValueError("interruptions must be in order of time, each with 0 < share <= 1")

    @property
    def spot(self) -> SpotMarketParams:
        """How spot instances are taken away."""
        return SpotMarketParams(self.notice_s, self.taken_share, self.sold_out_after_s)
