"""One execution environment of a function: a process that answers one event at a time."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["FunctionFailed", "FunctionProcess", "FunctionSpec"]

_INIT_MAX_S = 30.0


@dataclass(frozen=True)
class FunctionSpec:
    """What a process of a function is started from.

    Attributes:
        code: the unpacked zip.
        handler: "module.function".
        environment: of the process.
        log: where it prints.
    """

    name: str
    version: str
    code: Path
    handler: str
    environment: Mapping[str, str]
    memory_mb: int
    timeout_s: float
    log: Path


class FunctionFailed(Exception):
    """The function raised, or its process ended or took too long.

    Attributes:
        told: what Lambda answers as the payload.
    """

    def __init__(self, told: Mapping[str, Any]) -> None:
        super().__init__(told.get("errorMessage"))
        self.told = dict(told)


class FunctionProcess:
    """Thread safety: none; whoever took it from the idle ones has it alone."""

    def __init__(self, spec: FunctionSpec) -> None:
        self.spec = spec
        self.idle_since_s = 0.0
        read, write = os.pipe()
        with spec.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the function that a test created
                [sys.executable, str(Path(__file__).with_name("function_loop.py")), spec.handler, str(write)],
                cwd=spec.code,
                env={**spec.environment, "PYTHONPATH": os.pathsep.join([str(spec.code), *filter(None, sys.path)])},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[write],
                start_new_session=True,
            )
        os.close(write)
        self._answers = os.fdopen(read, "rb", buffering=0)
        self._read = b""

    @property
    def session(self) -> int:
        """The session of its processes."""
        return self._process.pid

    def begin(self) -> None:
        """Wait until the handler is loaded.

        Raises:
            FunctionFailed: it cannot be.
        """
        answer = self._answer(_INIT_MAX_S)
        if "failed" in answer:
            error = answer["failed"]
            kind = error["errorType"]
            if kind in {"ImportError", "ModuleNotFoundError"}:
                kind = "Runtime.ImportModuleError"
            raise FunctionFailed({**error, "errorType": kind})

    def call(self, event: bytes, request_id: str) -> bytes:
        """The payload that the handler returns, as JSON.

        Raises:
            FunctionFailed: it raised, ended, or took longer than its time.
        """
        assert self._process.stdin is not None  # noqa: S101 - a pipe, as it was started
        line = json.dumps({"event": json.loads(event), "id": request_id}) + "\n"
        try:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None
        answer = self._answer(self.spec.timeout_s)
        if "failed" in answer:
            raise FunctionFailed(answer["failed"])
        return str(answer["payload"]).encode()

    def alive(self) -> bool:
        """Whether it can be called again."""
        return self._process.poll() is None

    def end(self) -> None:
        """Kill it and what it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._answers.close()
        self._process.wait()

    def _answer(self, limit_s: float) -> dict[str, Any]:
        deadline_s = time.monotonic() + limit_s
        while b"\n" not in self._read:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or not select.select([self._answers], [], [], left_s)[0]:
                told = {"errorType": "Sandbox.Timedout", "errorMessage": f"Task timed out after {limit_s:.2f} seconds"}
                self.end()
                raise FunctionFailed(told)
            part = self._answers.read(1 << 16)
            if not part:
                raise self._ended()
            self._read += part
        line, _, self._read = self._read.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _ended(self) -> FunctionFailed:
        status = self._process.wait()
        message = f"Error: Runtime exited with error: exit status {status}"
        return FunctionFailed({"errorType": "Runtime.ExitError", "errorMessage": message})
