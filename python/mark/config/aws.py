"""The section of AWS, and which keys of offerings belong to which provider."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Protocol

from pydantic import Field

from mark.cloud.catalog.aws_us_east_1 import AWS_US_EAST_1
from mark.config.values import NotBool, Section, wrong

__all__ = ["AwsConfig", "InstanceType", "check_provider", "listed_usd_per_hour"]

InstanceType = Annotated[str, Field(pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$")]
_Text = Annotated[str, Field(min_length=1)]


class AwsConfig(Section):
    """Where in AWS the cluster lives; see `mark aws bootstrap`."""

    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    subnets: dict[str, Annotated[str, Field(pattern=r"^subnet-[0-9a-f]+$")]] = Field(default_factory=dict)
    image: _Text | None = None
    install: str | None = None
    endpoint_url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    keep_on_stop: bool = False
    rebalances_per_hour: Annotated[int, Field(ge=0, le=1000), NotBool] = 0


def listed_usd_per_hour(types: Sequence[str], market: str) -> float | None:
    """The price of the dearest of these types in the table that mark comes with, or None when one is not in it.

    It is that of us-east-1 at the table's date; the driver of AWS asks for the present one of its region.
    """
    entries = [AWS_US_EAST_1.entry(each) for each in types]
    prices = [
        None if entry is None else entry.spot_high_usd_per_hour if market == "spot" else entry.on_demand_usd_per_hour
        for entry in entries
    ]
    known = [price for price in prices if price is not None]
    return max(known) if known and len(known) == len(prices) else None


class _Offering(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def market(self) -> str: ...

    @property
    def types(self) -> list[str]: ...

    @property
    def zones(self) -> list[str]: ...

    @property
    def price_usd_per_hour(self) -> float | None: ...


def check_provider(provider: str, aws: AwsConfig | None, offerings: Sequence[_Offering]) -> None:
    """Refuse keys that the provider does not know, and the lack of those that it needs.

    Raises:
        PydanticCustomError: naming the key.
    """
    if provider == "aws" and aws is None:
        raise wrong("provider: aws needs a section aws with at least the region, such as us-east-1", "aws")
    for index, offering in enumerate(offerings):
        place = ("offerings", index)
        if provider == "local":
            if offering.types or offering.zones:
                raise wrong(
                    "only AWS has types and zones: provider: aws", *place, "types" if offering.types else "zones"
                )
            if offering.price_usd_per_hour is None:
                raise wrong(f"{offering.name!r} needs a price; only AWS knows its own", *place, "price_usd_per_hour")
        elif not offering.types:
            raise wrong(
                f"{offering.name!r} needs the EC2 types that it may be bought as, such as [c5.large, c5a.large]",
                *place, "types",
            )  # fmt: skip
        elif offering.price_usd_per_hour is None and listed_usd_per_hour(offering.types, offering.market) is None:
            raise wrong(
                f"{offering.name!r} needs a price: the table that mark comes with does not know all of "
                f"{', '.join(offering.types)} as {offering.market}; `mark serve` replaces it by the present one",
                *place, "price_usd_per_hour",
            )  # fmt: skip
