"""A catalogue: what a cloud sold its types of instance for at a certain time."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from mark.domain.offering import Market, Offering

__all__ = ["SPOT_SUFFIX", "Burstable", "Catalog", "CatalogEntry"]

SPOT_SUFFIX = "/spot"  # ends the name of a type's spot offering: "c5.large/spot"


@dataclass(frozen=True, slots=True)
class Burstable:
    """What a burstable type computes with credits and without.

    Attributes:
        baseline_share: of its full speed that is left when it has no credits, in (0, 1].
        launch_credits_s: seconds at full speed that a new instance has credits for.
        surplus_usd_per_s: for a second at full speed without credits, where it is launched as unlimited; 0 where it is
            not and falls to its baseline.
    """

    baseline_share: float
    launch_credits_s: float
    surplus_usd_per_s: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.baseline_share <= 1 or not 0 <= self.launch_credits_s < math.inf:
            raise ValueError(f"needs 0 < baseline_share <= 1 and a finite launch_credits_s >= 0: {self}")


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One type of instance and its prices, in dollars per hour.

    Attributes:
        instance_type: the cloud's name for it.
        on_demand_usd_per_hour: without any commitment.
        spot_low_usd_per_hour: spot price in the cheapest zone; None when none is known.
        spot_high_usd_per_hour: spot price in the dearest zone; None when none is known.
        burstable: how it runs on credits; None for a type that does not.
    """

    instance_type: str
    on_demand_usd_per_hour: float
    spot_low_usd_per_hour: float | None = None
    spot_high_usd_per_hour: float | None = None
    burstable: Burstable | None = None

    def __post_init__(self) -> None:
        if not 0 < self.on_demand_usd_per_hour < math.inf:
            raise ValueError(f"{self.instance_type}: the price must be positive, not {self.on_demand_usd_per_hour}")
        low, high = self.spot_low_usd_per_hour, self.spot_high_usd_per_hour
        if (low is None) != (high is None) or (low is not None and high is not None and not 0 < low <= high < math.inf):
            raise ValueError(f"{self.instance_type}: needs 0 < spot low <= spot high, or neither, not {low} and {high}")

    def sell(self, offering: Offering) -> Offering | None:
        """The offering at the price of this type in its market; None when the type is not sold there.

        A spot instance is sold at the price of the dearest zone: a plan should not hang on the luck of one zone.
        """
        if offering.market is Market.SPOT:
            if self.spot_high_usd_per_hour is None:
                return None
            return replace(offering, price_usd_per_hour=self.spot_high_usd_per_hour)
        priced = replace(offering, price_usd_per_hour=self.on_demand_usd_per_hour)
        if offering.market is Market.ON_DEMAND:
            return priced
        if self.burstable is None:
            return None
        share, credits_s = self.burstable.baseline_share, self.burstable.launch_credits_s
        return replace(priced, baseline_share=share, credits_s=credits_s)


@dataclass(frozen=True, slots=True)
class Catalog:
    """The prices of one cloud, region and time.

    Attributes:
        name: what `--catalog` calls it.
        entries: one for each type.
        price_note: in words, where the prices are from and of when.
        spot_note: in words, what the spot prices are worth.
    """

    name: str
    entries: tuple[CatalogEntry, ...]
    price_note: str
    spot_note: str

    def __post_init__(self) -> None:
        types = [entry.instance_type for entry in self.entries]
        if len(set(types)) < len(types):
            raise ValueError(f"catalogue {self.name}: a type is there twice")

    def entry(self, instance_type: str) -> CatalogEntry | None:
        """The entry of a type; None when the catalogue has none."""
        return next((entry for entry in self.entries if entry.instance_type == instance_type), None)

    def sell(self, offering: Offering) -> Offering | None:
        """The offering at the price of its type and market; None when the catalogue has no such price.

        Its type is its name, without what marks the spot offering of a type.
        """
        entry = self.entry(offering.name.removesuffix(SPOT_SUFFIX))
        return None if entry is None else entry.sell(offering)
