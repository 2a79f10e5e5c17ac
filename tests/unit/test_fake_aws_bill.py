"""The fake AWS's own bill, at its edges."""

from __future__ import annotations

import pytest

from mark.testing.aws.billing import Ledger
from mark.testing.aws.machine import LaunchSpec, Machine, Span
from mark.testing.aws.params import FakeAwsParams
from mark.testing.aws.pools import SpotPrices

PARAMS = FakeAwsParams(prices_usd_per_hour={"c5.large": 0.36})
BEGUN_S = 1_700_000_000.9


def bill(market: str, *spans: Span, prices: SpotPrices | None = None) -> float:
    spec = LaunchSpec("c5.large", market, "us-east-1a", "", "", {}, {}, {})
    machine = Machine("i-1", "r-1", spec, "", {}, {}, spans=list(spans))
    return Ledger(PARAMS, prices or SpotPrices(PARAMS)).bill([machine]).usd


@pytest.mark.parametrize(("lasted_s", "billed_s"), [(0.0, 60), (59.9, 60), (60.0, 60), (61.2, 62), (3600.0, 3600)])
def test_on_demand_is_billed_by_whole_seconds(lasted_s: float, billed_s: int) -> None:
    assert bill("on-demand", Span(BEGUN_S, BEGUN_S + lasted_s)) == pytest.approx(billed_s * 0.0001)


def test_every_start_is_at_least_a_minute() -> None:
    runs = [Span(BEGUN_S + 1000 * number, BEGUN_S + 1000 * number + 5) for number in range(3)]
    assert bill("on-demand", *runs) == pytest.approx(3 * 60 * 0.0001)


def test_spot_is_billed_at_the_price_of_each_hour_that_began() -> None:
    prices = SpotPrices(PARAMS)
    prices.set("c5.large", "us-east-1a", 0.1, BEGUN_S - 10)
    prices.set("c5.large", "us-east-1a", 0.2, BEGUN_S + 1800)
    cost = bill("spot", Span(BEGUN_S, BEGUN_S + 5400), prices=prices)
    assert cost == pytest.approx(0.1 + 0.2 / 2)


@pytest.mark.parametrize(("lasted_s", "taken", "free"), [(3599, True, True), (3601, True, False), (100, False, False)])
def test_spot_that_is_taken_in_its_first_hour_is_free(lasted_s: float, taken: bool, free: bool) -> None:
    assert (bill("spot", Span(BEGUN_S, BEGUN_S + lasted_s, taken)) == 0.0) is free


def test_a_function_is_billed_by_its_work_and_its_calls() -> None:
    ledger = Ledger(PARAMS, SpotPrices(PARAMS))
    ledger.called("f", 500, 2048)
    ledger.called("f", 500, 2048)
    [line] = ledger.bill([]).lines
    assert line.seconds == pytest.approx(1.0)
    assert line.usd == pytest.approx(2 * 0.0000166667 + 2 * 0.0000002)
