"""The agent of an EC2 instance: makes ready what its worker needs, runs it, and tells what EC2 says of the instance."""

from __future__ import annotations

import importlib.util
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TypeVar

from mark.cloud.aws.agent_settings import AgentSettings
from mark.cloud.aws.certificates import WorkerCertificates
from mark.cloud.aws.instance_metadata import InstanceMetadata
from mark.cloud.aws.models import ModelStore
from mark.cloud.aws.own_notices import OwnNotices
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsSettings
from mark.domain.artifact import ModelArtifact, artifact_to_json
from mark.errors import CloudError

__all__ = ["AgentFolders", "AgentRhythm", "run_agent"]

_log = logging.getLogger(__name__)

_ENDING_S = 5.0  # beyond the worker's grace, which it keeps itself
_TOLD_TO_END = "told to end"

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class AgentFolders:
    """Where an agent writes.

    Attributes:
        private: certificates and keys; gone with the machine's power.
        kept: models, for the next boot.
    """

    private: Path
    kept: Path

    @classmethod
    def beside(cls, file: Path, environment: Mapping[str, str]) -> AgentFolders:
        """Those that systemd made for the unit, or else beside the file of settings."""
        return cls(
            Path(environment.get("RUNTIME_DIRECTORY") or file.parent / "run"),
            Path(environment.get("STATE_DIRECTORY") or file.parent / "kept"),
        )


@dataclass(frozen=True, slots=True)
class AgentRhythm:
    """How often an agent looks, in seconds.

    Attributes:
        notices_s: EC2 recommends five seconds or less: a notice is two minutes long.
        certificates_s: at most a small part of the day for which a next authority is known before it issues.
        boot_pauses_s: between the tries of what a boot needs: rights and network may come a little later.
    """

    notices_s: float = 2.0
    certificates_s: float = 300.0
    boot_pauses_s: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)


def run_agent(settings: AgentSettings, folders: AgentFolders, rhythm: AgentRhythm = AgentRhythm()) -> int:
    """Fetch certificates and model, run the worker, watch for notices; return when the worker has ended.

    Belongs to the main thread: SIGTERM and SIGINT drain the worker.

    Returns:
        0 when it was told to end; else the status that the worker ended with by itself, 1 in place of 0.

    Raises:
        CloudError: something that the worker needs cannot be had; the message says what to mend.
    """
    cluster = AwsSettings(settings.cluster, settings.region)
    session = AwsSession(cluster)
    metadata = InstanceMetadata()
    tls = folders.private / "tls"
    for folder in (tls, folders.kept):
        _make(folder)
    address = f"{_patiently(lambda: metadata.need('local-ipv4'), rhythm)}:{settings.port}"
    bucket = (lambda: session.client("s3"), lambda: settings.bucket)
    certificates = WorkerCertificates(*bucket, tls)
    _patiently(certificates.refresh, rhythm)
    models = ModelStore(*bucket)
    artifact = _patiently(lambda: models.download(settings.artifact, folders.kept), rhythm)

    notices = OwnNotices(
        InstanceMetadata(), session.client("sqs"), AwsSettings(settings.cluster, settings.region).queue
    )
    ended = threading.Event()
    events: queue.SimpleQueue[int | str] = queue.SimpleQueue()

    def tell(_: int, __: FrameType | None) -> None:
        events.put(_TOLD_TO_END)

    before = {number: signal.signal(number, tell) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        worker = _Worker(_command(settings, artifact, address, tls), events)
        _log.info("worker of model %s started at %s", artifact.signature.name, address)
        _repeatedly(notices.poll, rhythm.notices_s, ended)
        _repeatedly(certificates.refresh, rhythm.certificates_s, ended)
        return _supervise(worker, events, settings.grace_s + _ENDING_S)
    finally:
        ended.set()
        for number, handler in before.items():
            signal.signal(number, handler)


def _supervise(worker: _Worker, events: queue.SimpleQueue[int | str], ending_s: float) -> int:
    """Wait until the worker has ended, by itself or as told."""
    try:
        event = events.get()
        if event == _TOLD_TO_END:
            _log.info("told to end: the worker finishes what it has accepted")
            worker.drain(ending_s)
            return 0
        _log.error("the worker has ended by itself, with status %s", event)
        return int(event) or 1
    finally:
        worker.kill()


class _Worker:
    """The worker process. It ends when this process does, however it ends: its stdin tells it.

    Thread safety: `drain` and `kill` belong to one thread.

    Invariants: its group is signalled only before it is reaped, when its number cannot be another's yet.
    """

    def __init__(self, command: list[str], events: queue.SimpleQueue[int | str]) -> None:
        # A session of its own: a signal to the agent's group is the agent's to pass on, and what a model starts ends
        # with the worker.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603 - ours
        self._events = events
        self._lock = threading.Lock()
        self._reaped = False
        self._gone = threading.Event()
        threading.Thread(target=self._wait, name="mark-agent-worker", daemon=True).start()

    def drain(self, ending_s: float) -> None:
        """Let it finish what it has accepted, for so long at most."""
        with self._lock:
            if not self._reaped:
                os.kill(self._process.pid, signal.SIGTERM)
        self._gone.wait(ending_s)

    def kill(self) -> None:
        """End it, and what it has started."""
        with self._lock:
            if not self._reaped:
                os.killpg(self._process.pid, signal.SIGKILL)
        self._gone.wait()

    def _wait(self) -> None:
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            os.killpg(self._process.pid, signal.SIGKILL)  # what it has started
            status = self._process.wait()
            self._reaped = True
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._gone.set()
        self._events.put(status if status >= 0 else 128 - status)  # as a shell counts signals


def _command(settings: AgentSettings, artifact: ModelArtifact, address: str, tls: Path) -> list[str]:
    return [
        sys.executable, "-m", "mark.worker",
        "--artifact", artifact_to_json(artifact),
        "--address", address,
        "--threads", str(settings.threads),
        "--cpu-share", str(settings.cpu_share),
        "--device", settings.device,
        "--grace-s", str(settings.grace_s),
        "--tls-folder", str(tls),
        "--exit-with-parent",
        *_traces(settings),
    ]  # fmt: skip


def _traces(settings: AgentSettings) -> list[str]:
    if not settings.trace_endpoint:
        return []
    if importlib.util.find_spec("opentelemetry") is None:
        # A worker that is not seen is better than none.
        _log.warning(
            "the worker traces nothing: this machine lacks OpenTelemetry; aws.install must name the extra tracing"
        )
        return []
    return ["--trace-endpoint", settings.trace_endpoint, "--trace-service", settings.trace_service]


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CloudError(f"cannot make {folder}: {error.strerror or error}") from error


def _patiently(ask: Callable[[], _Answer], rhythm: AgentRhythm) -> _Answer:
    """Ask until it is answered, as often as there are pauses and once more."""
    for pause_s in rhythm.boot_pauses_s:
        try:
            return ask()
        except CloudError as error:
            _log.warning("tried again in %g s: %s", pause_s, error)
            time.sleep(pause_s)
    return ask()


def _repeatedly(act: Callable[[], object], every_s: float, ended: threading.Event) -> None:
    """Act on a thread of its own until `ended`; what fails is told once, and tried again at the next turn."""

    def run() -> None:
        told = ""
        while not ended.wait(every_s):
            try:
                act()
                told = ""
            except CloudError as error:
                if str(error) != told:
                    _log.warning("%s", error)
                told = str(error)
            except Exception:  # noqa: BLE001 - a notice must not go unseen for a fault
                _log.exception("a fault of mark; it goes on")

    threading.Thread(target=run, name="mark-agent", daemon=True).start()
