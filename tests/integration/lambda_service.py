"""AWS Lambda on this machine, as far as calls go: real HTTP, a process for each function, and what was sent."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

# What AWS Lambda's own runtime does: imports the handler, and gives it one event after the other.
RUNTIME = """
import importlib, json, sys, traceback
out, sys.stdout = sys.stdout, sys.stderr
handler = importlib.import_module(sys.argv[1]).handler
for line in sys.stdin:
    try:
        told = {"payload": handler(json.loads(line), None)}
    except Exception as error:
        told = {"failed": {"errorType": type(error).__name__, "errorMessage": str(error)}}
    print(json.dumps(told), file=out, flush=True)
"""


@dataclass(eq=False)
class Environment:
    process: subprocess.Popen[str]
    used_s: float


@dataclass
class Reply:
    """What is answered instead of calling a function."""

    status: int
    body: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


class LambdaService:
    """A context manager. `module` has the handler; its folder is `folder`."""

    def __init__(self, folder: Path, module: str, idle_s: float = 300.0, environment: dict[str, str] | None = None):
        self._command = [sys.executable, "-c", RUNTIME, module]
        path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
        self._environment = {**os.environ, **(environment or {}), "PYTHONPATH": path}
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._idle: list[Environment] = []
        self._all: list[Environment] = []
        self.events: list[dict[str, Any]] = []
        self.log_types: list[str] = []
        self.replies: list[Reply] = []  # used up first
        self.on_event: Callable[[], None] = lambda: None
        service = self

        class Answering(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                assert self.path.startswith("/2015-03-31/functions/"), self.path
                body = self.rfile.read(int(self.headers["Content-Length"]))
                reply = service.reply(json.loads(body), self.headers.get("X-Amz-Log-Type", "None"))
                payload = json.dumps(reply.body).encode()
                try:
                    self.send_response(reply.status)
                    for name, value in {**reply.headers, "Content-Length": str(len(payload))}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(payload)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True  # the caller has given up

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(0.01))

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> LambdaService:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        with self._lock:
            for each in self._all:
                each.process.kill()
        for each in self._all:
            each.process.communicate()
        self._server.server_close()

    def reply(self, event: dict[str, Any], log_type: str) -> Reply:
        with self._lock:
            self.events.append(event)
            self.log_types.append(log_type)
            scripted = self.replies.pop(0) if self.replies else None
        self.on_event()
        if scripted is not None:
            return scripted
        environment = self._take()
        began_s = time.monotonic()
        line = self._run(environment, event)
        if not line:
            environment.process.wait()
            words = f"RequestId: 1 Error: Runtime exited with error: exit status {environment.process.returncode}"
            return Reply(
                200, {"errorType": "Runtime.ExitError", "errorMessage": words}, {"X-Amz-Function-Error": "Unhandled"}
            )
        environment.used_s = time.monotonic()
        with self._lock:
            self._idle.append(environment)
        told = json.loads(line)
        if "failed" in told:
            return Reply(200, told["failed"], {"X-Amz-Function-Error": "Unhandled"})
        log = f"REPORT RequestId: 1\tBilled Duration: {int((time.monotonic() - began_s) * 1000) + 7} ms\t"
        tail = {"X-Amz-Log-Result": base64.b64encode(log.encode()).decode()} if log_type == "Tail" else {}
        return Reply(200, told["payload"], tail)

    def _run(self, environment: Environment, event: dict[str, Any]) -> str:
        stdin, stdout = environment.process.stdin, environment.process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps(event) + "\n")
            stdin.flush()
            return stdout.readline()
        except OSError:
            return ""

    def _take(self) -> Environment:
        with self._lock:
            now_s = time.monotonic()
            fresh = [each for each in self._idle if now_s - each.used_s <= self._idle_s]
            for stale in set(self._idle) - set(fresh):
                stale.process.kill()
            self._idle = fresh
            if fresh:
                return fresh.pop()
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=self._environment,
                start_new_session=True,
            )
            self._all.append(Environment(process, now_s))
            return self._all[-1]
