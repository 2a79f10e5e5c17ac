"""What only real processes do: crash, fail to start, flood their output, and outlive their parent if nobody minds."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from contract.test_cloud_contract import ARTIFACT, OFFERINGS, WORKER, World

from mark.cloud.local import LocalCloud
from mark.domain.fleet import Instance, InstanceState
from mark.errors import CloudError
from mark.live.clock import SteadyClock


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[object]:
    clouds: list[LocalCloud] = []

    def make(script: str) -> World:
        file = tmp_path / f"worker{len(clouds)}.py"
        file.write_text(script, encoding="utf-8")
        cloud = LocalCloud(
            OFFERINGS, SteadyClock(), lambda artifact, offering, address: [sys.executable, str(file), address], 1.0
        )
        clouds.append(cloud)
        world = World(cloud, lambda: None)
        world.pass_time = lambda: setattr(world, "changes", cloud.wait_for_change(world.changes, 0.1))
        return world

    yield make
    for cloud in clouds:
        cloud.close()


def process_of(world: World, instance: Instance) -> psutil.Process:
    ready = world.wait_for(instance, InstanceState.READY)
    return next(child for child in psutil.Process().children() if ready.address in child.cmdline())


def test_a_killed_worker_is_gone_and_the_list_says_why(make_world) -> None:  # type: ignore[no-untyped-def]
    world: World = make_world(WORKER)
    launched = world.cloud.launch("small", ARTIFACT, "a")

    process_of(world, launched).kill()

    assert world.wait_for(launched, InstanceState.GONE).detail == "killed by SIGKILL"


def test_a_worker_that_does_not_start_tells_its_own_words(make_world) -> None:  # type: ignore[no-untyped-def]
    world: World = make_world("import sys; print('mark worker: no such weights', file=sys.stderr); sys.exit(2)")

    launched = world.cloud.launch("small", ARTIFACT, "a")

    assert world.wait_for(launched, InstanceState.GONE).detail == "exit status 2: no such weights"


def test_a_worker_that_floods_its_output_is_not_blocked(make_world) -> None:  # type: ignore[no-untyped-def]
    world: World = make_world("print('x' * 1000)\n" * 500 + WORKER)

    world.wait_for(world.cloud.launch("small", ARTIFACT, "a"), InstanceState.READY)


def test_a_worker_that_ignores_sigterm_is_killed(make_world) -> None:  # type: ignore[no-untyped-def]
    world: World = make_world("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WORKER + "input()\n")
    process = process_of(world, world.cloud.launch("small", ARTIFACT, "a"))

    world.cloud.close()

    assert not process.is_running()


def test_a_command_that_does_not_exist_is_a_cloud_error() -> None:
    cloud = LocalCloud(OFFERINGS, SteadyClock(), lambda artifact, offering, address: ["/nonexistent"])

    with pytest.raises(CloudError, match="does not start"):
        cloud.launch("small", ARTIFACT, "a")
    cloud.close()


def test_the_sockets_are_private_and_go_with_the_cloud(make_world) -> None:  # type: ignore[no-untyped-def]
    world: World = make_world(WORKER)
    ready = world.wait_for(world.cloud.launch("small", ARTIFACT, "a"), InstanceState.READY)
    assert ready.address is not None
    folder = Path(ready.address.removeprefix("unix:")).parent

    assert folder.stat().st_mode & 0o077 == 0
    assert len(os.fsencode(ready.address)) < 100
    world.cloud.close()
    assert not folder.exists()
