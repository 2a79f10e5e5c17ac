"""A model as a serverless function: one JSON event in, one JSON answer out, as AWS Lambda carries them."""

from __future__ import annotations

import base64
import binascii
import contextlib
import logging
import os
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mark.domain.artifact import ModelArtifact
from mark.errors import InvalidRequest, ModelFailed, RequestError
from mark.protocol.error_names import details_of, status_name_of

__all__ = ["ANSWER_BYTES_MAX", "FunctionService", "load_function", "process_age_s"]

_log = logging.getLogger(__name__)

ANSWER_BYTES_MAX = 6 * 1024 * 1024  # of a synchronous answer of AWS Lambda
_ENVELOPE_BYTES = 1024  # what is around the message in an answer, generously
_HOLD_MS_MAX = 1000.0

Answer = Callable[[bytes], bytes]
"""A ModelInferRequest -> a ModelInferResponse. May raise a RequestError."""


class FunctionService:
    """Answers events, one at a time.

    An event is `{"request": base64 of a ModelInferRequest}` or `{"ping": true}`; that of a request which is traced has
    `traceparent` and `tracestate` (W3C), too, for whoever wraps the handler. The answer to a request is
    `{"response": base64 of a ModelInferResponse}` or `{"error": {"code": name of a gRPC status, "message": ...}}`.
    Each answer also says what it took: `ran_ms`; for the first one of a process `cold: true` and `start_ms`, which is
    billed like the rest; and which process it was (`instance`). A ping with `hold_ms` keeps the function busy for so
    long, so that several at once reach as many functions.

    Thread safety: none; a function serves one event at a time.
    """

    def __init__(self, answer: Answer, start_s: float) -> None:
        """Serve with a model that is loaded.

        Args:
            answer: runs the model.
            start_s: how long it took from the start of the process until now.
        """
        self._answer = answer
        self._start_ms: float | None = start_s * 1000
        self._instance = uuid.uuid4().hex[:12]

    def handle(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one event; what the request or the model does wrong is an answer, too."""
        began_s = time.perf_counter()
        try:
            told = self._told(event)
        except RequestError as error:
            told = {"error": _described(error)}
        start_ms, self._start_ms = self._start_ms, None
        cold = {} if start_ms is None else {"start_ms": start_ms}
        ran_ms = (time.perf_counter() - began_s) * 1000
        return {**told, **cold, "cold": start_ms is not None, "ran_ms": ran_ms, "instance": self._instance}

    def _told(self, event: Mapping[str, Any]) -> dict[str, Any]:
        if event.get("ping"):
            time.sleep(min(max(0.0, float(event.get("hold_ms", 0.0))), _HOLD_MS_MAX) / 1000)
            return {"ping": True}
        response = base64.b64encode(self._answer(_message_of(event))).decode("ascii")
        if len(response) + _ENVELOPE_BYTES > ANSWER_BYTES_MAX:
            raise ModelFailed(
                f"the answer takes {len(response)} bytes as base64, and a function's may take {ANSWER_BYTES_MAX}; "
                "send fewer rows at once"
            )
        return {"response": response}


def load_function(artifact: ModelArtifact, threads: int) -> FunctionService:
    """Load a model as a worker does, and put it behind events.

    Raises:
        ModelLoadError: the model does not load.
        ConfigError: `threads` makes no sense.
    """
    from mark.worker.loading import load_warm

    model = load_warm(artifact, threads)
    from mark.worker.inference import Inference

    inference = Inference(artifact.signature, model)
    return FunctionService(lambda message: inference.compute(inference.parse(message)), process_age_s())


def process_age_s() -> float:
    """How long ago this process was started, never more; 0 where the system does not tell."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        began_ticks = float(fields[19])  # the 22nd field of proc(5): starttime, rounded down
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - (began_ticks + 1) / os.sysconf("SC_CLK_TCK"))
    _log.warning("this system does not tell when the process began: the start is taken to be free")
    return 0.0


def _message_of(event: Mapping[str, Any]) -> bytes:
    text = event.get("request")
    if not isinstance(text, str):
        raise InvalidRequest(
            "an event needs `request`, a ModelInferRequest as base64, or `ping`; it has "
            f"{', '.join(event) or 'nothing'}"
        )
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"request: is not base64: {error}") from error


def _described(error: RequestError) -> dict[str, str]:
    return {"code": status_name_of(error), "message": details_of(error)}
