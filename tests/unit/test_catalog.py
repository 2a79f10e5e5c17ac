"""The built-in price catalogues: every figure is that of its source, and offerings are sold at their market's price."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mark.cloud.catalog import CATALOG_NAMES, Burstable, Catalog, CatalogEntry, catalog
from mark.domain.offering import Market, Offering
from mark.errors import ConfigError

SHARED = Path(__file__).resolve().parents[3] / "shared"
PAPER = SHARED / "paper" / "mark_atc19.json"
PRICES = SHARED / "prices" / "us_east_1.csv"


def offering(name: str, market: Market = Market.ON_DEMAND) -> Offering:
    return Offering(name, market, price_usd_per_hour=7.0, boot_s=60, max_count=3)


def entries(name: str) -> Iterator[CatalogEntry]:
    yield from catalog(name).entries


@pytest.mark.skipif(not PRICES.is_file(), reason="the shared prices are not here")
def test_every_price_of_us_east_1_is_that_of_the_source() -> None:
    with PRICES.open(encoding="utf-8", newline="") as file:
        source = {
            row["instance_type"]: tuple(
                float(row[key]) if row[key] else None for key in ("on_demand_usd_h", "spot_min_az", "spot_max_az")
            )
            for row in csv.DictReader(file)
        }

    shipped = {
        entry.instance_type: (entry.on_demand_usd_per_hour, entry.spot_low_usd_per_hour, entry.spot_high_usd_per_hour)
        for entry in entries("aws-us-east-1")
    }

    assert shipped == source
    assert len(shipped) == 44


@pytest.mark.skipif(not PAPER.is_file(), reason="the shared figures of the paper are not here")
def test_every_price_of_2018_is_that_of_the_paper() -> None:
    source = json.loads(PAPER.read_text(encoding="utf-8"))

    shipped = {entry.instance_type: entry.on_demand_usd_per_hour for entry in entries("aws-2018")}

    assert shipped == source["prices_usd_per_hour_2018"]


@pytest.mark.skipif(not PAPER.is_file(), reason="the shared figures of the paper are not here")
def test_every_spot_price_of_2018_is_the_assumed_share() -> None:
    shares = json.loads(PAPER.read_text(encoding="utf-8"))["assumed"]["spot_share_of_on_demand"]

    for entry in entries("aws-2018"):
        share = shares.get(entry.instance_type.partition(".")[0])
        assert entry.spot_low_usd_per_hour == entry.spot_high_usd_per_hour
        assert entry.spot_high_usd_per_hour == (share and pytest.approx(share * entry.on_demand_usd_per_hour))


@pytest.mark.skipif(not PAPER.is_file(), reason="the shared figures of the paper are not here")
def test_a_new_t2_runs_at_full_speed_for_as_long_as_the_paper_says() -> None:
    minutes = json.loads(PAPER.read_text(encoding="utf-8"))["assumed"]["burstable_full_speed_minutes"]

    burstables = [entry.burstable for entry in entries("aws-us-east-1") if entry.instance_type.startswith("t2.")]

    assert {burstable.launch_credits_s / 60 for burstable in burstables if burstable} == {minutes}


@pytest.mark.parametrize("name", CATALOG_NAMES)
def test_the_t_families_and_no_others_are_burstable(name: str) -> None:
    for entry in entries(name):
        assert (entry.burstable is not None) == entry.instance_type.startswith(("t2.", "t3.", "t3a.", "t4g."))


@pytest.mark.parametrize("name", CATALOG_NAMES)
def test_a_catalogue_says_where_its_prices_are_from(name: str) -> None:
    assert "AWS us-east-1, 20" in catalog(name).price_note


def test_an_unknown_catalogue_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(
        ConfigError, match=r"^there is no catalogue 'aws-2019'; did you mean 'aws-2018'\? known are aws-2018, aws-us-e"
    ):
        catalog("aws-2019")


def test_an_offering_on_demand_is_sold_at_the_price_on_demand() -> None:
    sold = catalog("aws-us-east-1").sell(offering("c5.large"))

    assert sold == Offering("c5.large", Market.ON_DEMAND, price_usd_per_hour=0.085, boot_s=60, max_count=3)


@pytest.mark.parametrize("name", ["c5.large", "c5.large/spot"])
def test_a_spot_offering_is_sold_at_the_price_of_the_dearest_zone(name: str) -> None:
    sold = catalog("aws-us-east-1").sell(offering(name, Market.SPOT))

    assert sold is not None
    assert sold.price_usd_per_hour == 0.0347


def test_a_burstable_is_sold_with_its_credits() -> None:
    sold = catalog("aws-2018").sell(offering("t2.medium", Market.BURSTABLE))

    assert sold is not None
    assert (sold.price_usd_per_hour, sold.baseline_share, sold.credits_s) == (0.0464, 0.2, 1800)


@pytest.mark.parametrize(
    ("name", "market"),
    [("m7.huge", Market.ON_DEMAND), ("m5.large", Market.SPOT), ("c5.large", Market.BURSTABLE)],
)
def test_what_has_no_price_in_its_market_is_not_sold(name: str, market: Market) -> None:
    assert catalog("aws-us-east-1").sell(offering(name, market)) is None


@pytest.mark.parametrize(
    ("on_demand", "low", "high"),
    [(0.0, None, None), (float("nan"), None, None), (1.0, 0.5, None), (1.0, 0.5, 0.4), (1.0, 0.0, 0.4)],
)
def test_prices_that_cannot_be_are_refused(on_demand: float, low: float | None, high: float | None) -> None:
    with pytest.raises(ValueError, match=r"^x\.large: "):
        CatalogEntry("x.large", on_demand, low, high)


@pytest.mark.parametrize(("share", "credits_s"), [(0.0, 1.0), (1.5, 1.0), (0.2, -1.0), (0.2, float("inf"))])
def test_credits_that_cannot_be_are_refused(share: float, credits_s: float) -> None:
    with pytest.raises(ValueError, match="baseline_share"):
        Burstable(share, credits_s)


def test_a_type_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        Catalog("x", (CatalogEntry("x.large", 1.0), CatalogEntry("x.large", 2.0)), "", "")
