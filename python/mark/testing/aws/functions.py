"""Lambda's Invoke: execution environments that start cold, are reused, and are at most so many."""

from __future__ import annotations

import base64
import io
import json
import math
import shutil
import tempfile
import threading
import time
import uuid
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moto.backends import get_backend

from mark.testing.aws.billing import Ledger
from mark.testing.aws.computers import process_environment
from mark.testing.aws.ec2_state import ACCOUNT
from mark.testing.aws.function_process import FunctionFailed, FunctionProcess, FunctionSpec
from mark.testing.aws.guard import Guard
from mark.testing.aws.params import FakeAwsParams
from mark.testing.aws.timers import Timers
from mark.testing.aws.wire import Answer, AwsError, Call, Environ

__all__ = ["Functions"]

_PAYLOAD_MAX = 6 * 1024 * 1024


class Functions:
    """The environments of all functions.

    Thread safety: every method may be called from any thread.

    Invariants: a process is either in `_idle`, or belongs to the one call that took it out; `_busy` counts the latter.
    All are touched with `_lock` held.
    """

    def __init__(self, params: FakeAwsParams, endpoint_url: str, timers: Timers, guard: Guard, ledger: Ledger) -> None:
        self._params = params
        self._endpoint_url = endpoint_url
        self._timers = timers
        self._guard = guard
        self._ledger = ledger
        self._lock = threading.Lock()
        self._folder = Path(tempfile.mkdtemp(prefix="mark-fake-lambda-"))
        guard.keep(str(self._folder))
        self._idle: defaultdict[str, list[FunctionProcess]] = defaultdict(list)
        self._all: set[FunctionProcess] = set()
        self._busy: Counter[str] = Counter()
        self._closed = False
        self.cold_starts: Counter[str] = Counter()

    def invoke(self, call: Call, environ: Environ) -> Answer:
        """Invoke."""
        body = environ["wsgi.input"].getvalue() or b"null"
        function = self._function(call)
        if len(body) > _PAYLOAD_MAX:
            raise AwsError("RequestTooLargeException", f"{len(body)} byte payload is too large for this function")
        try:
            json.loads(body)
        except ValueError as error:
            message = f"Could not parse request body into json: {error}"
            raise AwsError("InvalidRequestContentException", message) from error
        kind = call.params.get("InvocationType") or "RequestResponse"
        if kind == "DryRun":
            return Answer(204, (), b"")
        self._enter(function)
        if kind == "Event":
            threading.Thread(target=self._run, args=(function, body), daemon=True).start()
            return Answer(202, (), b"")
        return self._run(function, body, tail=call.params.get("LogType") == "Tail")

    def account_settings(self, _: Call) -> dict[str, Any]:
        """GetAccountSettings."""
        known = get_backend("lambda")[ACCOUNT][self._params.region].list_functions()
        reserved = sum(int(each.reserved_concurrency or 0) for each in known)
        limit = self._params.account_concurrency
        return {
            "AccountLimit": {"ConcurrentExecutions": limit, "UnreservedConcurrentExecutions": limit - reserved},
            "AccountUsage": {"FunctionCount": len(list(known)), "TotalCodeSize": 0},
        }

    def processes(self, name: str) -> int:
        """How many environments of a function there are."""
        with self._lock:
            return self._busy[name] + len(self._idle[name])

    def close(self) -> None:
        """End every environment."""
        with self._lock:
            self._closed = True
            processes = list(self._all)
        for process in processes:
            process.end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _function(self, call: Call) -> Any:
        name = call.params["FunctionName"].rpartition(":function:")[2].split(":")[0]
        backend = get_backend("lambda")[ACCOUNT][self._params.region]
        try:
            function = backend.get_function(name, call.params.get("Qualifier"))
        except Exception as error:
            message = f"Function not found: arn:aws:lambda:{self._params.region}:{ACCOUNT}:function:{name}"
            raise AwsError("ResourceNotFoundException", message, Type="User") from error
        if function.package_type != "Zip":
            raise AwsError("InvalidParameterValueException", "this fake runs functions of a zip, not of an image")
        return function

    def _enter(self, function: Any) -> None:
        reserved = function.reserved_concurrency
        with self._lock:
            if reserved is not None and self._busy[function.function_name] >= int(reserved):
                raise _throttled("ReservedFunctionConcurrentInvocationLimitExceeded")
            if sum(self._busy.values()) >= self._params.account_concurrency:
                raise _throttled("ConcurrentInvocationLimitExceeded")
            self._busy[function.function_name] += 1

    def _run(self, function: Any, body: bytes, tail: bool = False) -> Answer:
        request_id = str(uuid.uuid4())
        headers = [("Content-Type", "application/json"), ("X-Amz-Executed-Version", "$LATEST")]
        begun_s = time.monotonic()
        process: FunctionProcess | None = None
        try:
            process = self._process(function)
            payload = process.call(body, request_id)
            if len(payload) > _PAYLOAD_MAX:
                told = {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": "Response payload size exceeded"}
                raise FunctionFailed(told)
        except FunctionFailed as error:
            headers.append(("X-Amz-Function-Error", "Unhandled"))
            payload = json.dumps(error.told).encode()
        finally:
            self._leave(function, process)
        # Since 2025 the start of an environment is billed like the work.
        billed_ms = max(math.ceil((time.monotonic() - begun_s) * 1000), 1)
        self._ledger.called(function.function_name, billed_ms, int(function.memory_size))
        if tail:
            report = f"REPORT RequestId: {request_id}\tBilled Duration: {billed_ms} ms\t"
            report += f"Memory Size: {function.memory_size} MB\n"
            headers.append(("X-Amz-Log-Result", base64.b64encode(report.encode()).decode()))
        return Answer(200, tuple(headers), payload)

    def _process(self, function: Any) -> FunctionProcess:
        version = f"{function.code_sha_256} {function.handler} {sorted(function.environment_vars.items())}"
        with self._lock:
            while self._idle[function.function_name]:
                process = self._idle[function.function_name].pop()
                # By the clock, not by whether its timer has run: it may be a moment late.
                is_over = time.monotonic() - process.idle_since_s >= self._params.function_idle_s
                if process.alive() and process.spec.version == version and not is_over:
                    return process
                self._drop(process)
            self.cold_starts[function.function_name] += 1
        if self._params.cold_start_s:
            time.sleep(self._params.cold_start_s)  # what the fake is asked to take, not a wait for a state
        process = FunctionProcess(self._spec(function, version))
        self._guard.watch(process.session)
        with self._lock:
            self._all.add(process)
        try:
            process.begin()
        except FunctionFailed:
            with self._lock:
                self._drop(process)
            raise
        return process

    def _leave(self, function: Any, process: FunctionProcess | None) -> None:
        name = function.function_name
        with self._lock:
            self._busy[name] -= 1
            if process is None:
                return
            if self._closed or not process.alive():
                self._drop(process)
                return
            process.idle_since_s = time.monotonic()
            self._idle[name].append(process)
        self._timers.after(self._params.function_idle_s, self._expire(name, process, process.idle_since_s))

    def _expire(self, name: str, process: FunctionProcess, since_s: float) -> Callable[[], None]:
        def end() -> None:
            with self._lock:
                if process in self._idle[name] and process.idle_since_s == since_s:
                    self._idle[name].remove(process)
                    self._drop(process)

        return end

    def _drop(self, process: FunctionProcess) -> None:
        process.end()
        self._guard.release(process.session)
        self._all.discard(process)

    def _spec(self, function: Any, version: str) -> FunctionSpec:
        code = self._folder / str(function.code_sha_256).replace("/", "_")
        with self._lock:
            if not code.exists():
                with zipfile.ZipFile(io.BytesIO(function.code_bytes)) as packed:
                    packed.extractall(code)
        environment = process_environment(self._params, self._endpoint_url, str(function.role)) | {
            "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
            "LAMBDA_TASK_ROOT": str(code),
            "_HANDLER": function.handler,
            **function.environment_vars,
        }
        return FunctionSpec(
            name=function.function_name,
            version=version,
            code=code,
            handler=function.handler,
            environment=environment,
            memory_mb=int(function.memory_size),
            timeout_s=float(function.timeout),
            log=self._folder / f"{function.function_name}.log",
        )


def _throttled(reason: str) -> AwsError:
    return AwsError("TooManyRequestsException", "Rate Exceeded.", Reason=reason, Type="User")
