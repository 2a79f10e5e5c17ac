"""Machines that a local cloud keeps stopped: real processes, loaded ahead, and nothing of them is left."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from contract.cloud_world import ARTIFACT, WORKER
from integration.router_process import CONFIG, RouterProcess, assert_nothing_left

from mark.cloud.local import LocalCloud
from mark.domain.fleet import Instance, InstanceState
from mark.domain.offering import Market, Offering
from mark.errors import QuotaExceeded
from mark.live.clock import SteadyClock

KEPT = Offering("kept", Market.BURSTABLE, 1.0, boot_s=0.1, max_count=3, stopped=2)
BROKEN = "import sys; sys.exit('no such weights')"
LOADS_FOR_EVER = "import sys; sys.stdin.read()"
TRIES = 5


class World:
    """A cloud whose workers are real, and what it started."""

    def __init__(self, folder: Path, offering: Offering, worker: str) -> None:
        self.script = folder / "worker.py"
        self.script.write_text(worker, encoding="utf-8")
        self.started = 0
        self.cloud = LocalCloud([offering], SteadyClock(), self.command, grace_s=1.0)

    def command(self, artifact: object, offering: object, address: str) -> list[str]:
        self.started += 1
        return [sys.executable, str(self.script), address]

    def processes(self) -> list[psutil.Process]:
        return [child for child in psutil.Process().children() if self._is_ours(child)]

    def _is_ours(self, child: psutil.Process) -> bool:
        try:
            return str(self.script) in child.cmdline()
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            return False  # it has ended, of this test or of another

    def see(self, instance: Instance) -> Instance:
        return next(known for known in self.cloud.list_instances() if known.id == instance.id)

    def wait_for(self, holds: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + 20.0
        changes = 0
        while not holds():
            assert time.monotonic() < deadline_s
            changes = self.cloud.wait_for_change(changes, 0.02)

    def ready(self, instance: Instance) -> Instance:
        """It, once it is."""
        self.wait_for(lambda: self.see(instance).state is InstanceState.READY)
        return self.see(instance)

    def loaded(self) -> int:
        return sum(machine.loaded for machine in self.cloud._stopped._machines)


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(offering: Offering = KEPT, worker: str = WORKER) -> World:
        made.append(World(tmp_path, offering, worker))
        return made[-1]

    yield make
    for world in made:
        world.cloud.close()
        assert world.processes() == []


def test_what_is_kept_stopped_is_no_instance_until_it_is_launched_and_then_starts_within_its_boot_time(
    make_world: Callable[..., World],
) -> None:
    world = make_world()
    world.cloud.prepare(ARTIFACT)
    world.wait_for(lambda: world.loaded() == 2)
    assert world.cloud.list_instances() == ()

    took_ns: list[int] = []
    while len(took_ns) < TRIES and (not took_ns or min(took_ns) >= 0.6e9):  # the machine may be busy with other things
        launched = world.cloud.launch("kept", ARTIFACT, f"{len(took_ns)}")
        ready = world.ready(launched)
        assert world.started == 2 + len(took_ns)  # none was started for it
        assert ready.ready_at_ns is not None
        took_ns.append(ready.ready_at_ns - ready.launched_at_ns)
        world.cloud.terminate(launched.id)
        world.wait_for(lambda: world.loaded() == 2)

    assert 0.1e9 <= min(took_ns) < 0.6e9


def test_what_is_given_back_is_made_ready_again(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.cloud.prepare(ARTIFACT)
    world.wait_for(lambda: world.loaded() == 2)
    launched = world.cloud.launch("kept", ARTIFACT, "a")
    assert world.loaded() == 1

    world.cloud.terminate(launched.id)

    world.wait_for(lambda: world.loaded() == 2)
    assert world.started == 3
    assert world.see(launched).detail == "terminated"


def test_more_than_are_kept_are_started_as_ever_and_the_quota_holds(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.cloud.prepare(ARTIFACT)
    world.wait_for(lambda: world.loaded() == 2)

    launched = [world.cloud.launch("kept", ARTIFACT, f"{number}") for number in range(3)]
    with pytest.raises(QuotaExceeded):
        world.cloud.launch("kept", ARTIFACT, "3")

    world.wait_for(lambda: all(world.see(each).state is InstanceState.READY for each in launched))
    assert world.started == 3
    assert len({each.address for each in world.cloud.list_instances()}) == 3


def test_one_that_dies_while_it_is_stopped_is_replaced(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.cloud.prepare(ARTIFACT)
    world.wait_for(lambda: world.loaded() == 2)

    victim = world.processes()[0]
    victim.kill()

    world.wait_for(lambda: world.started == 3 and world.loaded() == 2)
    assert victim.pid not in {process.pid for process in world.processes()}


def test_one_that_was_rented_and_crashes_is_gone_and_says_why(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.cloud.prepare(ARTIFACT)
    world.wait_for(lambda: world.loaded() == 2)
    launched = world.cloud.launch("kept", ARTIFACT, "a")
    idle = {process.pid for process in world.processes()}

    for process in world.processes():
        process.kill()

    world.wait_for(lambda: world.see(launched).state is InstanceState.GONE)
    assert world.see(launched).detail == "killed by SIGKILL"
    world.wait_for(lambda: world.loaded() == 2)
    assert not idle & {process.pid for process in world.processes()}


def test_one_that_never_loads_is_not_tried_for_ever(
    make_world: Callable[..., World], caplog: pytest.LogCaptureFixture
) -> None:
    world = make_world(worker=BROKEN)

    world.cloud.prepare(ARTIFACT)

    world.wait_for(lambda: caplog.text.count("a stopped kept has ended: exit status 1: no such weights") == 2)
    assert world.started == 2


def test_a_cloud_that_is_closed_while_one_loads_leaves_nothing(make_world: Callable[..., World]) -> None:
    world = make_world(worker=LOADS_FOR_EVER)
    world.cloud.prepare(ARTIFACT)

    world.cloud.close()
    world.cloud.prepare(ARTIFACT)

    assert world.processes() == []
    assert world.started == 1


ROUTER = CONFIG.replace(
    "models:",
    "  - {name: kept, market: burstable, price_usd_per_hour: 1, max_count: 2, standby: true, stopped: 2}\nmodels:",
).replace("small: [[1, 4.0], [8, 8.0]]", "small: &p [[1, 4.0], [8, 8.0]], kept: *p")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_router_leaves_none_of_them_behind_however_it_ends(
    make_router: Callable[..., RouterProcess], signum: signal.Signals
) -> None:
    router = make_router(ROUTER)
    deadline_s = time.monotonic() + 20.0
    while len(workers := router.workers) < 4:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)

    router.stop(signum)

    assert_nothing_left(workers)
