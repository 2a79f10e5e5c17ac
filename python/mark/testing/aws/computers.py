"""The insides of instances: processes of this machine, each with a folder of its own as its disk."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from mark.testing.aws.cloud_init import Unit, write_files
from mark.testing.aws.guard import Guard
from mark.testing.aws.identities import role_of_profile
from mark.testing.aws.machine import Machine
from mark.testing.aws.params import FakeAwsParams

__all__ = ["INSTANCE_KEY", "Computers", "process_environment", "role_key"]

_LOGGER = logging.getLogger(__name__)

INSTANCE_KEY = "AKIAFAKEINSTANCE"
"""What the access keys of the processes of instances and functions begin with."""


def role_key(role: str) -> str:
    """The access key of a process that has a role: its name or ARN; empty for none."""
    return f"{INSTANCE_KEY}.{role.rpartition('/')[2]}" if role else INSTANCE_KEY


def process_environment(params: FakeAwsParams, endpoint_url: str, role: str) -> dict[str, str]:
    """The environment of a process that talks to the fake as if it ran on AWS; `role` as of `role_key`."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    return inherited | {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_REGION": params.region,
        "AWS_DEFAULT_REGION": params.region,
        "AWS_ACCESS_KEY_ID": role_key(role),
        "AWS_SECRET_ACCESS_KEY": "fake",
        "AWS_EC2_METADATA_DISABLED": "false",
        **params.environment,
    }


class Computers:
    """Implements `mark.testing.aws.machines.Computer` with processes.

    Thread safety: every method may be called from any thread.

    Invariants: `_running` holds exactly the processes that were started and not yet seen to end; touched with `_lock`.
    """

    def __init__(self, params: FakeAwsParams, endpoint_url: str, guard: Guard) -> None:
        self._params = params
        self._endpoint_url = endpoint_url
        self._guard = guard
        self._lock = threading.Lock()
        self._disks = Path(tempfile.mkdtemp(prefix="mark-fake-aws-"))
        guard.keep(str(self._disks))
        self._units: dict[str, Unit | None] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, machine: Machine, ended: Callable[[], None]) -> None:
        """Boot: the first time by the user data, later from what they left on the disk."""
        if not self._params.boots:
            return
        root = self._disks / machine.id
        if machine.id not in self._units:
            root.mkdir()
            try:
                self._units[machine.id] = write_files(machine.spec.settings.get("UserData") or "", root)
            except ValueError as error:
                # As on EC2: the instance runs, and its console says why nothing else does.
                self._units[machine.id] = None
                self._log(root, f"cloud-init: {error}\n")
        unit = self._units[machine.id]
        if unit is None:
            return
        role = role_of_profile(machine.spec.settings.get("IamInstanceProfile") or {})
        environment = process_environment(self._params, self._endpoint_url, role) | dict(unit.environment)
        environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = f"{self._endpoint_url}/imds/{machine.id}"
        self._spawn(machine.id, unit, environment, ended)

    def shut_down(self, machine_id: str) -> None:
        """SIGTERM to every process of an instance, as systemd sends it: once."""
        self._signal(machine_id, signal.SIGTERM)

    def is_off(self, machine_id: str, kill: bool) -> bool:
        """Whether none runs any more; SIGKILL to those that do, if told to."""
        with self._lock:
            if machine_id not in self._running:
                return True
        if kill:
            self._signal(machine_id, signal.SIGKILL)
        return False

    def forget(self, machine_id: str) -> None:
        """Remove the disk; the console stays."""
        for path in (self._disks / machine_id).glob("*"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)

    def console(self, machine_id: str) -> str:
        """What the processes of an instance printed."""
        path = self._disks / machine_id / "console.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def root(self, machine_id: str) -> Path:
        """The folder that is an instance's disk."""
        return self._disks / machine_id

    def processes(self) -> dict[str, int]:
        """Instance -> its process, for those that run one."""
        with self._lock:
            return {name: process.pid for name, process in self._running.items()}

    def close(self) -> None:
        """Kill what runs, and remove every disk."""
        with self._lock:
            running = list(self._running.values())
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in running:
            process.wait()
        shutil.rmtree(self._disks, ignore_errors=True)

    def _spawn(self, name: str, unit: Unit, environment: Mapping[str, str], ended: Callable[[], None]) -> None:
        root = self._disks / name
        (root / "tmp").mkdir(exist_ok=True)
        program = self._params.program or (sys.executable, "-m", "mark")
        with (root / "console.log").open("ab") as console:
            process = subprocess.Popen(  # noqa: S603 - what the user data name is what an instance is for
                [*program, *unit.command[1:]],
                cwd=root,
                env={**environment, "TMPDIR": str(root / "tmp")},
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._guard.watch(process.pid)
        with self._lock:
            self._running[name] = process
        threading.Thread(target=self._wait, args=(name, process, ended), name=f"fake-{name}", daemon=True).start()

    def _wait(self, name: str, process: subprocess.Popen[bytes], ended: Callable[[], None]) -> None:
        status = process.wait()
        # What it left behind of its session ends with it, as on a machine that powers off.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        self._guard.release(process.pid)
        with self._lock:
            if self._running.get(name) is process:
                del self._running[name]
        self._log(self._disks / name, f"systemd: main process exited, status {status}\n")
        ended()

    def _signal(self, machine_id: str, number: signal.Signals) -> None:
        with self._lock:
            process = self._running.get(machine_id)
            # With the lock held: `_wait` has not yet removed it, so that the number is not another's by now.
            if process is not None and process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)

    def _log(self, root: Path, line: str) -> None:
        with contextlib.suppress(FileNotFoundError), (root / "console.log").open("a", encoding="utf-8") as console:
            console.write(line)
