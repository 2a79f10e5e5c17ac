"""The door of the fake AWS: counts, refuses, does itself what moto does not do well, and passes on the rest."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from http.client import responses
from typing import Any

from moto.core.exceptions import ServiceException
from moto.server import DomainDispatcherApplication
from werkzeug.exceptions import HTTPException

from mark.testing.aws.faults import Faults
from mark.testing.aws.tokens import Tokens
from mark.testing.aws.wire import Answer, AwsError, Call, Environ, answer_of, error_answer, read_body, read_call

__all__ = ["Front", "Operation", "Page", "StartResponse"]

_HOP_BY_HOP = frozenset({"connection", "transfer-encoding"})

_LOGGER = logging.getLogger(__name__)

Operation = Callable[[Call], Mapping[str, Any] | None]
"""Does a call; None to pass it on to moto."""

Page = Callable[[Environ, bytes], Answer]
"""Answers what is no call of AWS."""

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


_GONE = Answer(503, (("Content-Type", "text/plain"),), b"the fake AWS is closed")


class Front:
    """A WSGI application.

    Thread safety: every method may be called from any thread. Moto does one thing at a time, but for long polls.

    Invariants: `calls` is touched with `_lock` held; `operations` and `pages` are complete before the first request.
    """

    def __init__(self, moto: DomainDispatcherApplication, region: str, faults: Faults) -> None:
        self.operations: dict[str, Operation] = {}
        self.raw_operations: dict[str, Callable[[Call, Environ], Answer]] = {}
        self.pages: dict[str, Page] = {}
        self.closed = False
        self.permit: Callable[[Call], AwsError | None] = lambda _: None
        self._moto = moto
        self._region = region
        self._faults = faults
        self._tokens = Tokens()
        self._lock = threading.Lock()
        self._moto_lock = threading.Lock()
        self._calls: Counter[str] = Counter()

    @property
    def calls(self) -> Counter[str]:
        """How often each operation was called, refused calls included."""
        with self._lock:
            return self._calls.copy()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        # A client may keep its connection after the end; moto's tables may be the next fake's by then.
        answer = _GONE if self.closed else self._answer(environ)
        head = environ["REQUEST_METHOD"] == "HEAD"
        own = _HOP_BY_HOP if head else _HOP_BY_HOP | {"content-length"}
        headers = [(name, value) for name, value in answer.headers if name.lower() not in own]
        if not head:
            headers.append(("Content-Length", str(len(answer.body))))
        if self.closed:
            headers.append(("Connection", "close"))
        start_response(f"{answer.status} {responses.get(answer.status, 'Unknown')}", headers)
        return [answer.body]

    def _answer(self, environ: Environ) -> Answer:
        body = read_body(environ)
        first = environ.get("PATH_INFO", "").split("/")[1]
        if first in self.pages:
            return self.pages[first](environ, body)
        call = read_call(environ, self._region)
        if call is None:
            return self._by_moto(environ)
        with self._lock:
            self._calls[call.name] += 1
        try:
            self._refuse(call)
            answer = self._tokens.once(call, lambda: self._done(call, environ))
        except AwsError as error:
            return error_answer(call, error)
        except Exception as error:
            _LOGGER.exception("the fake AWS cannot do %s", call.name)
            return error_answer(call, AwsError("InternalError", f"{type(error).__name__}: {error}"))
        fault = self._faults.of_call(call.name, after=True)
        return answer if fault is None else error_answer(call, AwsError(fault.code, fault.message))

    def _refuse(self, call: Call) -> None:
        fault = self._faults.of_call(call.name)
        if fault is not None:
            raise AwsError(fault.code, fault.message)
        denied = self.permit(call)
        if denied is not None:
            raise denied
        if call.params.get("DryRun"):
            raise AwsError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")

    def _done(self, call: Call, environ: Environ) -> Answer:
        try:
            if raw := self.raw_operations.get(call.name):
                return raw(call, environ)
            operation = self.operations.get(call.name)
            result = operation(call) if operation else None
        except ServiceException as error:
            raise AwsError(error.code, error.message) from error
        except HTTPException as error:
            raise AwsError(getattr(error, "error_type", "InvalidRequest"), getattr(error, "message", "")) from error
        return self._by_moto(environ, call) if result is None else answer_of(call, result)

    def _by_moto(self, environ: Environ, call: Call | None = None) -> Answer:
        # Moto looks at shared tables without locks: two conditional puts at once would both succeed.
        if call is not None and call.name == "sqs:ReceiveMessage":
            return self.by_moto(environ)
        with self._moto_lock:
            return self.by_moto(environ)

    def by_moto(self, environ: Environ) -> Answer:
        """What moto answers."""
        begun: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> None:
            begun.append((status, list(headers)))

        parts = self._moto(environ, start_response)
        try:
            body = b"".join(parts)
        finally:
            if hasattr(parts, "close"):
                parts.close()
        status, headers = begun[-1]
        return Answer(int(status.split()[0]), tuple(headers), body)
