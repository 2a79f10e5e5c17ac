"""What the driver of AWS knows of prices: parsed from AWS's answers, kept when it does not answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest

pytest.importorskip("boto3")

from botocore.exceptions import ClientError

from mark.cloud.aws.pools import Pool
from mark.cloud.aws.price_lists import SpotChange, on_demand_price, spot_changes
from mark.cloud.aws.prices import BUILT_IN_AT_S, PresentPrices
from mark.cloud.aws.settings import AwsOffering, AwsSettings
from mark.domain.offering import Market, Offering

START_S = BUILT_IN_AT_S + 86_400.0


def offering(name: str, market: Market, types: tuple[str, ...], zones: tuple[str, ...] = ()) -> AwsOffering:
    return AwsOffering(Offering(name, market, price_usd_per_hour=9.0, boot_s=60, max_count=4), types, zones)


CPU = offering("cpu", Market.ON_DEMAND, ("c5.large", "c5.xlarge"))
SPOT = offering("spot", Market.SPOT, ("c5.large", "c5a.large"))
ONE_ZONE = offering("one-zone", Market.SPOT, ("c5.large",), ("us-east-1b",))


def product(price: str, unit: str = "Hrs") -> dict[str, Any]:
    """An entry of the price list, as far as mark reads it."""
    dimension = {"unit": unit, "pricePerUnit": {"USD": price}}
    return {"product": {"sku": "X"}, "terms": {"OnDemand": {"X.J": {"priceDimensions": {"X.J.6": dimension}}}}}


class Answers:
    """Clients of EC2 and of the price list that answer from tables, in several pages, and note what they are asked."""

    def __init__(self) -> None:
        self.on_demand = {"c5.large": "0.0850000000", "c5.xlarge": "0.1700000000"}
        self.spot = {
            ("c5.large", "us-east-1a"): 0.03,
            ("c5.large", "us-east-1b"): 0.05,
            ("c5a.large", "us-east-1a"): 0.04,
        }
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.regions: list[str | None] = []
        self.refuses: set[str] = set()

    def client(self, service: str, region: str | None = None) -> Answers:
        self.regions.append(region)
        return self

    def get_paginator(self, operation: str) -> Pages:
        return Pages(self, operation)

    def pages_of(self, operation: str, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        self.asked.append((operation, asked))
        if operation in self.refuses:
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slower"}}, operation)
        if operation == "get_products":
            (kind,) = [each["Value"] for each in asked["Filters"] if each["Field"] == "instanceType"]
            yield {"PriceList": [json.dumps(product("0.0000000000"))]}
            yield {"PriceList": [json.dumps(product(self.on_demand[kind]))] if kind in self.on_demand else []}
            return
        for (kind, zone), price in self.spot.items():
            if kind in asked["InstanceTypes"]:
                for at_s, usd in ((START_S - 9.0, price), (START_S - 90.0, 99.0)):
                    at = datetime.fromtimestamp(at_s, tz=timezone.utc)
                    entry = {"InstanceType": kind, "AvailabilityZone": zone, "SpotPrice": str(usd), "Timestamp": at}
                    yield {"SpotPriceHistory": [entry]}


class Pages:
    def __init__(self, answers: Answers, operation: str) -> None:
        self._answers = answers
        self._operation = operation

    def paginate(self, **asked: Any) -> Iterator[dict[str, Any]]:
        return self._answers.pages_of(self._operation, asked)


class Now:
    def __init__(self) -> None:
        self.s = START_S

    def __call__(self) -> float:
        return self.s


def book(answers: Answers, now: Now, *offerings: AwsOffering) -> PresentPrices:
    settings = AwsSettings("c", "us-east-1", offerings or (CPU, SPOT, ONE_ZONE))
    return PresentPrices(settings, answers, now)  # type: ignore[arg-type]


def test_before_aws_was_asked_the_configured_prices_hold_and_are_as_old_as_the_table() -> None:
    prices = book(Answers(), Now())

    assert prices.price(CPU) == 9.0
    assert prices.age_s == 86_400.0
    assert prices.pool_price(Pool("c5.large", "us-east-1a", Market.ON_DEMAND)) == 0.085
    assert prices.pool_price(Pool("c5.large", "us-east-1a", Market.SPOT)) is None


def test_an_offering_costs_what_its_dearest_pool_costs() -> None:
    prices = book(Answers(), Now())
    prices.refresh()

    assert (prices.price(CPU), prices.price(SPOT), prices.price(ONE_ZONE)) == (0.17, 0.05, 0.05)
    assert prices.priced(SPOT).price_usd_per_hour == 0.05
    assert prices.pool_price(Pool("c5a.large", "us-east-1a", Market.SPOT)) == 0.04
    assert prices.age_s == 0.0


def test_aws_is_asked_for_what_is_rented_and_nothing_else() -> None:
    answers = Answers()
    book(answers, Now()).refresh()

    (operation, first), *_, (_, spot) = answers.asked
    filters = {each["Field"]: each["Value"] for each in first["Filters"]}
    assert (operation, filters["regionCode"], filters["operatingSystem"]) == ("get_products", "us-east-1", "Linux")
    assert spot["InstanceTypes"] == ["c5.large", "c5a.large"]
    assert spot["ProductDescriptions"] == ["Linux/UNIX"]
    assert spot["StartTime"] == datetime.fromtimestamp(START_S - 86_400.0, tz=timezone.utc)
    assert answers.regions == ["us-east-1", None]


def test_only_the_zones_of_the_offerings_count() -> None:
    answers = Answers()
    answers.spot["c5.large", "us-east-1f"] = 8.0
    prices = book(answers, Now(), ONE_ZONE)
    prices.refresh()

    assert prices.price(ONE_ZONE) == 0.05
    assert prices.pool_price(Pool("c5.large", "us-east-1f", Market.SPOT)) is None


def test_on_demand_prices_are_asked_for_once_a_day_and_spot_prices_every_five_minutes() -> None:
    answers, now = Answers(), Now()
    prices = book(answers, now, CPU, ONE_ZONE)
    for _ in range(2 * 24 * 60):
        prices.refresh()
        now.s += 60.0

    operations = [operation for operation, _ in answers.asked]
    assert operations.count("get_products") == 2 * 2  # one for each type
    assert operations.count("describe_spot_price_history") == 2 * 24 * 12


@pytest.mark.parametrize("operation", ["get_products", "describe_spot_price_history"])
def test_what_cannot_be_had_is_kept_and_ages_and_is_asked_for_calmly(operation: str) -> None:
    answers, now = Answers(), Now()
    prices = book(answers, now)
    prices.refresh()
    answers.refuses.add(operation)
    answers.on_demand["c5.xlarge"] = "0.2"
    answers.spot["c5.large", "us-east-1a"] = 0.06
    answers.asked.clear()
    now.s += 86_400.0
    for _ in range(60):
        prices.refresh()
        now.s += 1.0

    kept = operation == "get_products"
    assert (prices.price(CPU), prices.price(SPOT)) == ((0.17, 0.06) if kept else (0.2, 0.05))
    assert prices.age_s == 86_460.0
    assert [asked for asked, _ in answers.asked].count(operation) == 1


def test_a_type_without_a_price_leaves_the_configured_one() -> None:
    answers = Answers()
    del answers.on_demand["c5.xlarge"]
    answers.spot = {("c5.large", "us-east-1a"): 0.03}
    prices = book(answers, Now())
    prices.refresh()

    assert (prices.price(CPU), prices.price(SPOT)) == (9.0, 9.0)
    assert prices.pool_price(Pool("c5.large", "", Market.ON_DEMAND)) == 0.085


@pytest.mark.parametrize(
    ("entry", "price"),
    [
        (product("0.0850000000"), 0.085),
        (product("0.0000000000"), None),
        (product("0.0850000000", unit="Quantity"), None),
        ({"terms": {"Reserved": {}}}, None),
        ({}, None),
        (
            {"terms": {"OnDemand": {"a": {"priceDimensions": {"b": {"unit": "Hrs", "pricePerUnit": {"CNY": "1"}}}}}}},
            None,
        ),
    ],
)
def test_an_entry_of_the_price_list_is_read(entry: dict[str, Any], price: float | None) -> None:
    assert on_demand_price(entry) == price


def test_spot_prices_are_read_with_the_time_from_which_they_hold() -> None:
    found = spot_changes(Answers(), ["c5.large"], ["us-east-1b"], datetime.fromtimestamp(START_S, tz=timezone.utc))

    assert found == [
        SpotChange("c5.large", "us-east-1b", START_S - 9.0, 0.05),
        SpotChange("c5.large", "us-east-1b", START_S - 90.0, 99.0),
    ]


def test_from_the_second_time_on_only_changes_are_asked_for() -> None:
    answers, now = Answers(), Now()
    prices = book(answers, now, SPOT)
    prices.refresh()
    now.s += 300.0
    prices.refresh()

    assert answers.asked[-1][1]["StartTime"] == datetime.fromtimestamp(START_S, tz=timezone.utc)


def test_nothing_is_asked_for_offerings_that_are_not_there() -> None:
    answers = Answers()
    book(answers, Now(), CPU).refresh()

    assert {operation for operation, _ in answers.asked} == {"get_products"}
