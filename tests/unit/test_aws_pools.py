"""Pools that refused are left alone, longer each time, and quotas count families together."""

from __future__ import annotations

import pytest

from mark.cloud.aws.pools import Pool, Pools, pools_of, quota_of
from mark.cloud.aws.settings import AwsOffering
from mark.domain.offering import Market, Offering

S = 10**9
A = Pool("c5.large", "us-east-1a", Market.SPOT)
B = Pool("c5.large", "us-east-1b", Market.SPOT)
GPU = Pool("g5.xlarge", "us-east-1a", Market.SPOT)


def test_a_refusal_closes_one_pool_for_a_while() -> None:
    pools = Pools(pause_s=180, pause_max_s=1800)
    pools.refused(A, 0)

    assert pools.available([A, B], 1) == (B,)
    assert pools.wait_s([A], 60 * S) == 120
    assert pools.wait_s([A, B], 60 * S) == 0
    assert pools.available([A, B], 180 * S) == (A, B)


def test_pauses_double_up_to_the_longest_and_begin_anew_once_something_was_bought() -> None:
    pools, now, seen = Pools(180, 1800), 0, []
    for _ in range(6):
        pools.refused(A, now)
        seen.append(pools.wait_s([A], now))
        now += round(seen[-1] * S)
    pools.bought(A)
    pools.refused(A, now)

    assert seen == [180, 360, 720, 1440, 1800, 1800]
    assert pools.wait_s([A], now) == 180


def test_refusals_of_one_call_are_one() -> None:
    pools = Pools(180, 1800)
    for _ in range(5):
        pools.refused(A, 0)

    assert pools.wait_s([A], 0) == 180


def test_a_quota_closes_every_pool_that_counts_against_it() -> None:
    pools = Pools(180, 1800)
    pools.quota_reached(A, 0)

    assert pools.available([A, B, GPU], 1) == (GPU,)
    assert pools.is_quota_reached([A, B], 1)
    assert not pools.is_quota_reached([A, GPU], 1)


@pytest.mark.parametrize(
    ("instance_type", "market", "quota"),
    [
        ("c5.large", Market.ON_DEMAND, "on_demand/standard"),
        ("t3.medium", Market.BURSTABLE, "on_demand/standard"),
        ("g4dn.xlarge", Market.SPOT, "spot/g"),
        ("vt1.3xlarge", Market.ON_DEMAND, "on_demand/g"),
        ("p3.2xlarge", Market.ON_DEMAND, "on_demand/p"),
        ("u-6tb1.56xlarge", Market.ON_DEMAND, "on_demand/u"),
        ("inf2.xlarge", Market.SPOT, "spot/inf"),
    ],
)
def test_families_share_quotas(instance_type: str, market: Market, quota: str) -> None:
    assert quota_of(Pool(instance_type, "z", market)) == quota


def test_an_offerings_pools_are_its_types_in_its_zones() -> None:
    offering = AwsOffering(Offering("o", Market.BURSTABLE, 1.0, 0.0, 1), ("t3.medium", "t2.medium"), ("b",))

    assert pools_of(offering, ["a", "b"]) == (
        Pool("t3.medium", "b", Market.ON_DEMAND),
        Pool("t2.medium", "b", Market.ON_DEMAND),
    )
