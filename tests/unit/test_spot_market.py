"""Which spot instances are taken away, and what is sold out after that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mark.cloud.spot_market import SpotMarket, SpotMarketParams
from mark.domain.fleet import Instance, InstanceId, InstanceState
from mark.domain.offering import Market, Offering

S = 1_000_000_000
PLAIN = Offering("plain", Market.ON_DEMAND, 1.0, boot_s=0.0, max_count=9)
SPOT = Offering("spot", Market.SPOT, 0.3, boot_s=0.0, max_count=9, interruptions_per_hour=2.0, pool="zone")
OTHER = replace(SPOT, name="other", pool="another zone", interruptions_per_hour=0.0)


def market_of(seed: int = 0, **params: float) -> SpotMarket:
    return SpotMarket.drawn([PLAIN, SPOT, OTHER], SpotMarketParams(**params), seed, began_ns=1000 * S)


def instances(offering: str, count: int) -> list[Instance]:
    return [
        Instance(InstanceId(f"{offering}-{number}"), offering, "m", InstanceState.READY, launched_at_ns=number)
        for number in range(count)
    ]


@pytest.mark.parametrize(("share", "count"), [(0.01, 1), (0.2, 1), (0.28, 2), (0.8, 4), (1.0, 5)])
def test_a_share_is_of_the_spot_instances_rounded_up_and_the_oldest_first(share: float, count: int) -> None:
    hit = market_of().interrupt_share(instances("plain", 3) + instances("spot", 5), share, 0)

    assert [instance.id for instance in hit] == [f"spot-{number}" for number in range(count)]


def test_a_pool_that_was_interrupted_is_sold_out_for_a_while_and_no_other() -> None:
    market = market_of(sold_out_after_s=100.0)

    market.interrupt_share(instances("spot", 1), 1.0, 0)

    assert market.is_sold_out(SPOT, 49 * S)
    assert not market.is_sold_out(SPOT, 150 * S)
    assert not market.is_sold_out(OTHER, 0)
    assert not market.is_sold_out(PLAIN, 0)


def test_nobody_is_hit_where_nothing_runs_on_spot_and_nothing_is_sold_out() -> None:
    market = market_of()

    assert market.interrupt_share(instances("plain", 3), 1.0, 0) == []
    assert not market.is_sold_out(SPOT, 0)


def test_a_pool_is_interrupted_as_often_as_its_offerings_say_from_the_beginning_on() -> None:
    market = market_of(seed=3, taken_share=0.5)
    taken, last_ns = 0, 1000 * S
    for _ in range(4000):
        at_ns = market.next_ns()
        assert at_ns is not None
        assert at_ns >= last_ns
        last_ns = at_ns
        taken += len(market.interrupt_next(instances("spot", 1) + instances("plain", 1), at_ns))

    hours = (last_ns - 1000 * S) / 3600e9
    assert taken / hours == pytest.approx(2.0, rel=0.1)


def test_nothing_is_ever_drawn_of_what_is_never_taken() -> None:
    market = SpotMarket.drawn([PLAIN, OTHER], SpotMarketParams(), 0, began_ns=0)

    assert market.next_ns() is None


def test_the_same_seed_draws_the_same_and_another_one_does_not() -> None:
    assert market_of(seed=1).next_ns() == market_of(seed=1).next_ns() != market_of(seed=2).next_ns()


def test_a_notice_is_as_long_as_the_market_gives_unless_told_otherwise() -> None:
    market = market_of(notice_s=30.0)

    assert (market.notice_ns(), market.notice_ns(2.5)) == (30 * S, 2_500_000_000)


@pytest.mark.parametrize("params", [{"taken_share": 0.0}, {"taken_share": 1.5}, {"notice_s": -1.0}])
def test_what_makes_no_sense_is_refused(params: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="needs 0 < taken_share <= 1"):
        SpotMarketParams(**params)
