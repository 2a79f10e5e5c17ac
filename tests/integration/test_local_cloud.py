"""What only real processes do: crash, fail to start, flood their output, and outlive their parent if nobody minds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
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


# What a process that owns a cloud begins with.
OWNER = """
import sys
from dataclasses import replace
import psutil
from contract.cloud_world import ARTIFACT, OFFERINGS
from mark.cloud.local import LocalCloud
from mark.domain.artifact import artifact_to_json
from mark.live.clock import SteadyClock

def wait_until(holds):
    changes = 0
    while not holds():
        changes = cloud.wait_for_change(changes, 1.0)
"""


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[MakeWorld]:
    clouds: list[LocalCloud] = []

    def make(
        script: str, offerings: tuple[Offering, ...] = OFFERINGS, boot_max_s: float = 60.0, grace_s: float = 1.0
    ) -> World:
        file = tmp_path / f"worker{len(clouds)}.py"
        file.write_text(script, encoding="utf-8")
        cloud = LocalCloud(
            offerings, SteadyClock(), lambda artifact, offering, address: [sys.executable, str(file), address],
            grace_s, boot_max_s,
        )  # fmt: skip
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


def wait_until(holds: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_killed_worker_is_gone_within_a_second_and_the_list_says_why(make_world: MakeWorld) -> None:
    world = make_world(WORKER)
    took_s = []
    for token in "abc":  # the machine may be busy with something else once
        launched = world.cloud.launch("small", ARTIFACT, token)
        process = process_of(world, launched)

        killed_s = time.monotonic()
        process.kill()
        gone = world.wait_for(launched, InstanceState.GONE)

        took_s.append(time.monotonic() - killed_s)
        assert gone.detail == "killed by SIGKILL"
        assert gone.ended_at_ns is not None
        if took_s[-1] < 1.0:
            break
    assert min(took_s) < 1.0


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


@pytest.mark.parametrize(
    "script",
    ["import sys; sys.stdin.read()", WORKER.replace("bytes([8, 1])", "b''")],
    ids=["never says that it serves", "never says yes"],
)
def test_a_worker_whose_boot_does_not_end_is_ended(make_world: MakeWorld, script: str) -> None:
    world = make_world(script, boot_max_s=0.2)

    launched = world.cloud.launch("small", ARTIFACT, "a")
    gone = world.wait_for(launched, InstanceState.GONE)

    assert gone.detail.startswith("not ready 0.2 s after its boot time")
    wait_until(lambda: not psutil.Process().children())


def test_a_worker_whose_boot_does_not_end_tells_its_last_words(make_world: MakeWorld) -> None:
    world = make_world("import sys; print('loading', flush=True); sys.stdin.read()", boot_max_s=3.0)

    gone = world.wait_for(world.cloud.launch("small", ARTIFACT, "a"), InstanceState.GONE)

    assert gone.detail == "not ready 3 s after its boot time: loading"


def test_a_worker_that_ends_before_it_is_late_tells_how_it_ended(make_world: MakeWorld) -> None:
    world = make_world("import sys; sys.exit(3)", boot_max_s=20.0)

    gone = world.wait_for(world.cloud.launch("small", ARTIFACT, "a"), InstanceState.GONE)

    assert gone.detail == "exit status 3"


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
    script = f"import pathlib, signal, sys; signal.signal(signal.SIGTERM, {drain})\n" + WORKER
    world = make_world(script, grace_s=30.0)
    launched = world.cloud.launch("small", ARTIFACT, "a")
    process = process_of(world, launched)

    world.cloud.terminate(launched.id)

    wait_until(lambda: has_ended(process.pid))
    assert (tmp_path / "worker0.drained").exists()


def test_terminating_does_not_wait_for_the_worker_to_end(make_world: MakeWorld) -> None:
    script = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WORKER + "input()\n"
    world = make_world(script, grace_s=3.0)  # in which this test looks
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


@pytest.fixture
def start_owner(tmp_path: Path, sockets: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts a process that does what a script says with a cloud of its own, and then waits to be killed."""
    started: list[subprocess.Popen[str]] = []

    def start(script: str) -> subprocess.Popen[str]:
        parts = [str(tmp_path), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        owner = subprocess.Popen(
            [sys.executable, "-c", f"{OWNER}{textwrap.dedent(script)}\nprint('ready', flush=True); sys.stdin.read()"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, parts)), "TMPDIR": str(sockets)},
        )  # fmt: skip
        started.append(owner)
        assert owner.stdout is not None
        assert owner.stdout.readline() == "ready\n"
        return owner

    yield start
    for owner in started:
        owner.kill()
        owner.communicate()


@pytest.fixture
def sockets(tmp_path: Path) -> Path:
    """Where an owner's cloud makes its folder."""
    folder = tmp_path / "sockets"
    folder.mkdir()
    return folder


def test_a_killed_owner_leaves_no_worker(start_owner: Callable[[str], subprocess.Popen[str]], tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text(WORKER, encoding="utf-8")
    owner = start_owner(
        f"""
        command = [sys.executable, {str(tmp_path / "worker.py")!r}]
        cloud = LocalCloud(OFFERINGS, SteadyClock(), lambda artifact, offering, address: [*command, address])
        cloud.launch("small", ARTIFACT, "a")
        cloud.launch("small", ARTIFACT, "b")
        wait_until(lambda: all(instance.address for instance in cloud.list_instances()))
        """
    )
    workers = [child.pid for child in psutil.Process(owner.pid).children()]

    owner.kill()

    assert len(workers) == 2
    wait_until(lambda: all(has_ended(worker) for worker in workers))


def test_an_owner_that_is_killed_while_a_worker_serves_and_one_loads_leaves_nothing(
    start_owner: Callable[[str], subprocess.Popen[str]], tmp_path: Path, sockets: Path
) -> None:
    (tmp_path / "models.py").write_text(
        "import threading\ndef serves(): return dict\ndef loads(): threading.Event().wait()", encoding="utf-8"
    )
    owner = start_owner(
        """
        command = [sys.executable, "-m", "mark.worker", "--exit-with-parent", "--artifact"]
        def command_of(artifact, offering, address):
            return [*command, artifact_to_json(artifact), "--address", address]

        cloud = LocalCloud(OFFERINGS, SteadyClock(), command_of)
        cloud.launch("small", replace(ARTIFACT, source="models:serves"), "a")
        cloud.launch("small", replace(ARTIFACT, source="models:serves"), "b")
        wait_until(lambda: all(instance.address for instance in cloud.list_instances()))
        # One that was killed before leaves no socket that keeps the folder.
        psutil.Process().children()[0].kill()
        wait_until(lambda: any(instance.detail for instance in cloud.list_instances()))
        cloud.launch("slow", replace(ARTIFACT, source="models:loads"), "c")
        """
    )
    workers = [child.pid for child in psutil.Process(owner.pid).children()]

    owner.kill()

    assert len(workers) == 2
    wait_until(lambda: all(has_ended(worker) for worker in workers))
    assert list(sockets.iterdir()) == []


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


def test_the_socket_of_a_killed_worker_goes_with_it_and_the_folder_with_the_last(make_world: MakeWorld) -> None:
    world = make_world(WORKER)
    first, second = (world.cloud.launch("small", ARTIFACT, token) for token in "ab")
    killed, other = process_of(world, first), process_of(world, second)
    folder = folder_of(world.see(first))

    killed.kill()
    world.wait_for(first, InstanceState.GONE)
    assert [f"unix:{socket}" for socket in folder.iterdir()] == [world.see(second).address]

    other.kill()
    world.wait_for(second, InstanceState.GONE)
    assert not folder.exists()


def test_a_cloud_that_every_worker_has_left_starts_more(make_world: MakeWorld) -> None:
    world = make_world(WORKER)
    first = world.cloud.launch("small", ARTIFACT, "a")
    process_of(world, first).kill()
    world.wait_for(first, InstanceState.GONE)

    world.wait_for(world.cloud.launch("small", ARTIFACT, "b"), InstanceState.READY)


def test_an_offering_may_have_any_name(make_world: MakeWorld) -> None:
    world = make_world(WORKER, (Offering("eu/" + "x" * 200, Market.SPOT, 1.0, boot_s=0.0, max_count=1),))

    world.wait_for(world.cloud.launch(world.cloud.offerings()[0].name, ARTIFACT, "a"), InstanceState.READY)
