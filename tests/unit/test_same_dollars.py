"""Whoever tells what was spent tells the same dollars, to the cent, at any instant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from contract.cloud_world import ARTIFACT
from prometheus_client.parser import text_string_to_metric_families

from mark._core import BreakerState, BurstLedger, BurstStatistics
from mark.domain.bill import MEASURING, SERVERLESS
from mark.domain.functions import FunctionUse
from mark.domain.offering import Market, Offering
from mark.domain.slo import Slo
from mark.live.accounts import Accounts
from mark.live.metrics import Measured, RouterMetrics
from mark.live.recorder import MemoryRecorder
from mark.live.sampler import Sampler
from mark.live.server import InferenceServer, ServedModel
from mark.live.status import ControlService
from mark.live.telling import Telling
from mark.live.watch import Watch
from mark.testing import FakeCloud, ManualClock

BIG = Offering("big", Market.ON_DEMAND, 3600.0, boot_s=1, max_count=9)
SPOT = Offering("spot", Market.SPOT, 1200.0, boot_s=1, max_count=9)


class Path:
    """A request path that nothing is asked of but its statistics."""

    def __init__(self) -> None:
        from mark._core import Dispatcher, DispatcherParams

        self._dispatcher = Dispatcher(DispatcherParams(10**9))

    def statistics(self) -> Any:
        return self._dispatcher.statistics()

    def address_of(self, worker: int) -> str:
        return str(worker)


class Bursts:
    """The way to functions that have cost something."""

    usd = 0.0
    spent_usd = 0.0

    breaker = BreakerState.CLOSED
    functions = None

    def use(self) -> FunctionUse:
        return FunctionUse(0, 0, 0, self.usd)

    def statistics(self) -> BurstStatistics:
        return BurstLedger(0).statistics()


class Clock(ManualClock):
    """One that the wall's runs along with."""

    def unix_s(self, at_ns: int) -> float:
        return at_ns / 1e9


class World:
    """A cloud with a few instances, functions beside it, and everybody who tells of their dollars."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.cloud = FakeCloud([BIG, SPOT], self.clock)
        self.bursts = Bursts()
        model = ServedModel(ARTIFACT.signature, Slo(100.0, 0.9), Path(), None, self.bursts)  # type: ignore[arg-type]
        self.models = {"m": model}
        self.accounts = Accounts(self.cloud, self.models, self.clock)
        recorder = MemoryRecorder()
        self.watch = Watch({"m": Sampler(model, recorder, None)}, recorder, self.clock, self.accounts)  # type: ignore[arg-type]
        inference = InferenceServer(self.models, self.clock)
        telling = Telling(self.watch, recorder, {})
        self.control = ControlService(self.models, inference, telling, self.clock, self.accounts)
        self.metrics = RouterMetrics(
            Measured(
                models=self.models,
                cloud=self.cloud,
                recorder=recorder,
                budgets=self.watch.budgets,
                record_counts={},
                bill=self.accounts.bill,
                draining=lambda: False,
            )
        )

    def pass_time(self) -> None:
        first = self.cloud.launch("big", ARTIFACT, "a")
        self.cloud.launch("spot", ARTIFACT, "b")
        self.clock.advance_s(100.5)
        self.cloud.terminate(first.id)
        self.clock.advance_s(5000.25)
        self.accounts.measured("m", 0.125)
        self.bursts.usd = 2.5

    @property
    def usd(self) -> float:
        """By hand."""
        return 100.5 + 5100.75 / 3 + 0.125 + 2.5


async def bill_usd(world: World) -> float:
    return float(sum(line.usd for line in (await world.control.get_bill()).lines))


async def accounts_usd(world: World) -> float:
    return world.accounts.bill().usd


async def clouds_usd(world: World) -> float:
    return world.cloud.spent_usd() + world.bursts.usd + 0.125


async def page_usd(world: World) -> float:
    """Of the live page and `mark top`: both are told the samples."""
    world.watch.look()
    return world.watch.last["m"].usd_total


async def metrics_usd(world: World) -> float:
    families = text_string_to_metric_families(world.metrics.exposition().decode())
    return float(sum(sample.value for each in families if each.name == "mark_cost_usd" for sample in each.samples))


# Who tells of dollars: whatever else does, belongs here.
TELLERS: dict[str, Callable[[World], Any]] = {
    "mark cost": bill_usd,
    "the router's own accounts": accounts_usd,
    "the cloud's own record": clouds_usd,
    "page and mark top": page_usd,
    "metrics": metrics_usd,
}


@pytest.mark.parametrize("teller", TELLERS)
async def test_it_tells_the_same_dollars(teller: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.pass_time()
    monkeypatch.setattr("mark.live.status._bursts", lambda _: None)

    assert await TELLERS[teller](world) == pytest.approx(world.usd, abs=0.001)


async def test_status_tells_the_dollars_of_each_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mark.live.status._bursts", lambda _: None)  # they are in the cost all the same
    world = World()
    world.pass_time()

    (model,) = (await world.control.get_status()).models

    assert model.cost_usd == pytest.approx(world.usd, abs=0.001)


def test_functions_and_measuring_have_lines_of_their_own() -> None:
    world = World()
    world.pass_time()

    bill = world.accounts.bill()

    assert bill.by("market", "offering")[SERVERLESS, MEASURING] == pytest.approx(0.125)
    assert bill.by_market() == pytest.approx({"on_demand": 100.5, "spot": 5100.75 / 3, SERVERLESS: 2.625})
