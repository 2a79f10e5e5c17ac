"""Takes ended spans once in a while, on a thread of its own, and sends them to a receiver of OTLP."""

from __future__ import annotations

import logging
import secrets
import threading
import time

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from mark import __version__
from mark._core import Tracer
from mark.tracing.params import TracingParams
from mark.tracing.spans import spans_of

__all__ = ["TraceExport"]

_log = logging.getLogger(__name__)
_exporters_log = logging.getLogger("opentelemetry.exporter.otlp.proto.grpc.exporter")

_EVERY_S = 1.0
_PAUSE_MAX_S = 30.0  # after failures, each doubling the pause
_SPANS_MAX = 512  # in one message: receivers take 4 MiB
_TIMEOUT_S = 5.0  # of one message, the exporter's own retries included
_LAST_S = 2.0  # for what is exported at the end
_CLOCK_LOOKS = 5


class TraceExport:
    """The tracer of a process, and the thread that exports what it notes.

    What cannot be exported is lost, counted, and told in the log once; so is what ends faster than it is exported.

    Thread safety: `start` and `close` belong to one thread, once each; the rest may be called from any.

    Invariants:
        - each span that the tracer gave is exported or counted as failed;
        - neither a request nor the event loop ever waits for the receiver.
    """

    def __init__(self, params: TracingParams, lanes: int = 1, exporter: SpanExporter | None = None) -> None:
        """Make a tracer with so many lanes; `exporter` takes the spans instead of the receiver at the endpoint."""
        self.tracer = Tracer(share=params.sample_share, lanes=lanes, seed=secrets.randbits(64))
        self._endpoint = params.endpoint
        self._exporter = exporter or OTLPSpanExporter(endpoint=params.endpoint, timeout=_TIMEOUT_S)
        self._resource = Resource.create({"service.name": params.service_name, "service.version": __version__})
        self._words = _LastWords()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mark-traces", daemon=True)
        self._exported = 0
        self._failed = 0
        self._failures = 0  # in a row
        self._told_dropped = 0

    def start(self) -> None:
        """Begin to export."""
        _exporters_log.addHandler(self._words)
        _exporters_log.propagate = False  # its words go into ours, once instead of every time
        self._thread.start()

    def close(self) -> None:
        """Export what has ended, for a moment at the most, and end the thread. May block; idempotent."""
        if self._closing.is_set():
            return
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join(_LAST_S)
        self._exporter.shutdown()  # ends a retry, too
        if self._thread.ident is not None:
            self._thread.join(_TIMEOUT_S)
            _exporters_log.removeHandler(self._words)
            _exporters_log.propagate = True

    def counts(self) -> dict[str, int]:
        """Requests that were sampled and have ended; spans that were exported, that could not be, that had no room."""
        core = self.tracer.counts()
        return {
            "requests": core["requests"],
            "spans_exported": self._exported,
            "spans_failed": self._failed,
            "spans_dropped": core["spans_dropped"],
        }

    def _run(self) -> None:
        while not self._closing.wait(self._pause_s()):
            self._export_ended()
        self._export_ended()

    def _pause_s(self) -> float:
        return min(_PAUSE_MAX_S, _EVERY_S * 2.0 ** min(self._failures, 10))

    def _export_ended(self) -> None:
        ahead_ns = _ahead_ns()
        ended = self.tracer.take()
        for at in range(0, len(ended), _SPANS_MAX):
            part = ended[at : at + _SPANS_MAX]
            if not self._export(spans_of(part, self._resource, lambda steady_ns: steady_ns + ahead_ns)):
                self._failed += len(ended) - at
                break
        dropped = self.tracer.counts()["spans_dropped"]
        if dropped > self._told_dropped:
            _log.warning("traces: %d spans were dropped: more ended than were exported", dropped - self._told_dropped)
            self._told_dropped = dropped

    def _export(self, spans: list[ReadableSpan]) -> bool:
        self._words.last = ""
        try:
            succeeded = self._exporter.export(spans) is SpanExportResult.SUCCESS
        except Exception as error:  # noqa: BLE001 - whatever an exporter raises, the next spans are tried again
            self._words.last = f"{type(error).__name__}: {error}"
            succeeded = False
        if succeeded:
            if self._failures > 0:
                _log.warning("traces: %s takes spans again; %d were lost", self._endpoint, self._failed)
            self._exported += len(spans)
            self._failures = 0
            return True
        if self._failures == 0:
            why = self._words.last or "it does not say why"
            _log.warning("traces: %s does not take spans, which are lost until it does: %s", self._endpoint, why)
        self._failures += 1
        return False


def _ahead_ns() -> int:
    """How far the clock of the day is ahead of the steady one.

    Of several looks the one that took least: this thread may lose its core between the two clocks, and then spans would
    be moved by as much.
    """
    looks = []
    for _ in range(_CLOCK_LOOKS):
        before_ns, unix_ns, after_ns = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        looks.append((after_ns - before_ns, unix_ns - (before_ns + after_ns) // 2))
    return min(looks)[1]


class _LastWords(logging.Handler):
    """Keeps what the exporter last said of a failure: its result does not say why."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()
