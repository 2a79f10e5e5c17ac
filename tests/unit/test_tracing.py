"""Spans of sampled requests: what the core notes as OpenTelemetry has it, and what exports them."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator, Sequence
from itertools import count

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from pydantic import ValidationError
from unit.worker_models import SIGNATURE

from mark._core import BatchTrace, SpanName, Tracer
from mark.config.tracing import TracingConfig
from mark.domain.artifact import ModelArtifact, artifact_to_json
from mark.errors import ConfigError, Overloaded
from mark.tracing import export as trace_export
from mark.tracing.export import TraceExport
from mark.tracing.params import TracingParams, make_trace_export
from mark.tracing.requests import end_batch, sent_headers, traced
from mark.tracing.spans import spans_of
from mark.worker.main import parse_options

TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C
SPAN_ID = 0xB7AD6B7169203331
PARENT = f"00-{TRACE_ID:032x}-{SPAN_ID:016x}-01"
PARAMS = TracingParams("http://127.0.0.1:4317", 1.0, "test")
MS = 1_000_000


class Call:
    """A call of grpcio with headers of its own."""

    def __init__(self, *metadata: tuple[str, str], remaining_s: float | None = None) -> None:
        self._metadata = metadata
        self._remaining_s = remaining_s

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata

    def time_remaining(self) -> float | None:
        return self._remaining_s


def exported(tracer: Tracer) -> list[ReadableSpan]:
    return spans_of(tracer.take(), Resource.create({"service.name": "test"}), lambda steady_ns: steady_ns + 10**18)


def ended_request(tracer: Tracer, parent: str = PARENT) -> None:
    trace = tracer.begin(parent, "", "m", 0)
    assert trace is not None
    trace.end("OK", "", MS)


class TestSpans:
    def test_a_request_is_a_servers_span_below_its_client(self) -> None:
        tracer = Tracer(share=0.0)
        trace = tracer.begin(PARENT, "vendor=1", "m", 3 * MS)
        assert trace is not None
        trace.end("OK", "", 5 * MS)

        (span,) = exported(tracer)

        assert span.name == "inference.GRPCInferenceService/ModelInfer"
        assert span.kind is SpanKind.SERVER
        assert span.context is not None
        assert span.parent is not None
        assert (span.context.trace_id, span.parent.trace_id, span.parent.span_id) == (TRACE_ID, TRACE_ID, SPAN_ID)
        assert span.parent.is_remote
        assert span.context.trace_state.get("vendor") == "1"
        assert (span.start_time, span.end_time) == (10**18 + 3 * MS, 10**18 + 5 * MS)
        assert span.status.status_code is StatusCode.UNSET
        assert dict(span.attributes or {}) == {
            "mark.model": "m",
            "rpc.system": "grpc",
            "rpc.service": "inference.GRPCInferenceService",
            "rpc.method": "ModelInfer",
            "rpc.grpc.status_code": 0,
        }

    @pytest.mark.parametrize(
        ("status", "code", "is_error"),
        [("DEADLINE_EXCEEDED", 4, True), ("INTERNAL", 13, True), ("RESOURCE_EXHAUSTED", 8, False),
         ("INVALID_ARGUMENT", 3, False), ("CANCELLED", 1, False)],
    )  # fmt: skip
    def test_only_what_the_server_did_wrong_is_its_error(self, status: str, code: int, is_error: bool) -> None:
        tracer = Tracer(share=1.0)
        trace = tracer.begin("", "", "m", 0)
        assert trace is not None
        trace.end(status, "why", MS)

        (span,) = exported(tracer)

        assert span.status.is_ok is not is_error
        assert span.status.description == ("why" if is_error else None)
        assert (span.attributes or {})["rpc.grpc.status_code"] == code
        assert span.parent is None

    def test_a_batch_that_is_sent_is_a_clients_span_with_links(self) -> None:
        tracer = Tracer(share=1.0)
        trace = tracer.begin("", "", "m", 0)
        assert trace is not None
        batch = BatchTrace(SpanName.BATCH, trace, rows=3)
        headers = sent_headers(batch, "10.0.0.7:8001", MS)
        end_batch(batch, "UNAVAILABLE", "gone", 2 * MS)
        trace.end("UNAVAILABLE", "gone", 3 * MS)

        sent, request = exported(tracer)

        assert (sent.name, sent.kind) == ("mark.batch", SpanKind.CLIENT)
        assert sent.context is not None
        assert request.context is not None
        assert sent.parent is not None
        assert not sent.parent.is_remote
        assert [link.context.span_id for link in sent.links] == [request.context.span_id]
        assert [link.context.span_id for link in request.links] == [sent.context.span_id]
        assert headers == {"traceparent": f"00-{sent.context.trace_id:032x}-{sent.context.span_id:016x}-01"}
        assert (sent.attributes or {})["mark.worker"] == "10.0.0.7:8001"
        assert (sent.attributes or {})["mark.batch.rows"] == 3
        assert (sent.status.status_code, sent.status.description) == (StatusCode.ERROR, "gone")

    def test_a_model_in_this_process_is_called_by_nobody(self) -> None:
        tracer = Tracer(share=1.0)
        trace = tracer.begin("", "", "m", 0)
        assert trace is not None
        batch = BatchTrace(SpanName.BATCH, trace)
        batch.sent("", 0)
        batch.computed(MS, 2 * MS)
        batch.end("OK", "", 3 * MS)

        compute, whole = exported(tracer)

        assert (compute.name, compute.kind, whole.kind) == ("mark.compute", SpanKind.INTERNAL, SpanKind.INTERNAL)
        assert "rpc.system" not in (whole.attributes or {})
        assert compute.parent is not None
        assert whole.context is not None
        assert compute.parent.span_id == whole.context.span_id

    def test_without_a_trace_nothing_is_sent_along(self) -> None:
        assert sent_headers(None, "worker", 0) == {}
        end_batch(None, "OK", "", 0)


class TestTraced:
    def names(self, tracer: Tracer) -> list[str]:
        return [span.status for span in tracer.take()]

    def test_a_call_is_traced_by_its_headers(self) -> None:
        tracer, clock = Tracer(share=0.0), count(1).__next__
        with traced(
            tracer, Call(("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")), "m", clock
        ) as one:
            assert one is not None
        (span,) = tracer.take()
        assert (span.context.trace_id, span.context.state, span.began_ns, span.ended_ns) == (TRACE_ID, "a=1,b=2", 1, 2)

    @pytest.mark.parametrize("metadata", [(), (("traceparent", PARENT[:-2] + "00"),), (("traceparent", PARENT),) * 2])
    def test_one_that_is_not_sampled_is_not(self, metadata: tuple[tuple[str, str], ...]) -> None:
        tracer = Tracer(share=0.0)
        with traced(tracer, Call(*metadata), "m", count(1).__next__) as trace:
            assert trace is None
        assert tracer.take() == []

    def test_it_ends_as_its_handler_does(self) -> None:
        tracer = Tracer(share=1.0)
        with pytest.raises(Overloaded), traced(tracer, Call(), "m", count(1).__next__):
            raise Overloaded("full")
        with pytest.raises(ZeroDivisionError), traced(tracer, Call(), "m", count(1).__next__):
            raise ZeroDivisionError
        assert self.names(tracer) == ["RESOURCE_EXHAUSTED", "INTERNAL"]


class Receiver(SpanExporter):
    """Fails while it is told to, as the exporter of OTLP does."""

    def __init__(self) -> None:
        self.failing = False
        self.raising = False
        self.batches: list[int] = []
        self.called = threading.Semaphore(0)
        self.shut_down = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        raising, failing = self.raising, self.failing
        self.called.release()  # from here on the test may tell it otherwise
        if raising:
            raise OSError("no route")
        if failing:
            logging.getLogger("opentelemetry.exporter.otlp.proto.grpc.exporter").error("error code: %s", "UNAVAILABLE")
            return SpanExportResult.FAILURE
        self.batches.append(len(spans))
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.shut_down = True


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Receiver:
    monkeypatch.setattr(trace_export, "_EVERY_S", 0.001)
    monkeypatch.setattr(trace_export, "_PAUSE_MAX_S", 0.002)
    monkeypatch.setattr(trace_export, "_LAST_S", 60.0)  # all of it, on however slow a machine
    return Receiver()


@pytest.fixture
def traces(receiver: Receiver) -> Iterator[TraceExport]:
    made = TraceExport(PARAMS, exporter=receiver)
    made.start()
    yield made
    made.close()


class TestExport:
    @pytest.mark.usefixtures("receiver")  # for its patience at the end
    def test_what_ended_is_exported_and_the_rest_at_the_end(self) -> None:
        memory = InMemorySpanExporter()
        traces = TraceExport(PARAMS, exporter=memory)
        ended_request(traces.tracer)
        traces.start()
        traces.close()
        traces.close()

        (span,) = memory.get_finished_spans()
        assert span.resource.attributes["service.name"] == "test"
        assert traces.counts() == {"requests": 1, "spans_exported": 1, "spans_failed": 0, "spans_dropped": 0}
        assert not any(thread.name == "mark-traces" for thread in threading.enumerate())

    def test_a_message_is_no_larger_than_receivers_take(self, traces: TraceExport, receiver: Receiver) -> None:
        for _ in range(1200):
            ended_request(traces.tracer)
        traces.close()

        assert sum(receiver.batches) == 1200
        assert max(receiver.batches) <= 512
        assert receiver.shut_down

    @pytest.mark.parametrize(
        ("fault", "why"), [("failing", "error code: UNAVAILABLE"), ("raising", "OSError: no route")]
    )
    def test_a_failure_is_counted_and_told_once_and_so_is_its_end(
        self,
        traces: TraceExport,
        receiver: Receiver,
        caplog: pytest.LogCaptureFixture,
        fault: str,
        why: str,
    ) -> None:
        setattr(receiver, fault, True)
        for _ in range(3):
            ended_request(traces.tracer)
            assert receiver.called.acquire(timeout=10)
        setattr(receiver, fault, False)
        ended_request(traces.tracer)
        traces.close()

        told = [record.message for record in caplog.records if record.name.startswith("mark")]
        assert len(told) == 2
        assert why in told[0]
        assert "takes spans again; 3 were lost" in told[1]
        assert traces.counts()["spans_failed"] == 3
        assert traces.counts()["spans_exported"] == 1

    def test_what_has_no_room_is_told(self, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
        traces = TraceExport(PARAMS, exporter=receiver)
        for _ in range(20_000):
            ended_request(traces.tracer)
        traces.start()
        traces.close()

        dropped = traces.counts()["spans_dropped"]
        assert dropped == 20_000 - traces.counts()["spans_exported"] > 0
        assert any(f"{dropped} spans were dropped" in record.message for record in caplog.records)


class TestParams:
    @pytest.mark.parametrize(
        "endpoint", ["localhost:4317", "http://localhost", "ftp://a:1", "http://a:1/v1", "http://a:x"]
    )
    def test_an_endpoint_that_is_none_is_refused(self, endpoint: str) -> None:
        with pytest.raises(ValidationError, match="must be http://host:port or https://host:port"):
            TracingConfig(endpoint=endpoint)

    def test_a_share_that_is_none_is_refused(self) -> None:
        with pytest.raises(ValueError, match="between 0 and 1"):
            TracingParams("http://a:1", 1.5, "test")

    @pytest.mark.parametrize(
        "options", [("--trace-endpoint", "collector"), ("--trace-endpoint", "http://a:1", "--trace-share", "2")]
    )
    def test_what_is_wrong_on_a_workers_command_line_is_said(self, options: tuple[str, ...]) -> None:
        with pytest.raises(ConfigError, match=r"--trace-endpoint, --trace-share: .*(must be http|between 0 and 1)"):
            parse_options(["--artifact", artifact_to_json(ModelArtifact(SIGNATURE, "python", "a:b")), *options])

    def test_workers_trace_what_the_router_sampled(self) -> None:
        settings = TracingConfig(endpoint="https://collector:4317", sample_share=0.5, service_name="digits")
        assert settings.as_params() == TracingParams("https://collector:4317", 0.5, "digits")
        assert settings.as_worker_params() == TracingParams("https://collector:4317", 0.0, "digits-worker")

    def test_without_an_endpoint_nothing_is_traced(self) -> None:
        assert TracingConfig().as_params() is None
        assert TracingConfig().as_worker_params() is None
        assert make_trace_export(None) is None

    def test_what_is_missing_is_said_with_the_command_that_installs_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(sys.modules, "mark.tracing.export")
        for name in [name for name in sys.modules if name.partition(".")[0] == "opentelemetry"]:
            monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(ConfigError) as raised:
            make_trace_export(PARAMS)
        assert "pip install 'mark-serve[tracing]'" in str(raised.value)
