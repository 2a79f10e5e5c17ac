"""One worker process: started, watched until it answers and until it ends, and stopped."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import grpc

from mark.protocol import messages

__all__ = ["WorkerProcess"]

_log = logging.getLogger(__name__)

_SERVING = "serving "
_LINES_KEPT = 20
_LINE_CHARACTERS_MAX = 4096
_LAST_WORDS_S = 0.5
_ANSWER_TIMEOUT_S = 1.0
_ASK_AGAIN_S = 0.05
_SIGNALS = {int(number): number.name for number in signal.Signals}


class WorkerProcess:
    """A child process that says "… serving MODEL at ADDRESS" on its output when it serves.

    It gets a session of its own, so that Ctrl-C reaches only the router, and a pipe as stdin whose end is its signal to
    end: a router that was killed leaves no worker behind. What it has started itself ends with it.

    Thread safety: `stop` and `join` may be called from any thread, `watch` once.

    Invariants:
        - it is signalled only with `_lock` held and before it is reaped, when its number cannot be another's yet;
        - of its output, `_LINES_KEPT` lines of `_LINE_CHARACTERS_MAX` characters are kept at most.
    """

    def __init__(self, command: Sequence[str], address: str) -> None:
        self._address = address
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._lock = threading.Lock()
        self._reaped = False
        self._serves = threading.Event()  # it says so, or it has ended
        self._ended = threading.Event()
        self._process = subprocess.Popen(  # noqa: S603 - the command is ours
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    @property
    def address(self) -> str:
        """Where it serves, once it does."""
        return self._address

    def watch(
        self,
        boot_s: float,
        boot_max_s: float,
        on_ready: Callable[[], None],
        on_late: Callable[[str], None],
        on_exit: Callable[[str], None],
    ) -> None:
        """Call back what becomes of it, from other threads.

        Args:
            boot_s: how long it counts as booting, even if it answers before.
            boot_max_s: how much later it must answer.
            on_ready: it answers and `boot_s` have passed. If it ends while it answers, this may come last.
            on_late: it runs and does not answer in time; a line that says so, with its last words.
            on_exit: it has ended; a line that says why.
        """
        reading = self._start(self._read)

        def wait_ready() -> None:
            if self._ended.wait(boot_s):
                return
            if self._wait_answer(boot_max_s):
                on_ready()
            elif not self._ended.is_set():
                on_late(self._with_last_words(f"not ready {boot_max_s:g} s after its boot time"))

        self._start(wait_ready)
        self._start(lambda: self._wait_exit(reading, on_exit))

    def ready_after(self, boot_s: float, on_ready: Callable[[], None]) -> None:
        """Call back from another thread when so much time has passed, unless it ends before: it answers already."""
        self._start(lambda: None if self._ended.wait(boot_s) else on_ready())

    def stop(self, grace_s: float) -> None:
        """Ask it to end, and kill it when it has not ended after `grace_s`. Does not wait.

        Called again, the shorter grace holds.
        """
        with self._lock:
            if self._reaped:
                return
            self._signal(os.kill, signal.SIGTERM)
        self._start(lambda: self._kill_after(grace_s))

    def join(self, timeout_s: float) -> bool:
        """Wait until it has ended; False when it has not after `timeout_s`."""
        return self._ended.wait(timeout_s)

    def _start(self, work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread

    def _read(self) -> None:
        # Read to the end whatever it writes: a full pipe would stop it. In pieces: a line may never end.
        stdout = self._process.stdout
        if stdout is None:
            return
        with stdout:
            while line := stdout.readline(_LINE_CHARACTERS_MAX):
                self._lines.append(line.rstrip())
                _log.debug("worker %d: %s", self._process.pid, line.rstrip())
                if self._says_serving(line):
                    self._serves.set()

    def _wait_answer(self, timeout_s: float) -> bool:
        deadline_s = time.monotonic() + timeout_s
        if not self._serves.wait(timeout_s):
            return False
        with grpc.insecure_channel(self.address) as channel:
            ask = channel.unary_unary(messages.SERVER_READY)
            while not self._ended.is_set() and time.monotonic() < deadline_s:
                if self._answers(ask):
                    return True
                self._ended.wait(_ASK_AGAIN_S)
        return False

    def _wait_exit(self, reading: threading.Thread, on_exit: Callable[[str], None]) -> None:
        # The end of its output would not do: whatever it started may hold the pipe open.
        with contextlib.suppress(ChildProcessError):  # where SIGCHLD is ignored, the kernel reaps; its status is lost
            os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            self._signal(os.killpg, signal.SIGKILL)
            code = self._process.wait()
            self._reaped = True
        reading.join(_LAST_WORDS_S)
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._ended.set()
        self._serves.set()
        on_exit(self._why(code))

    def _kill_after(self, grace_s: float) -> None:
        if self._ended.wait(grace_s):
            return
        with self._lock:
            if not self._reaped:
                self._signal(os.killpg, signal.SIGKILL)

    def _signal(self, send: Callable[[int, int], None], number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):  # as above: reaped, and not by us
            send(self._process.pid, number)

    def _answers(self, ask: grpc.UnaryUnaryMultiCallable) -> bool:
        try:
            answer = ask(b"", timeout=_ANSWER_TIMEOUT_S, wait_for_ready=True)
        except grpc.RpcError as error:
            _log.debug("worker %d says that it serves, but: %s", self._process.pid, error)
            return False
        return bool(messages.ServerReadyResponse.FromString(answer).ready)

    def _says_serving(self, line: str) -> bool:
        return _SERVING in line and self.address in line

    def _why(self, code: int) -> str:
        ending = f"exit status {code}" if code >= 0 else f"killed by {_SIGNALS.get(-code, f'signal {-code}')}"
        return self._with_last_words(ending)

    def _with_last_words(self, fact: str) -> str:
        lines = list(self._lines)  # a reader that outlived `_LAST_WORDS_S` may still append
        words = next((line for line in reversed(lines) if line and not self._says_serving(line)), "")
        return f"{fact}: {words.removeprefix('mark worker: ')}" if words else fact
