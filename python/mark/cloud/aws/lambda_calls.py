"""Single calls of one Lambda function: what is sent, what an answer means, and what it is taken to cost."""

from __future__ import annotations

import base64
import json
import math
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import botocore.exceptions

from mark.cloud.aws.errors import code_of, translated
from mark.cloud.aws.session import AwsSession, Client
from mark.errors import CloudError, Throttled
from mark.protocol.statuses import LINK_CODES

__all__ = ["EVENT_BYTES_MAX", "FunctionLost", "LambdaAnswer", "LambdaCalls"]

EVENT_BYTES_MAX = 6 * 1024 * 1024  # of a synchronous call
_CLIENTS_MAX = 4  # one for each time-out; there are that of requests and that of pings
_LINK_CODES = frozenset(code.name for code in LINK_CODES)
_TOO_MANY_REQUESTS = 429
_ANSWER_TOO_LARGE = "Function.ResponseSizeTooLarge"
_BILLED = re.compile(r"\bBilled Duration: (\d+) ms")


class FunctionLost(CloudError):
    """A function began, or may have begun, and gave no answer of its own.

    Attributes:
        billed_ms: what it is taken to be billed.
    """

    def __init__(self, message: str, billed_ms: int) -> None:
        super().__init__(message)
        self.billed_ms = billed_ms


@dataclass(frozen=True, slots=True)
class LambdaAnswer:
    """What a function answered.

    Attributes:
        message: the ModelInferResponse; empty for a ping.
        failed: why the model gave none, which is an answer, too.
        billed_ms: what AWS Lambda bills, in whole milliseconds.
        was_cold: the function was started for this.
        instance: which one it was.
    """

    message: bytes
    failed: str | None
    billed_ms: int
    was_cold: bool
    instance: str


class LambdaCalls:
    """Calls one function, and never twice for one request: what is not answered is billed all the same.

    Thread safety: every method may be called from any thread; a call blocks its own.

    Invariants: `_clients` is touched only with `_lock` held, and has at most `_CLIENTS_MAX` entries.
    """

    def __init__(self, session: AwsSession, function: str, connections_max: int) -> None:
        """Call a function of this name; so many connections are kept."""
        self._session = session
        self._function = function
        self._connections_max = connections_max
        self._lock = threading.Lock()
        self._clients: OrderedDict[float, Client] = OrderedDict()

    def request(self, message: bytes, timeout_s: float, headers: Mapping[str, str] | None = None) -> LambdaAnswer:
        """Run one ModelInferRequest; `headers`, those of its trace, are keys of the event.

        Raises:
            Throttled: AWS Lambda starts no function for it.
            FunctionLost: no answer within `timeout_s`, or the function ended.
            CloudError: anything else; nothing was run.
        """
        event = json.dumps({"request": base64.b64encode(message).decode("ascii"), **(headers or {})}).encode("ascii")
        if len(event) > EVENT_BYTES_MAX:
            raise CloudError(
                f"a request of {len(message)} bytes takes {len(event)} as an event, and AWS Lambda carries "
                f"{EVENT_BYTES_MAX}; send fewer rows at once"
            )
        return self._call(event, timeout_s, "None")

    def ping(self, hold_s: float, timeout_s: float) -> LambdaAnswer:
        """Keep a function warm, and busy for `hold_s`; see `request`. What it costs is read from its own log line."""
        return self._call(json.dumps({"ping": True, "hold_ms": hold_s * 1000}).encode("ascii"), timeout_s, "Tail")

    def close(self) -> None:
        """Close the connections that are idle."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    def _call(self, event: bytes, timeout_s: float, log_type: str) -> LambdaAnswer:
        client = self._client(timeout_s)
        began_s = time.monotonic()
        try:
            response = client.invoke(
                FunctionName=self._function, InvocationType="RequestResponse", LogType=log_type, Payload=event
            )
            payload = response["Payload"].read()
        except Exception as error:
            raise self._error_of(error, _whole_ms(began_s)) from error
        return _answer(response, payload, _whole_ms(began_s))

    def _error_of(self, error: Exception, waited_ms: int) -> CloudError:
        what = f"function {self._function} did not answer"
        if isinstance(error, botocore.exceptions.ClientError):
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == _TOO_MANY_REQUESTS:
                reason = error.response.get("Reason") or code_of(error)
                return Throttled(f"{what}: {reason}: AWS Lambda starts no more of them for now")
            if code_of(error) == "ResourceNotFoundException":
                return CloudError(f"{what}: there is none of this name in the region; `mark serve` deploys it")
            return translated(error, what)
        if isinstance(error, (botocore.exceptions.ConnectTimeoutError, botocore.exceptions.EndpointConnectionError)):
            return translated(error, what)
        if isinstance(error, botocore.exceptions.BotoCoreError):
            # Sent, perhaps: then it runs, and is billed until it is done.
            return FunctionLost(f"{what}: {error}", waited_ms)
        raise error

    def _client(self, timeout_s: float) -> Client:
        with self._lock:
            if timeout_s not in self._clients:
                self._clients[timeout_s] = self._session.once_client("lambda", timeout_s, self._connections_max)
            self._clients.move_to_end(timeout_s)
            client = self._clients[timeout_s]
            if len(self._clients) > _CLIENTS_MAX:
                self._clients.popitem(last=False)  # its connections are closed once no call uses them any more
            return client


def _whole_ms(began_s: float) -> int:
    return math.ceil((time.monotonic() - began_s) * 1000)


def _answer(response: Mapping[str, Any], payload: bytes, waited_ms: int) -> LambdaAnswer:
    try:
        told = json.loads(payload)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        told = {}
    if response.get("FunctionError"):
        kind, words = told.get("errorType", response["FunctionError"]), told.get("errorMessage", "it says nothing")
        if kind == _ANSWER_TOO_LARGE:
            return LambdaAnswer(b"", f"{words}; send fewer rows at once", waited_ms, was_cold=False, instance="")
        raise FunctionLost(f"a function did not answer: {kind}: {words}", waited_ms)
    try:
        return _read(told, _billed_ms(response, told))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FunctionLost(
            f"a function did not answer as mark's do ({type(error).__name__}: {error}); deploy it again", waited_ms
        ) from error


def _read(told: Mapping[str, Any], billed_ms: int) -> LambdaAnswer:
    failed, message = None, b""
    if "error" in told:
        code, failed = str(told["error"]["code"]), str(told["error"]["message"])
        if code in _LINK_CODES:
            raise FunctionLost(f"a function did not answer: {code}: {failed}", billed_ms)
    elif not told.get("ping"):
        message = base64.b64decode(told["response"], validate=True)
    return LambdaAnswer(message, failed, billed_ms, bool(told["cold"]), str(told["instance"]))


def _billed_ms(response: Mapping[str, Any], told: Mapping[str, Any]) -> int:
    """From the log line that AWS Lambda ends each call with, where it was asked for; else as the function saw it."""
    log = base64.b64decode(response.get("LogResult") or "").decode("utf-8", "replace")
    billed = _BILLED.search(log)
    if billed is not None:
        return int(billed[1])
    return math.ceil(float(told["ran_ms"]) + float(told.get("start_ms", 0.0)))
