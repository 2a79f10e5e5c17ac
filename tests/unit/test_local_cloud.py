"""The bookkeeping of the local cloud, with processes that only wait for the end of their input."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from contract.cloud_world import ARTIFACT, OFFERINGS

from mark.cloud.local import LocalCloud
from mark.cloud.spot_market import SpotMarket, SpotMarketParams
from mark.domain.artifact import ModelArtifact
from mark.domain.offering import Market, Offering
from mark.errors import CloudError, InsufficientCapacity, QuotaExceeded
from mark.live.clock import SteadyClock
from mark.ports import Clock
from mark.testing import ManualClock

Launched = tuple[ModelArtifact, Offering, str]


class World:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.commands: list[Launched] = []
        self.cloud = LocalCloud(OFFERINGS, self.clock, self.command, grace_s=1.0)

    def command(self, artifact: ModelArtifact, offering: Offering, address: str) -> list[str]:
        self.commands.append((artifact, offering, address))
        return ["cat"]


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.cloud.close()


def test_the_command_is_made_for_the_model_the_offering_and_an_address_of_its_own(world: World) -> None:
    world.cloud.launch("small", ARTIFACT, "a")
    world.cloud.launch("slow", ARTIFACT, "b")

    assert [(artifact, offering) for artifact, offering, _ in world.commands] == [
        (ARTIFACT, OFFERINGS[0]),
        (ARTIFACT, OFFERINGS[1]),
    ]
    addresses = [address for _, _, address in world.commands]
    assert all(address.startswith("unix:/") for address in addresses)
    assert len(set(addresses)) == 2


def test_one_token_buys_once_from_many_threads(world: World) -> None:
    gate = threading.Barrier(8)

    def launch(_: int) -> str:
        gate.wait(10)
        return world.cloud.launch("small", ARTIFACT, "a").id

    with ThreadPoolExecutor(8) as pool:
        bought = set(pool.map(launch, range(8)))

    assert len(bought) == len(world.commands) == 1


def test_the_quota_holds_against_many_threads(world: World) -> None:
    gate = threading.Barrier(8)

    def launch(number: int) -> bool:
        gate.wait(10)
        try:
            world.cloud.launch("small", ARTIFACT, f"{number}")
        except QuotaExceeded:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(launch, range(8))) == OFFERINGS[0].max_count
    assert len(world.commands) == OFFERINGS[0].max_count


def test_the_bill_runs_by_the_clock_from_launch_to_termination(world: World) -> None:
    world.clock.advance_s(3.0)
    launched = world.cloud.launch("small", ARTIFACT, "a")
    world.clock.advance_s(4.0)

    world.cloud.terminate(launched.id)
    world.clock.advance_s(5.0)

    (gone,) = world.cloud.list_instances()
    assert (gone.launched_at_ns, gone.ended_at_ns, gone.detail) == (3_000_000_000, 7_000_000_000, "terminated")


def test_an_exit_after_termination_changes_nothing(world: World) -> None:
    launched = world.cloud.launch("small", ARTIFACT, "a")
    world.cloud.terminate(launched.id)
    before = world.cloud.list_instances()
    world.clock.advance_s(1.0)

    world.cloud.close()  # returns when the process has ended

    assert world.cloud.list_instances() == before


def test_waiting_ends_at_once_for_what_was_missed_and_in_time_for_nothing(world: World) -> None:
    before = world.cloud.wait_for_change(-1, 10.0)
    world.cloud.launch("small", ARTIFACT, "a")

    assert world.cloud.wait_for_change(before, 10.0) == before + 1
    assert world.cloud.wait_for_change(before + 1, 0.01) == before + 1


def test_closing_wakes_whoever_waits(world: World) -> None:
    seen = world.cloud.wait_for_change(-1, 0.0)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(world.cloud.wait_for_change, seen, 60.0)
        world.cloud.close()

        assert waiting.result(10) > seen


def test_a_socket_path_that_is_too_long_is_refused_with_the_remedy(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))

    with pytest.raises(CloudError, match="at most 107 bytes; set TMPDIR to a shorter one"):
        world.cloud.launch("small", ARTIFACT, "a")
    assert world.cloud.list_instances() == ()
    world.cloud.close()
    assert list(folder.iterdir()) == []


def test_a_folder_for_sockets_that_cannot_be_made_is_a_cloud_error(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))

    with pytest.raises(CloudError, match="offering small: the worker process does not start"):
        world.cloud.launch("small", ARTIFACT, "a")


def test_a_cloud_that_never_launched_closes(world: World) -> None:
    world.cloud.close()

    assert world.cloud.list_instances() == ()
    assert tuple(world.cloud.offerings()) == OFFERINGS


SPOT = Offering("spot", Market.SPOT, price_usd_per_hour=1.0, boot_s=0.0, max_count=4)


@pytest.fixture
def make_spot_cloud() -> Iterator[Callable[..., LocalCloud]]:
    made: list[LocalCloud] = []

    def make(per_hour: float = 0.0, clock: Clock | None = None, **params: float) -> LocalCloud:
        clock, offering = clock or SteadyClock(), replace(SPOT, interruptions_per_hour=per_hour)
        market = SpotMarket.drawn([offering], SpotMarketParams(**params), seed=1, began_ns=clock.now_ns())
        made.append(LocalCloud([offering], clock, lambda artifact, offering, address: ["cat"], spot=market))
        return made[-1]

    yield make
    for cloud in made:
        cloud.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "mark-spot"]


def until(cloud: LocalCloud, holds: Callable[[], bool]) -> None:
    changes = 0
    for _ in range(100):
        if holds():
            return
        changes = cloud.wait_for_change(changes, 0.1)
    raise AssertionError("it never held")


def test_spot_instances_are_taken_away_by_themselves_as_often_as_their_offering_says(
    make_spot_cloud: Callable[..., LocalCloud],
) -> None:
    cloud = make_spot_cloud(per_hour=36_000.0, notice_s=0.05, sold_out_after_s=0.0)
    for number in range(4):
        cloud.launch("spot", ARTIFACT, f"{number}")

    until(cloud, lambda: all(each.detail == "taken away by the cloud" for each in cloud.list_instances()))

    for instance in cloud.list_instances():
        assert instance.taken_at_ns is not None
        assert instance.ended_at_ns is not None
        assert instance.ended_at_ns >= instance.taken_at_ns >= instance.launched_at_ns + 0.05e9


def test_what_was_interrupted_is_sold_out_for_a_while(make_spot_cloud: Callable[..., LocalCloud]) -> None:
    clock = ManualClock()
    cloud = make_spot_cloud(clock=clock, sold_out_after_s=100.0)
    cloud.launch("spot", ARTIFACT, "a")
    cloud.interrupt_spot(1.0, notice_s=0.0)
    with pytest.raises(InsufficientCapacity, match="offering spot: sold out since its pool was interrupted"):
        cloud.launch("spot", ARTIFACT, "b")

    clock.advance_s(150.0)  # half as long again as on average, at the most

    assert cloud.launch("spot", ARTIFACT, "c").offering == "spot"


def test_a_cloud_that_is_closed_under_notice_leaves_nothing(make_spot_cloud: Callable[..., LocalCloud]) -> None:
    cloud = make_spot_cloud()
    cloud.launch("spot", ARTIFACT, "a")
    cloud.interrupt_spot(1.0, notice_s=1e6)

    cloud.close()

    assert [instance.detail for instance in cloud.list_instances()] == ["terminated"]


def test_what_is_hardly_ever_taken_is_waited_for_all_the_same(make_spot_cloud: Callable[..., LocalCloud]) -> None:
    cloud = make_spot_cloud(per_hour=1e-12)  # in some millions of years, which no lock waits for
    cloud.launch("spot", ARTIFACT, "a")

    (noticed,) = cloud.interrupt_spot(1.0, notice_s=0.0)

    until(cloud, lambda: cloud.list_instances()[0].detail == "taken away by the cloud")
    assert noticed.taken_at_ns is not None
