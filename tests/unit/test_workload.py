"""Traces, arrival instants, random requests and the report on what became of them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mark import _core
from mark.domain.signature import ModelSignature, TensorSpec
from mark.domain.trace import Trace
from mark.errors import ConfigError, InvalidRequest
from mark.workload import arrivals
from mark.workload.random_requests import random_requests
from mark.workload.report import OK, LoadReport
from mark.workload.trace_file import read_trace, slice_trace

SHARED_TRACES = Path(__file__).resolve().parents[3] / "shared" / "traces"


class TestTraceFile:
    def write(self, folder: Path, text: str) -> Path:
        path = folder / "trace.csv"
        path.write_text(text, encoding="utf-8")
        return path

    def test_the_header_says_the_bin(self, tmp_path: Path) -> None:
        trace = read_trace(self.write(tmp_path, "minute,requests\n0,3\n1,5\n"))

        assert (trace.bin_s, trace.counts.tolist(), trace.duration_s) == (60.0, [3.0, 5.0], 120.0)

    def test_bins_that_are_left_out_are_empty(self, tmp_path: Path) -> None:
        assert read_trace(self.write(tmp_path, "second,requests\n5,1\n\n6,3\n8,2\n")).counts.tolist() == [1, 3, 0, 2]

    def test_bins_are_as_long_as_the_step_between_lines(self, tmp_path: Path) -> None:
        trace = read_trace(self.write(tmp_path, "second,requests\n0,10\n5,20\n15,30\n"))

        assert (trace.bin_s, trace.counts.tolist()) == (5.0, [10.0, 20.0, 0.0, 30.0])

    def test_gzip_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "trace.csv.gz"
        path.write_bytes(gzip.compress(b"second,requests\n0,4\n"))

        assert read_trace(path).counts.tolist() == [4]

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("hour,requests\n0,1\n", r"trace\.csv:1: the header must be"),
            ("", r"trace\.csv:1: the header must be"),
            ("second,requests\n", "has no bins"),
            ("second,requests\n0,1\n1,x\n", r"trace\.csv:3: must be a bin and a number"),
            ("second,requests\n0\n", r"trace\.csv:2: must be a bin and a number"),
            ("second,requests\n0,1,2\n", r"trace\.csv:2: must be a bin and a number"),
            ("second,requests\n0,-1\n", r"trace\.csv:2: neither may be negative"),
            ("second,requests\n-1,1\n", r"trace\.csv:2: neither may be negative"),
            ("second,requests\n0,nan\n", r"trace\.csv:2: neither may be negative"),
            ("second,requests\n0,inf\n", r"trace\.csv:2: neither may be negative"),
            ("second,requests\n3,1\n3,1\n", r"trace\.csv:3: seconds must increase, but 3 follows 3"),
            ("second,requests\n0,1\n99999999999999999999,1\n", "is 99999999999999999999 a slip"),
        ],
    )
    def test_a_wrong_line_is_named(self, tmp_path: Path, text: str, words: str) -> None:
        with pytest.raises(ConfigError, match=words):
            read_trace(self.write(tmp_path, text))

    def test_a_file_that_cannot_be_read_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="absent"):
            read_trace(tmp_path / "absent.csv")

    def test_a_broken_archive_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "trace.csv.gz"
        path.write_bytes(gzip.compress(b"second,requests\n0,1\n")[:-12] + b"x" * 12)

        with pytest.raises(ConfigError, match=r"trace\.csv\.gz: cannot be read"):
            read_trace(path)

    def test_a_slice_is_the_bins_that_begin_in_it(self) -> None:
        trace = Trace(5.0, np.arange(6.0))

        assert slice_trace(trace, 5.0, 15.0).counts.tolist() == [1, 2, 3]
        assert slice_trace(trace, 12.0).counts.tolist() == [3, 4, 5]
        assert slice_trace(trace, 5.0).bin_s == 5.0
        with pytest.raises(ValueError, match="must hold a bin"):
            slice_trace(trace, 30.0)

    @pytest.mark.skipif(not SHARED_TRACES.is_dir(), reason="the shared traces are not here")
    def test_real_traces_are_read(self) -> None:
        trace = read_trace(SHARED_TRACES / "azure_llm2023_conv_per_second.csv")

        assert trace.bin_s == 1.0
        assert trace.counts.max() == 19


class TestArrivals:
    def test_constant_gaps_are_equal(self) -> None:
        np.testing.assert_allclose(arrivals.constant(10.0, 0.3), [0.0, 0.1, 0.2])

    def test_poisson_is_reproducible_and_has_its_rate(self) -> None:
        first, again = arrivals.poisson(200.0, 50.0, 3), arrivals.poisson(200.0, 50.0, 3)

        np.testing.assert_array_equal(first, again)
        assert len(first) == pytest.approx(10_000, rel=0.05)
        gaps = np.diff(first)
        assert gaps.std() / gaps.mean() == pytest.approx(1.0, abs=0.05)  # exponential, not constant

    def test_a_trace_keeps_its_counts(self) -> None:
        instants = arrivals.from_trace(Trace(1.0, np.array([3.0, 0.0, 5.0])), seed=1)

        assert np.bincount(instants.astype(int)).tolist() == [3, 0, 5]

    def test_inexact_counts_scatter_about_the_recorded_ones(self) -> None:
        trace = Trace(1.0, np.full(400, 25.0))

        counts = np.bincount(arrivals.from_trace(trace, seed=3, exact=False).astype(int), minlength=400)

        assert counts.mean() == pytest.approx(25.0, rel=0.05)
        assert counts.var() == pytest.approx(25.0, rel=0.25)  # Poisson: as large as the mean

    @given(st.floats(0.1, 20), st.floats(0.1, 20), st.integers(0, 1000))
    def test_scale_multiplies_and_speed_compresses(self, scale: float, speed: float, seed: int) -> None:
        trace = Trace(1.0, np.full(50, 10.0))

        instants = arrivals.from_trace(trace, scale=scale, speed=speed, seed=seed)

        assert abs(len(instants) - 500 * scale) <= 50
        assert np.all(np.diff(instants) >= 0)
        assert not len(instants) or instants[-1] < 50 / speed

    def test_a_day_rises_to_its_peak_and_falls(self) -> None:
        instants = arrivals.daily(peak_per_s=200.0, valley_per_s=20.0, duration_s=60.0, seed=2)
        rates = np.bincount(instants.astype(int), minlength=60)

        assert rates[:4].mean() < 60
        assert rates[26:34].mean() > 150
        assert rates[-4:].mean() < 60
        np.testing.assert_array_equal(
            instants, arrivals.daily(peak_per_s=200.0, valley_per_s=20.0, duration_s=60.0, seed=2)
        )

    def test_nonsense_is_refused(self) -> None:
        trace = Trace(1.0, np.ones(2))
        calls: list[Callable[[], object]] = [
            lambda: arrivals.constant(0.0, 1.0),
            lambda: arrivals.poisson(1.0, float("inf"), 0),
            lambda: arrivals.constant(1e9, 3600.0),  # would fill the memory
            lambda: arrivals.poisson(1e9, 3600.0, 0),
            lambda: arrivals.daily(peak_per_s=1e9, valley_per_s=2.0, duration_s=3600.0, seed=0),
            lambda: arrivals.from_trace(trace, scale=1e12),
            lambda: arrivals.from_trace(trace, scale=0.0),
            lambda: arrivals.from_trace(trace, scale=float("inf")),
            lambda: arrivals.from_trace(trace, speed=float("inf")),
            lambda: arrivals.from_trace(trace, speed=-1.0),
            lambda: arrivals.daily(peak_per_s=1.0, valley_per_s=2.0, duration_s=1.0, seed=0),
        ]
        for call in calls:
            with pytest.raises(ValueError, match="must"):
                call()


class TestRandomRequests:
    SIGNATURE = ModelSignature(
        "m", "1",
        (TensorSpec("f", "FP16", (-1, 3)), TensorSpec("b", "BOOL", (-1,)), TensorSpec("s", "BYTES", (-1, -1))),
        (TensorSpec("y", "FP32", (-1,)),),
        4,
    )  # fmt: skip

    def test_they_are_valid_for_the_model_and_reproducible(self) -> None:
        core = _core.ModelSignature(
            "m", "1", [(t.name, t.datatype, t.shape) for t in self.SIGNATURE.inputs], [("y", "FP32", [-1])], 4
        )

        requests = random_requests(self.SIGNATURE, rows=2, seed=5)

        for request in requests:
            parsed = _core.parse_infer_request(request, core)
            assert isinstance(parsed, _core.InferRequest)
            assert parsed.rows == 2
        assert len(set(requests)) == len(requests)
        assert requests == random_requests(self.SIGNATURE, rows=2, seed=5)

    def test_a_datatype_that_the_protocol_lacks_is_named(self) -> None:
        foreign = ModelSignature("m", "1", (TensorSpec("x", "FP8", (-1, 2)),), (), 0)

        with pytest.raises(InvalidRequest, match="input 'x': unknown datatype 'FP8'"):
            random_requests(foreign, rows=1, seed=0)

    def test_rows_must_be_positive(self) -> None:
        with pytest.raises(ValueError, match="rows must be at least 1"):
            random_requests(self.SIGNATURE, rows=0, seed=0)


def report(latencies_ms: list[float], statuses: list[str], instants_s: list[float] | None = None) -> LoadReport:
    return LoadReport(
        instants_s=np.array(instants_s if instants_s is not None else range(len(statuses)), dtype=float),
        latencies_ms=np.array(latencies_ms),
        lags_ms=np.zeros(len(statuses)),
        statuses=tuple(statuses),
        answers_wrong=0,
        duration_s=10.0,
    )


class TestReport:
    def test_late_and_failed_requests_both_break_the_promise(self) -> None:
        done = report([50.0, 150.0, 10.0, 90.0], [OK, OK, "Overloaded", OK])

        assert done.attainment(100.0) == 0.5
        figures = done.as_dict(100.0)
        assert (figures["requests"], figures["answered"]) == (4, 3)
        assert figures["by_status"] == {OK: 3, "Overloaded": 1}
        assert figures["latency_ms"]["max"] == 150.0
        assert figures["latency_ms"]["p50"] == 90.0
        assert [row["violations"] for row in figures["per_second"]] == [0, 1, 1, 0]

    def test_seconds_are_of_the_planned_instants(self) -> None:
        rows = report([10.0, 20.0, 3000.0], [OK, "Overloaded", OK], [0.5, 0.9, 2.0]).as_dict(100.0)["per_second"]

        assert [row["sent"] for row in rows] == [2, 0, 1]
        assert [row["answered"] for row in rows] == [1, 0, 1]
        assert [row["violations"] for row in rows] == [1, 0, 1]
        assert [row["p98_ms"] for row in rows] == [10.0, 0.0, 3000.0]

    def test_waiting_for_the_last_answers_offers_nothing(self) -> None:
        figures = report([1.0] * 5, [OK] * 5, [0.0, 0.25, 0.5, 0.75, 1.0]).as_dict(100.0)

        assert figures["offered_per_s"] == 4.0  # though the run took 10 s
        assert figures["answered_per_s"] == 0.5
        assert report([1.0], [OK]).as_dict(100.0)["offered_per_s"] == 0.1

    def test_the_report_is_json(self) -> None:
        figures = report([1.0, 2.0], [OK, OK]).as_dict(100.0)

        assert json.loads(json.dumps(figures, allow_nan=False)) == figures

    def test_a_quick_refusal_is_no_quick_answer(self) -> None:
        assert report([1.0], ["Overloaded"]).attainment(100.0) == 0.0

    def test_the_peak_is_the_busiest_window(self) -> None:
        assert report([1.0] * 5, [OK] * 5, [0.1, 0.2, 0.9, 2.5, 2.6]).peak_rate_per_s(1.0) == 3.0
        assert report([], []).peak_rate_per_s(1.0) == 0.0

    def test_nothing_sent_is_no_broken_promise(self) -> None:
        empty = report([], [])

        assert empty.attainment(100.0) == 1.0
        assert empty.as_dict(100.0)["latency_ms"]["p99"] == 0.0
