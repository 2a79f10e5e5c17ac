"""What spot is billed: each hour of an instance's life at the price that held when the hour began."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from contract.aws_world import aws_settings, lay_ground, running_aws, tiny_user_data
from contract.cloud_world import ARTIFACT
from hypothesis import given
from hypothesis import strategies as st

from mark.cloud.aws.cloud import AwsCloud, AwsParts
from mark.cloud.aws.price_lists import SpotChange
from mark.cloud.aws.prices import PresentPrices
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsOffering
from mark.cloud.aws.spot_history import SpotHistory
from mark.domain.offering import Market, Offering
from mark.live.clock import SteadyClock
from mark.testing.aws import FakeAws

PLACE = ("c5.large", "us-east-1a")
SPOT = AwsOffering(Offering("spot", Market.SPOT, 0.04, 10.0, 8), ("c5.large",), ("us-east-1a",))


def history(*prices: tuple[float, float]) -> SpotHistory:
    made = SpotHistory()
    made.add(SpotChange(*PLACE, at_s, usd) for at_s, usd in prices)
    return made


def test_a_price_holds_from_its_time_on_and_the_oldest_for_what_was_before() -> None:
    known = history((200.0, 2.0), (100.0, 1.0))

    assert [known.at(PLACE, at_s) for at_s in (0.0, 100.0, 199.9, 200.0, 1e9)] == [1.0, 1.0, 1.0, 2.0, 2.0]
    assert known.present() == {PLACE: 2.0}
    assert known.at(("c5.large", "us-east-1b"), 0.0) is None


def test_what_is_told_twice_counts_once_and_is_what_was_said_last() -> None:
    known = history((100.0, 1.0), (200.0, 2.0), (100.0, 3.0))

    assert (known.at(PLACE, 150.0), known.at(PLACE, 250.0)) == (3.0, 2.0)


def test_an_hour_keeps_the_price_that_it_began_at() -> None:
    known = history((0.0, 1.0), (1800.0, 9.0), (3500.0, 2.0), (5400.0, 8.0))

    assert known.mean(PLACE, 0.0, 1900.0) == 1.0
    assert known.mean(PLACE, 0.0, 3600.0) == 1.0
    assert known.mean(PLACE, 0.0, 5400.0) == pytest.approx((3600 * 1.0 + 1800 * 2.0) / 5400)
    assert known.mean(PLACE, 7200.0, 7200.0) == 8.0  # a minute at least
    assert known.mean(("c5.large", "us-east-1b"), 0.0, 60.0) is None


@given(st.lists(st.tuples(st.floats(0, 1e5), st.floats(0.01, 1.0)), min_size=1), st.floats(0, 1e5), st.floats(0, 1e5))
def test_it_is_never_below_the_cheapest_nor_above_the_dearest(
    prices: list[tuple[float, float]], began_s: float, lived_s: float
) -> None:
    usd = history(*prices).mean(PLACE, began_s, began_s + lived_s)

    assert usd is not None
    assert min(p for _, p in prices) * (1 - 1e-9) <= usd <= max(p for _, p in prices) * (1 + 1e-9)


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    with running_aws(tmp_path, monkeypatch, boots=False) as fake:
        lay_ground(aws_settings(fake, (SPOT,)))
        yield fake


def test_the_bill_of_spot_that_ran_for_hours_is_the_clouds_own(aws: FakeAws) -> None:
    settings = replace(aws_settings(aws, (SPOT,)), keep_on_stop=True)
    session = AwsSession(settings)

    def router() -> AwsCloud:
        prices = PresentPrices(settings, session)
        return AwsCloud(settings, SteadyClock(), AwsParts(session, tiny_user_data, None, prices))

    first = router()
    first.open()
    launched = first.launch("spot", ARTIFACT, "a")
    first.close()
    began_s = time.time() - 2.5 * 3600
    with aws._machines.lock:  # it has run for hours
        (machine,) = aws._machines.named([str(launched.id)])
        machine.begun_s = machine.spans[0].begun_s = began_s
    for hours, usd in ((0.5, 0.05), (1.5, 0.07), (1.9, 0.02), (2.4, 0.50)):
        aws.set_spot_price("c5.large", "us-east-1a", usd, at_s=began_s + 3600 * hours)

    second = router()
    second._parts.prices.refresh()
    second.open()
    spent_usd, record_usd = second.spent_usd(), aws.record().usd
    second.close()

    first_hour_usd = 0.4 * aws.params.prices_usd_per_hour["c5.large"]
    assert record_usd == pytest.approx(first_hour_usd + 0.05 + 0.02 / 2, rel=1e-3)
    assert spent_usd == pytest.approx(record_usd, abs=1e-4)
    assert round(spent_usd, 2) == round(record_usd, 2)
    session.client("ec2").terminate_instances(InstanceIds=[str(launched.id)])
