"""Processes for work that would hold up this one: training takes a core for minutes, and the interpreter's lock, too.

Run as a module it is the other side: reads one piece of work from stdin, does it, and writes how it ended to stdout.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO

from mark.protocol.parent import Parent

__all__ = ["ProcessBackground"]

_NICENESS = 10  # it can wait; requests cannot


class ProcessBackground:
    """A process of low priority for each piece of work. Implements `mark.forecast.background.Background`.

    Work and outcome are pickled on the way. The processes end with this one, however it ends.

    Thread safety: safe to call from any thread.

    Invariants:
        - a job ends when its process has, whatever became of that;
        - after `close` no process is left, and none is started.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: list[_Job] = []
        self._closed = False

    def start_work(self, work: Callable[[], object]) -> _Job:
        """Begin in a new process; never waits for the work.

        Raises:
            Exception: the work cannot be pickled.
        """
        payload = pickle.dumps(work)
        with self._lock:
            if self._closed:
                raise RuntimeError("background work was asked for after the end")
            self._jobs = [job for job in self._jobs if not job.wait(0.0)]
            job = _Job(payload)
            self._jobs.append(job)
        return job

    def close(self) -> None:
        """End what is still running. Idempotent."""
        with self._lock:
            self._closed = True
        for job in self._jobs:
            job.kill()


class _Job:
    def __init__(self, payload: bytes) -> None:
        # One thread of arithmetic: the cores belong to the workers.
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mark.live.background_process"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment,
        )  # fmt: skip
        self._ended = threading.Event()
        self._answer = b""
        threading.Thread(target=self._exchange, args=(payload,), name="background-process", daemon=True).start()

    def wait(self, timeout_s: float) -> bool:
        return self._ended.wait(timeout_s)

    def outcome(self) -> object:
        if not self._answer:
            raise RuntimeError(
                f"the process of the work ended without an answer, with status {self._process.returncode}"
            )
        error, returned = pickle.loads(self._answer)  # noqa: S301 - written by our own child
        if error is not None:
            raise error
        return returned

    def kill(self) -> None:
        self._process.kill()
        self._ended.wait()

    def _exchange(self, payload: bytes) -> None:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None  # noqa: S101, PT018 - both are pipes
        try:
            stdin.write(payload)
            stdin.flush()
            # Stays open until the answer is here: to the child its end means that this process has ended.
            self._answer = stdout.read()
        except BrokenPipeError:
            pass  # it ended before it had read; the missing answer says so
        finally:
            for pipe in (stdin, stdout):
                _close(pipe)
            self._process.wait()
            self._ended.set()


def _close(pipe: IO[bytes]) -> None:
    with contextlib.suppress(BrokenPipeError):  # what was still to be written has no reader any more
        pipe.close()


def main() -> None:
    """Do one piece of work for the process that started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides what it means
    os.nice(_NICENESS)
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what the work prints is no answer
    work = pickle.load(sys.stdin.buffer)  # noqa: S301 - written by the process that started this one
    Parent().when_ended(lambda: os._exit(1))
    error: BaseException | None = None
    returned: object = None
    try:
        returned = work()
    except Exception as raised:  # noqa: BLE001 - whoever asks for the outcome raises it
        error = raised
    with answer:
        answer.write(_packed(error, returned))


def _packed(error: BaseException | None, returned: object) -> bytes:
    try:
        return pickle.dumps((error, returned))
    except Exception as unpicklable:  # noqa: BLE001 - an outcome that cannot be told is an error, and that can
        return pickle.dumps((RuntimeError(f"{error or returned!r} cannot be handed over: {unpicklable}"), None))


if __name__ == "__main__":
    main()
