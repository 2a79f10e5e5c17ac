"""What AWS answers when it is asked for prices, as dollars per hour of a type, in a zone where it is spot.

Requests and answers: AWS Price List API Reference, GetProducts; Amazon EC2 API Reference, DescribeSpotPriceHistory.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mark.cloud.aws.session import Client

__all__ = ["SpotChange", "on_demand_price", "on_demand_prices", "spot_changes"]

_PAGE = 100  # the most that GetProducts gives at once


@dataclass(frozen=True, slots=True)
class SpotChange:
    """From when on a spot price holds, in seconds since 1970."""

    instance_type: str
    zone: str
    at_s: float
    usd_per_hour: float


def on_demand_prices(pricing: Client, region: str, types: Iterable[str]) -> dict[str, float]:
    """Present on-demand prices of Linux on shared hardware, by type; what is not sold there is not in it."""
    found: dict[str, float] = {}
    for instance_type in types:
        for product in _products(pricing, region, instance_type):
            price = on_demand_price(json.loads(product))
            if price is not None:
                found[instance_type] = price
    return found


def on_demand_price(product: Mapping[str, Any]) -> float | None:
    """Dollars per hour of one entry of the price list; None where it is sold otherwise than by the hour for dollars."""
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in term.get("priceDimensions", {}).values():
            price = float(dimension.get("pricePerUnit", {}).get("USD", 0.0))
            if dimension.get("unit") == "Hrs" and price > 0:
                return price
    return None


def spot_changes(ec2: Client, types: Iterable[str], zones: Iterable[str], since: datetime) -> list[SpotChange]:
    """The spot prices that held at a time, and what they changed to since, of these types and, if any, these zones."""
    wanted, pages = set(zones), ec2.get_paginator("describe_spot_price_history")
    return [
        SpotChange(
            str(entry["InstanceType"]),
            str(entry["AvailabilityZone"]),
            entry["Timestamp"].timestamp(),
            float(entry["SpotPrice"]),
        )
        for page in pages.paginate(InstanceTypes=sorted(types), ProductDescriptions=["Linux/UNIX"], StartTime=since)
        for entry in page["SpotPriceHistory"]
        if not wanted or entry["AvailabilityZone"] in wanted
    ]


def _products(pricing: Client, region: str, instance_type: str) -> Iterator[str]:
    wanted = {
        "instanceType": instance_type,
        "regionCode": region,
        "operatingSystem": "Linux",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
        "marketoption": "OnDemand",
        "tenancy": "Shared",
    }
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
    pages = pricing.get_paginator("get_products").paginate(
        ServiceCode="AmazonEC2", Filters=filters, PaginationConfig={"PageSize": _PAGE}
    )
    for page in pages:
        yield from page["PriceList"]
