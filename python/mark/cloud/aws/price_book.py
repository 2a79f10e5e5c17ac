"""Where the driver learns what things cost now."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from mark.cloud.aws.pools import Pool
from mark.cloud.aws.settings import AwsOffering

__all__ = ["ListedPrices", "PoolPrices", "PriceBook"]


class PriceBook(Protocol):
    """Prices of offerings. Safe to call from any thread."""

    def price(self, offering: AwsOffering) -> float:
        """Dollars an hour that an instance of the offering costs now, as far as is known."""
        ...

    def refresh(self) -> None:
        """Ask for them again; the last known ones are kept where that fails."""
        ...


@runtime_checkable
class PoolPrices(Protocol):
    """A book that knows each pool by itself, so that each instance is billed at its own price."""

    def pool_price(self, pool: Pool) -> float | None:
        """Dollars an hour that a machine of the pool costs now; None when that is not known."""
        ...

    def mean_price(self, pool: Pool, began_s: float, ended_s: float) -> float | None:
        """Dollars an hour that a spot machine is billed which lived so, in seconds since the epoch; None if unknown."""
        ...


class ListedPrices:
    """The prices of the configuration, which never change. Implements `PriceBook`."""

    def price(self, offering: AwsOffering) -> float:
        """The offering's own."""
        return offering.offering.price_usd_per_hour

    def refresh(self) -> None:
        """Nothing to do."""
