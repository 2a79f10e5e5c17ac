"""One worker process: started, watched until it answers and until it ends, and stopped."""

from __future__ import annotations

import logging
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Sequence

import grpc

from mark.protocol import messages

__all__ = ["WorkerProcess"]

_log = logging.getLogger(__name__)

_SERVING = "serving "
_LINES_KEPT = 20
_ANSWER_TIMEOUT_S = 10.0


class WorkerProcess:
    """A child process that says "… serving MODEL at ADDRESS" on its output when it serves.

    It gets a session of its own, so that Ctrl-C reaches only the router, and a pipe as stdin whose end is its signal to
    end: a router that was killed leaves no worker behind.

    Thread safety: `stop` and `join` may be called from any thread, `watch` once.
    """

    def __init__(self, command: Sequence[str], address: str) -> None:
        self._address = address
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._ended = threading.Event()
        self._reader: threading.Thread | None = None
        self._timers: list[threading.Timer] = []
        self._process = subprocess.Popen(  # noqa: S603 - the command is ours
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    def watch(self, boot_s: float, on_ready: Callable[[], None], on_exit: Callable[[str], None]) -> None:
        """Call `on_ready` once it answers and `boot_s` have passed, and `on_exit` with a line that says why it ended.

        Both are called from other threads; `on_exit` is the last.
        """
        answers = threading.Event()

        def report_ready() -> None:
            answers.wait()
            if not self._ended.is_set():
                on_ready()

        booted = threading.Timer(boot_s, report_ready)
        booted.daemon = True
        self._timers.append(booted)
        booted.start()
        self._reader = threading.Thread(target=self._read, args=(answers, on_exit), daemon=True)
        self._reader.start()

    def stop(self, grace_s: float) -> None:
        """Ask it to end, and kill it when it has not ended after `grace_s`. Does not wait."""
        if self._ended.is_set():
            return
        self._process.send_signal(signal.SIGTERM)
        killer = threading.Timer(grace_s, self._process.kill)
        killer.daemon = True
        self._timers.append(killer)
        killer.start()

    def join(self, timeout_s: float) -> bool:
        """Wait until it has ended; False when it has not after `timeout_s`."""
        return self._ended.wait(timeout_s)

    def _read(self, answers: threading.Event, on_exit: Callable[[str], None]) -> None:
        # Its output is read to the end, whatever it writes: a full pipe would stop it.
        stdout = self._process.stdout
        for line in stdout if stdout is not None else ():
            self._lines.append(line.rstrip())
            _log.debug("worker %d: %s", self._process.pid, line.rstrip())
            if _SERVING in line and not answers.is_set() and self._answers():
                answers.set()
        code = self._process.wait()
        self._ended.set()
        answers.set()
        for timer in self._timers:
            timer.cancel()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        on_exit(self._why(code))

    def _answers(self) -> bool:
        with grpc.insecure_channel(self._address) as channel:
            call = channel.unary_unary(messages.SERVER_READY)
            try:
                answer = call(b"", timeout=_ANSWER_TIMEOUT_S, wait_for_ready=True)
            except grpc.RpcError as error:
                _log.warning("worker %d says that it serves, but: %s", self._process.pid, error)
                return False
        return bool(messages.ServerReadyResponse.FromString(answer).ready)

    def _why(self, code: int) -> str:
        words = next((line for line in reversed(self._lines) if line and _SERVING not in line), "")
        words = words.removeprefix("mark worker: ")
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"exit status {code}: {words}" if words else f"exit status {code}"
