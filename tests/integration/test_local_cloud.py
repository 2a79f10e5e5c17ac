"""What only real processes do: crash, fail to start, flood their output, and outlive their parent if nobody minds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from contract.cloud_world import ARTIFACT, OFFERINGS, WORKER, World

from mark.cloud.local import LocalCloud
from mark.domain.fleet import Instance, InstanceState
from mark.domain.offering import Market, Offering
from mark.errors import CloudError
from mark.live.clock import SteadyClock

MakeWorld = Callable[..., World]

# Starts a process that inherits its output, and tells its number in a file beside the script.
PARENT = "import pathlib, subprocess\nchild = subprocess.Popen(['sleep', '60'])\n" + (
    "pathlib.Path(__file__).with_suffix('.child').write_text(str(child.pid))\n" + WORKER
)


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[MakeWorld]:
    clouds: list[LocalCloud] = []

    def make(script: str, offerings: tuple[Offering, ...] = OFFERINGS) -> World:
        file = tmp_path / f"worker{len(clouds)}.py"
        file.write_text(script, encoding="utf-8")
        cloud = LocalCloud(
            offerings, SteadyClock(), lambda artifact, offering, address: [sys.executable, str(file), address], 1.0
        )
        clouds.append(cloud)
        world = World(cloud, lambda: None)
        world.pass_time = lambda: setattr(world, "changes", cloud.wait_for_change(world.changes, 0.1))
        return world

    yield make
    for cloud in clouds:
        cloud.close()
    assert not [child for child in psutil.Process().children() if str(tmp_path) in " ".join(child.cmdline())]


def process_of(world: World, instance: Instance) -> psutil.Process:
    ready = world.wait_for(instance, InstanceState.READY)
    return next(child for child in psutil.Process().children() if ready.address in child.cmdline())


def folder_of(ready: Instance) -> Path:
    assert ready.address is not None
    return Path(ready.address.removeprefix("unix:")).parent


def has_ended(pid: int) -> bool:
    """Whether a process has ended; one that nobody reaps has ended too."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(holds: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_killed_worker_is_gone_within_a_second_and_the_list_says_why(make_world: MakeWorld) -> None:
    world = make_world(WORKER)
    launched = world.cloud.launch("small", ARTIFACT, "a")
    process = process_of(world, launched)

    killed_s = time.monotonic()
    process.kill()
    gone = world.wait_for(launched, InstanceState.GONE)

    assert time.monotonic() - killed_s < 1.0
    assert gone.detail == "killed by SIGKILL"
    assert gone.ended_at_ns is not None


def test_what_a_worker_started_neither_hides_its_crash_nor_outlives_it(make_world: MakeWorld, tmp_path: Path) -> None:
    world = make_world(PARENT)
    launched = world.cloud.launch("small", ARTIFACT, "a")

    process_of(world, launched).kill()

    world.wait_for(launched, InstanceState.GONE)
    wait_until(lambda: has_ended(int((tmp_path / "worker0.child").read_text(encoding="utf-8"))))


def test_a_worker_that_leaves_its_output_to_a_session_of_its_own_is_gone_all_the_same(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    world = make_world(PARENT.replace("['sleep', '60']", "['sleep', '60'], start_new_session=True"))
    launched = world.cloud.launch("small", ARTIFACT, "a")

    process_of(world, launched).kill()

    assert world.wait_for(launched, InstanceState.GONE).detail == "killed by SIGKILL"
    os.kill(int((tmp_path / "worker0.child").read_text(encoding="utf-8")), signal.SIGKILL)


@pytest.mark.parametrize(
    ("script", "detail"),
    [
        ("print('mark worker: no such weights', file=sys.stderr); sys.exit(2)", "exit status 2: no such weights"),
        ("sys.exit(3)", "exit status 3"),
        ("print('bad weights', flush=True); os.abort()", "killed by SIGABRT: bad weights"),
        ("os.kill(os.getpid(), 35)", "killed by signal 35"),
        # So much is still unread when it ends that whoever does not wait for the last words misses them.
        ("sys.stdout.write('x\\n' * 30_000 + 'bad weights'); sys.exit(4)", "exit status 4: bad weights"),
    ],
)
def test_a_worker_that_does_not_start_tells_how_it_ended_and_its_last_words(
    make_world: MakeWorld, script: str, detail: str
) -> None:
    world = make_world(f"import os, sys; {script}")

    launched = world.cloud.launch("small", ARTIFACT, "a")

    assert world.wait_for(launched, InstanceState.GONE).detail == detail


def test_a_worker_that_is_not_ready_at_first_is_asked_again(make_world: MakeWorld) -> None:
    script = WORKER.replace("bytes([8, 1])", "bytes([8, 1]) if next(asked) else b''")
    world = make_world("import itertools; asked = itertools.count()\n" + script)

    world.wait_for(world.cloud.launch("small", ARTIFACT, "a"), InstanceState.READY)


def test_a_worker_that_is_asked_and_never_says_yes_stays_pending(make_world: MakeWorld, tmp_path: Path) -> None:
    script = WORKER.replace("bytes([8, 1])", "open(__file__ + '.asked', 'a').write('.') and b''")
    world = make_world(script)
    launched = world.cloud.launch("small", ARTIFACT, "a")
    asked = tmp_path / "worker0.py.asked"

    wait_until(lambda: asked.exists() and asked.stat().st_size >= 3)

    assert world.see(launched).state is InstanceState.PENDING


def test_a_worker_that_floods_its_output_is_not_blocked(make_world: MakeWorld) -> None:
    world = make_world("import sys\nfor _ in range(500): print('x' * 1000, file=sys.stderr)\n" + WORKER)

    world.wait_for(world.cloud.launch("small", ARTIFACT, "a"), InstanceState.READY)


def test_a_line_without_an_end_is_read_but_not_kept(make_world: MakeWorld) -> None:
    world = make_world("import sys\nfor _ in range(20): sys.stdout.write('x' * 1_000_000)\nsys.exit(3)")

    gone = world.wait_for(world.cloud.launch("small", ARTIFACT, "a"), InstanceState.GONE)

    assert gone.detail.startswith("exit status 3: xxx")
    assert len(gone.detail) < 5000


def test_a_worker_that_ignores_sigterm_is_killed(make_world: MakeWorld) -> None:
    world = make_world("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WORKER + "input()\n")
    process = process_of(world, world.cloud.launch("small", ARTIFACT, "a"))

    world.cloud.close()

    assert has_ended(process.pid)


def test_a_terminated_worker_is_asked_before_it_is_killed(make_world: MakeWorld, tmp_path: Path) -> None:
    drain = "lambda *_: (pathlib.Path(__file__).with_suffix('.drained').touch(), sys.exit(0))"
    world = make_world(f"import pathlib, signal, sys; signal.signal(signal.SIGTERM, {drain})\n" + WORKER)
    launched = world.cloud.launch("small", ARTIFACT, "a")
    process = process_of(world, launched)

    world.cloud.terminate(launched.id)

    wait_until(lambda: has_ended(process.pid))
    assert (tmp_path / "worker0.drained").exists()


def test_terminating_does_not_wait_for_the_worker_to_end(make_world: MakeWorld) -> None:
    world = make_world("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WORKER + "input()\n")
    launched = world.cloud.launch("small", ARTIFACT, "a")
    process = process_of(world, launched)

    world.cloud.terminate(launched.id)

    assert world.see(launched).state is InstanceState.GONE
    assert not has_ended(process.pid)
    wait_until(lambda: has_ended(process.pid))  # after its grace


def test_a_crash_is_noticed_where_sigchld_is_ignored(make_world: MakeWorld) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        world = make_world(WORKER)
        launched = world.cloud.launch("small", ARTIFACT, "a")
        process_of(world, launched).kill()
        world.wait_for(launched, InstanceState.GONE)
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_killed_owner_leaves_no_worker(tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(WORKER, encoding="utf-8")
    owner_script = textwrap.dedent(
        f"""
        import sys, time
        from contract.cloud_world import ARTIFACT, OFFERINGS
        from mark.cloud.local import LocalCloud
        from mark.live.clock import SteadyClock
        cloud = LocalCloud(OFFERINGS, SteadyClock(), lambda *given: [sys.executable, {str(script)!r}, given[2]])
        cloud.launch("small", ARTIFACT, "a")
        cloud.launch("small", ARTIFACT, "b")
        changes = 0
        while not all(instance.address for instance in cloud.list_instances()):
            changes = cloud.wait_for_change(changes, 1.0)
        print("ready", flush=True)
        sys.stdin.read()
        """
    )
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]))
    with tempfile.TemporaryDirectory() as sockets, subprocess.Popen(
        [sys.executable, "-c", owner_script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": path, "TMPDIR": sockets},
    ) as owner:  # fmt: skip
        assert owner.stdout is not None
        assert owner.stdout.readline() == "ready\n"
        workers = [child.pid for child in psutil.Process(owner.pid).children()]
        owner.kill()

    assert len(workers) == 2
    wait_until(lambda: all(has_ended(worker) for worker in workers))


def test_a_command_that_does_not_exist_is_a_cloud_error_and_uses_no_quota() -> None:
    commands = iter([["/nonexistent"], ["/nonexistent"], ["/nonexistent"]])
    cloud = LocalCloud(OFFERINGS, SteadyClock(), lambda artifact, offering, address: next(commands))

    for token in "abc":
        with pytest.raises(CloudError, match="offering small: the worker process does not start"):
            cloud.launch("small", ARTIFACT, token)
    assert cloud.list_instances() == ()
    cloud.close()


def test_the_sockets_are_private_and_go_with_the_cloud(make_world: MakeWorld) -> None:
    world = make_world(WORKER)
    ready = world.wait_for(world.cloud.launch("small", ARTIFACT, "a"), InstanceState.READY)
    folder = folder_of(ready)

    assert folder.stat().st_mode & 0o077 == 0
    world.cloud.close()
    assert not folder.exists()


def test_an_offering_may_have_any_name(make_world: MakeWorld) -> None:
    world = make_world(WORKER, (Offering("eu/" + "x" * 200, Market.SPOT, 1.0, boot_s=0.0, max_count=1),))

    world.wait_for(world.cloud.launch(world.cloud.offerings()[0].name, ARTIFACT, "a"), InstanceState.READY)
