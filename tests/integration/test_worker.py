"""The worker process: serves, refuses, drains, and ends with whoever started it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import grpc
import numpy as np
import psutil
import pytest
from integration.router_process import environment, until

from mark import Client
from mark._core import native_available, write_infer_request
from mark.domain.artifact import ModelArtifact, artifact_to_json
from mark.domain.signature import ModelSignature, TensorSpec
from mark.errors import InvalidRequest, ModelFailed, ModelNotFound
from mark.protocol import messages
from mark.worker.example_inputs import batch_sizes
from mark.worker.profiling import measure_profile

SIGNATURE = ModelSignature(
    "doubler", "1", (TensorSpec("x", "FP32", (-1, 4)),), (TensorSpec("y", "FP32", (-1, 4)),), rows_max=8
)
ARTIFACT = ModelArtifact(SIGNATURE, "python", "doubler_model:make")
INGRESSES = ["grpcio", *(["native"] if native_available else [])]
ROW = np.array([[1.0, 2.0, 3.0, 4.0]], dtype=np.float32)
PATIENCE_S = 30.0


# What nothing can interrupt: a factory, a batch, and a thread of the model's own. Each says when it is at it.
STUBBORN_MODULE = """
import subprocess
import threading


def hang(*_):
    print("hangs", flush=True)
    threading.Event().wait()


def never_loads():
    hang()


def starts_a_process_and_never_loads():
    print(subprocess.Popen(["sleep", "60"]).pid, flush=True)
    hang()


def make():
    return hang


def leaves_a_thread():
    threading.Thread(target=threading.Event().wait).start()
    return dict
"""


class Worker:
    """A worker process with a pipe to its stdin."""

    started: ClassVar[list[Worker]] = []

    def __init__(
        self, folder: Path, *arguments: str, artifact: ModelArtifact = ARTIFACT, own_session: bool = False
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mark.worker", "--artifact", artifact_to_json(artifact), *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(folder),
            start_new_session=own_session,
        )  # fmt: skip
        self.started.append(self)
        self.address = self.read_line().rpartition(" at ")[2]

    def read_line(self) -> str:
        """The next line of its output; empty when it has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def orphan(self) -> tuple[int, str]:
        """End its stdin, as the end of its parent does; exit code and stderr, once it has ended by itself."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.stdin = None
        return self.wait()

    def wait(self) -> tuple[int, str]:
        """Exit code and stderr, once it has ended by itself."""
        self.process.wait(timeout=PATIENCE_S)  # first: communicate ends stdin
        _, stderr = self.process.communicate()
        return self.process.returncode, stderr

    def end(self) -> tuple[int, str]:
        """Exit code and stderr, once it has ended by itself or is stopped now."""
        self.process.terminate()
        return self.wait()


def stubborn(folder: Path, factory: str) -> ModelArtifact:
    (folder / "stubborn_model.py").write_text(STUBBORN_MODULE, encoding="utf-8")
    return ModelArtifact(SIGNATURE, "python", f"stubborn_model:{factory}")


@pytest.fixture(scope="module", params=INGRESSES)
def ingress(request: pytest.FixtureRequest) -> str:
    """What speaks HTTP/2; all tests with one before those with the next."""
    return str(request.param)


@pytest.fixture(scope="module")
def worker(ingress: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    started = Worker(tmp_path_factory.mktemp("worker"), "--ingress", ingress)
    yield started
    assert started.end() == (0, "")


@pytest.fixture(autouse=True)
def no_worker_outlives_its_test() -> Iterator[None]:
    """A test that fails has not ended its workers."""
    before = len(Worker.started)
    yield
    for started in Worker.started[before:]:
        if started.process.poll() is None:
            started.process.kill()
            started.process.communicate()


@pytest.fixture
def sockets(tmp_path: Path) -> Path:
    """An empty folder for sockets."""
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


@pytest.fixture
def client(worker: Worker) -> Iterator[Client]:
    with Client(worker.address) as opened:
        yield opened


def test_it_is_a_server_of_the_protocol_by_itself(client: Client) -> None:
    np.testing.assert_array_equal(client.infer("doubler", {"x": ROW})["y"], 2 * ROW)
    assert client.is_ready()
    assert client.is_model_ready("doubler", "1")
    assert client.model_metadata("doubler").inputs == SIGNATURE.inputs


def test_bad_requests_get_the_same_statuses_as_at_the_router(client: Client) -> None:
    with pytest.raises(InvalidRequest, match=r"inputs\[0\]\.shape"):
        client.infer("doubler", {"x": ROW[:, :3]})
    with pytest.raises(ModelNotFound):
        client.infer("tripler", {"x": ROW})
    with pytest.raises(ModelNotFound):
        client.is_model_ready("doubler", "9")


def test_a_model_that_raises_fails_the_request_with_its_words(client: Client) -> None:
    with pytest.raises(ModelFailed, match="ValueError: cannot double a beast"):
        client.infer("doubler", {"x": np.full((1, 4), 666.0, np.float32)})
    np.testing.assert_array_equal(client.infer("doubler", {"x": ROW})["y"], 2 * ROW)


def test_a_profile_is_monotone_and_covers_every_size(worker: Worker) -> None:
    seen: list[int] = []

    profile = asyncio.run(measure_profile(worker.address, SIGNATURE, seen.append, runs=3))

    assert profile.rows == seen == batch_sizes(SIGNATURE) == [1, 2, 4, 8]
    assert profile.latencies_ns == sorted(profile.latencies_ns)


@pytest.mark.parametrize(("rows_max", "sizes"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6])])
def test_batch_sizes_double_up_to_the_largest(rows_max: int, sizes: list[int]) -> None:
    assert batch_sizes(replace(SIGNATURE, rows_max=rows_max)) == sizes


def test_sigterm_lets_the_running_batch_finish(ingress: str, tmp_path: Path) -> None:
    worker = Worker(tmp_path, "--ingress", ingress)
    slow = np.array([[-3.0, 0.0, 0.0, 0.0], [-1.0, 0.3, 0.0, 0.0]], dtype=np.float32)  # held, and then 0.3 s
    request = write_infer_request("doubler", "", "", [("x", "FP32", (2, 4), slow)], [])
    with grpc.insecure_channel(worker.address) as channel:
        call = channel.unary_unary(messages.MODEL_INFER).future(request)
        until((tmp_path / "held").exists)
        worker.process.send_signal(signal.SIGTERM)
        (tmp_path / "gate").touch()
        answered = call.result(timeout=PATIENCE_S)

    _, stderr = worker.process.communicate(timeout=PATIENCE_S)
    assert answered
    assert (worker.process.returncode, stderr) == (0, "")


@pytest.mark.parametrize("how", ["stdin ends", "interrupted"])
def test_it_ends_when_asked_and_removes_its_socket(ingress: str, tmp_path: Path, sockets: Path, how: str) -> None:
    socket = sockets / "worker"
    worker = Worker(tmp_path, "--address", f"unix:{socket}", "--exit-with-parent", "--ingress", ingress)
    assert socket.exists()

    if how == "stdin ends":
        ended = worker.orphan()
    else:
        worker.process.send_signal(signal.SIGINT)
        ended = worker.wait()

    assert ended == (0, "")
    assert not socket.exists()


def test_an_orphan_whose_model_never_loads_ends_and_removes_the_folder(tmp_path: Path, sockets: Path) -> None:
    worker = Worker(
        tmp_path, "--address", f"unix:{sockets}/worker", "--exit-with-parent",
        artifact=stubborn(tmp_path, "never_loads"),
    )  # fmt: skip

    assert worker.orphan() == (0, "")
    assert not sockets.exists()


def test_what_the_model_of_an_orphan_started_ends_with_it(tmp_path: Path) -> None:
    worker = Worker(
        tmp_path, "--exit-with-parent", artifact=stubborn(tmp_path, "starts_a_process_and_never_loads"),
        own_session=True,
    )  # fmt: skip
    started = psutil.Process(int(worker.address))

    worker.orphan()

    assert psutil.wait_procs([started], timeout=PATIENCE_S)[1] == []


def test_an_orphan_whose_model_does_not_load_removes_the_folder(tmp_path: Path, sockets: Path) -> None:
    read, write = os.pipe()
    os.close(write)
    artifact = ModelArtifact(SIGNATURE, "python", "doubler_model:broken")
    subprocess.run(
        [
            sys.executable, "-m", "mark.worker", "--artifact", artifact_to_json(artifact),
            "--address", f"unix:{sockets}/worker", "--exit-with-parent",
        ],
        stdin=read, capture_output=True, env=environment(tmp_path), timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    os.close(read)

    assert not sockets.exists()


@pytest.fixture
def hung(ingress: str, tmp_path: Path, sockets: Path) -> Iterator[tuple[Worker, grpc.Future]]:
    """A worker whose model hangs in a batch, and the call that waits for it."""
    worker = Worker(
        tmp_path, "--address", f"unix:{sockets}/worker", "--exit-with-parent", "--grace-s", "0.2",
        "--ingress", ingress, artifact=stubborn(tmp_path, "make"),
    )  # fmt: skip
    with grpc.insecure_channel(worker.address) as channel:
        infer = channel.unary_unary(messages.MODEL_INFER)
        call = infer.future(write_infer_request("doubler", "", "", [("x", "FP32", (1, 4), ROW)], []))
        assert worker.read_line() == "hangs"
        yield worker, call


def test_an_orphan_whose_model_hangs_in_a_batch_ends_after_its_grace_and_removes_the_folder(
    hung: tuple[Worker, grpc.Future], sockets: Path
) -> None:
    assert hung[0].orphan() == (1, "")
    assert not sockets.exists()


def test_a_stopped_worker_whose_model_hangs_in_a_batch_ends_after_its_grace(
    hung: tuple[Worker, grpc.Future], sockets: Path
) -> None:
    worker, call = hung

    code, stderr = worker.end()

    assert code == 1
    assert stderr.endswith("told to end, and not done 0.2 s later; ending by force\n")
    assert len(stderr.splitlines()) == 1
    assert list(sockets.iterdir()) == []
    assert call.exception(timeout=PATIENCE_S) is not None


def test_a_thread_that_the_model_leaves_does_not_keep_the_worker(ingress: str, tmp_path: Path) -> None:
    worker = Worker(tmp_path, "--grace-s", "0.2", "--ingress", ingress, artifact=stubborn(tmp_path, "leaves_a_thread"))

    assert worker.end()[0] == 1


@pytest.mark.parametrize(
    ("arguments", "source", "words"),
    [
        ((), "doubler_model:broken", "RuntimeError: no such weights"),
        ((), "doubler_model:absent", "AttributeError"),
        (("--threads", "0"), "doubler_model:make", "threads must be 1 or more, not 0"),
        (("--address", "127.0.0.1:65536"), "doubler_model:make", "a port up to 65535"),
        (("--cpu-share", "2"), "doubler_model:make", "cpu_share must lie in (0, 1]"),
        (("--address", "unix:/nonexistent/socket"), "doubler_model:make", "cannot listen at"),
    ],
)
def test_what_a_person_must_mend_is_one_line_and_exit_code_two(
    tmp_path: Path, arguments: tuple[str, ...], source: str, words: str
) -> None:
    worker = Worker(tmp_path, *arguments, artifact=ModelArtifact(SIGNATURE, "python", source))
    _, stderr = worker.process.communicate(timeout=PATIENCE_S)

    assert worker.process.returncode == 2
    assert words in stderr
    assert len(stderr.strip().splitlines()) == 1


def test_a_socket_is_not_taken_from_a_worker_that_answers(ingress: str, tmp_path: Path) -> None:
    address = f"unix:{tmp_path / 'socket'}"
    first = Worker(tmp_path, "--address", address, "--ingress", ingress)
    second = Worker(tmp_path, "--address", address, "--ingress", ingress)
    _, stderr = second.process.communicate(timeout=PATIENCE_S)

    with Client(address) as client:
        np.testing.assert_array_equal(client.infer("doubler", {"x": ROW})["y"], 2 * ROW)
    assert (second.process.returncode, stderr) == (
        2,
        f"mark worker: cannot listen at {address}: the address is in use\n",
    )
    assert first.end() == (0, "")


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_however_it_ends_it_leaves_nothing_and_the_next_takes_its_address(
    ingress: str, tmp_path: Path, sockets: Path, monkeypatch: pytest.MonkeyPatch, signum: signal.Signals
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    arguments = ("--address", f"unix:{sockets}/worker", "--ingress", ingress)
    first = Worker(tmp_path, *arguments)

    first.process.send_signal(signum)
    first.process.communicate(timeout=PATIENCE_S)

    assert first.process.returncode == (-signal.SIGKILL if signum is signal.SIGKILL else 0)
    assert list(temporary.iterdir()) == []
    second = Worker(tmp_path, *arguments)
    with Client(second.address) as client:
        np.testing.assert_array_equal(client.infer("doubler", {"x": ROW})["y"], 2 * ROW)
    assert second.end() == (0, "")
    assert list(sockets.iterdir()) == []


def test_a_port_in_use_is_said(worker: Worker, ingress: str, tmp_path: Path) -> None:
    second = Worker(tmp_path, "--address", worker.address, "--ingress", ingress)
    _, stderr = second.process.communicate(timeout=PATIENCE_S)

    assert second.process.returncode == 2
    assert f"cannot listen at {worker.address}" in stderr


def test_a_worker_without_a_parent_to_wait_for_stops_and_says_why(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mark.worker", "--artifact", artifact_to_json(ARTIFACT), "--exit-with-parent"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment(tmp_path), timeout=PATIENCE_S,
        check=False,
    )  # fmt: skip

    assert done.returncode == 0
    assert "stdin is no pipe" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_worker_that_nobody_hears_ends_and_removes_its_socket(tmp_path: Path, sockets: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    process = subprocess.Popen(
        [
            sys.executable, "-m", "mark.worker", "--artifact", artifact_to_json(ARTIFACT),
            "--address", f"unix:{sockets}/worker",
        ],
        stdout=write, stderr=subprocess.PIPE, text=True, env=environment(tmp_path),
    )  # fmt: skip
    os.close(write)
    _, stderr = process.communicate(timeout=PATIENCE_S)

    assert (process.returncode, stderr) == (0, "")
    assert not sockets.exists()


def test_the_command_line_starts_the_same_worker(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            sys.executable, "-m", "mark", "worker", "doubler_model:make", "--name", "doubler", "--runtime", "python",
            "--input", "x:FP32:-1,4", "--output", "y:FP32:-1,4", "--address", "127.0.0.1:0",
        ],
        stdout=subprocess.PIPE, text=True, env=environment(tmp_path),
    )  # fmt: skip
    assert process.stdout is not None
    address = process.stdout.readline().strip().rpartition(" at ")[2]
    with Client(address) as client:
        np.testing.assert_array_equal(client.infer("doubler", {"x": ROW})["y"], 2 * ROW)
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 0
