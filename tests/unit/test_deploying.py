"""Who deploys functions, and when: the router that leads, while one that follows uses what there is."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from mark.app import deploying
from mark.app.deploying import Deploying
from mark.errors import CloudError


class LedCloud:
    """As much of a cloud as is asked who leads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._changes = 0
        self._leads = False
        self._lost = False

    def become(self, *, leader: bool = False, lost: bool = False) -> None:
        with self._changed:
            self._leads, self._lost = leader, lost
            self._changes += 1
            self._changed.notify_all()

    def leads(self) -> bool:
        self.check_not_lost()
        return self._leads

    def check_leads(self) -> None:
        if not self.leads():
            raise CloudError("another one leads")

    def check_not_lost(self) -> None:
        if self._lost:
            raise CloudError("another one has taken over")

    def wait_for_change(self, since: int, timeout_s: float) -> int:
        with self._changed:
            self._changed.wait_for(lambda: self._changes > since, timeout_s)
            return self._changes


class World:
    """Deployments that are noted."""

    def __init__(self) -> None:
        self.cloud = LedCloud()
        self.are_there = True
        self.failures: list[Exception] = []
        self.deployed = asyncio.Event()
        self.tries = 0
        self.deploying = Deploying(None, self.cloud)  # type: ignore[arg-type]

    async def deploy(self, _: Any, leader: Any) -> None:
        assert leader is self.cloud
        leader.check_leads()
        self.tries += 1
        if self.failures:
            raise self.failures.pop()
        self.deployed.set()

    async def look(self, _: Any) -> bool:
        return self.are_there


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(deploying, "deploy_functions", world.deploy)
    monkeypatch.setattr(deploying, "functions_are_there", world.look)
    monkeypatch.setattr(deploying, "_AGAIN_S", 0.0)
    monkeypatch.setattr("mark.live.leading._LOOK_S", 60.0)  # what is waited for is told
    return world


async def test_the_router_that_leads_deploys_before_it_starts(world: World) -> None:
    world.cloud.become(leader=True)

    await world.deploying.start()

    assert world.tries == 1
    await world.deploying.close()


async def test_its_failure_to_deploy_is_the_routers(world: World) -> None:
    world.cloud.become(leader=True)
    world.failures = [CloudError("no role")]

    with pytest.raises(CloudError, match="no role"):
        await world.deploying.start()


async def test_one_that_follows_starts_with_what_is_deployed_and_deploys_once_it_leads(world: World) -> None:
    await world.deploying.start()
    assert world.tries == 0

    world.cloud.become(leader=True)

    await asyncio.wait_for(world.deployed.wait(), 10.0)
    await world.deploying.close()
    assert world.tries == 1


async def test_one_that_follows_waits_for_the_lead_where_nothing_is_deployed(world: World) -> None:
    world.are_there = False
    starting = asyncio.ensure_future(world.deploying.start())
    done, _ = await asyncio.wait({starting}, timeout=0.05)
    assert not done

    world.cloud.become(leader=True)
    await asyncio.wait_for(starting, 10.0)

    assert world.tries == 1


async def test_what_cannot_be_deployed_later_is_tried_again_and_ends_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.failures = [CloudError("throttled"), CloudError("no such bucket")]
    await world.deploying.start()
    world.cloud.become(leader=True)

    await asyncio.wait_for(world.deployed.wait(), 10.0)

    assert world.tries == 3
    assert [each.levelname for each in caplog.records] == ["ERROR", "ERROR"]
    assert "functions stay as they are deployed" in caplog.text
    await world.deploying.close()


async def test_a_router_that_has_lost_the_lead_deploys_no_more(world: World) -> None:
    await world.deploying.start()
    later = world.deploying._later
    assert later is not None

    world.cloud.become(lost=True)
    await asyncio.wait_for(later, 10.0)

    assert world.tries == 0
    await world.deploying.close()


async def test_one_that_is_closed_while_it_follows_deploys_nothing(world: World) -> None:
    await world.deploying.start()

    await world.deploying.close()
    await world.deploying.close()
    world.cloud.become(leader=True)

    assert world.tries == 0
