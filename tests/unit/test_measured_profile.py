"""Measured profiles: the fit, the text of the file, and what of it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mark.domain.measured_profile import BatchMeasurement, MeasuredModel, MeasuredProfile, WorkerKind, fit
from mark.domain.offering import Market, Offering
from mark.domain.profile_text import measured_model_from_json, measured_model_to_json
from mark.domain.signature import ModelSignature, TensorSpec, signature_hash

SIGNATURE = ModelSignature("m", "1", (TensorSpec("x", "FP32", (-1, 2)),), (TensorSpec("y", "FP32", (-1, 2)),), 8)
OFFERING = Offering("small", Market.ON_DEMAND, 0.1, boot_s=0.0, max_count=1)


def batch(rows: int, p99_ms: float) -> BatchMeasurement:
    return BatchMeasurement(rows, 400, p99_ms / 2, p99_ms * 0.9, p99_ms, p99_ms * 0.95, p99_ms * 1.1)


def measured(*latencies: tuple[int, float]) -> MeasuredModel:
    profile = MeasuredProfile(WorkerKind(), tuple(batch(rows, p99_ms) for rows, p99_ms in latencies))
    return MeasuredModel("m", "1", signature_hash(SIGNATURE), "2026-01-02T03:04:05+00:00", "a machine", (profile,))


GOOD = measured((1, 5.0), (2, 4.0), (4, 8.0))


class TestFit:
    def test_what_is_faster_than_a_smaller_batch_is_held_to_it(self) -> None:
        profile = fit([batch(1, 5.0), batch(2, 4.0), batch(4, 8.0), batch(8, 7.0)])

        assert [(point.rows, point.latency_ms) for point in profile.points] == [(1, 5.0), (2, 5.0), (4, 8.0), (8, 8.0)]

    @given(st.dictionaries(st.integers(1, 100), st.floats(0.01, 1e4), min_size=1, max_size=8))
    def test_it_is_the_least_monotone_bound(self, latencies: dict[int, float]) -> None:
        batches = [batch(rows, latencies[rows]) for rows in sorted(latencies)]
        fitted = [point.latency_ms for point in fit(batches).points]

        assert fitted == sorted(fitted)
        for index, latency_ms in enumerate(fitted):
            assert latency_ms == pytest.approx(max(each.p99_ms for each in batches[: index + 1]), abs=1e-6)

    def test_nothing_measured_has_no_fit(self) -> None:
        with pytest.raises(ValueError, match="no points; measure at least one"):
            fit([])
        with pytest.raises(ValueError, match="nothing was measured on cpu, 1 thread"):
            MeasuredProfile(WorkerKind(), ())


class TestFor:
    def test_a_model_is_told_by_name_version_and_tensors(self) -> None:
        GOOD.check_model(replace(SIGNATURE, rows_max=64))
        with pytest.raises(ValueError, match="is of model 'm' version '1', not of 'm' version '2'"):
            GOOD.check_model(replace(SIGNATURE, version="2"))
        with pytest.raises(ValueError, match="is of model 'm' version '1', not of 'n'"):
            GOOD.check_model(replace(SIGNATURE, name="n"))
        with pytest.raises(ValueError, match="with other inputs or outputs"):
            GOOD.check_model(replace(SIGNATURE, inputs=(TensorSpec("x", "FP32", (-1, 3)),)))

    def test_an_offering_gets_the_profile_of_its_kind_of_worker(self) -> None:
        fast = MeasuredProfile(WorkerKind("cuda", 2, 0.5), (batch(1, 1.0),))
        both = replace(GOOD, profiles=(*GOOD.profiles, fast))

        assert both.profile_for(OFFERING) == fit(GOOD.profiles[0].batches)
        assert both.profile_for(replace(OFFERING, device="cuda:1", threads=2, cpu_share=0.5)) == fit(fast.batches)
        with pytest.raises(ValueError, match="was not measured on cpu, 2 threads, as offering small is, but on cpu, 1"):
            GOOD.profile_for(replace(OFFERING, threads=2))

    def test_a_kind_of_worker_is_measured_once(self) -> None:
        with pytest.raises(ValueError, match="each of another kind"):
            replace(GOOD, profiles=GOOD.profiles * 2)
        with pytest.raises(ValueError, match="one profile or more"):
            replace(GOOD, profiles=())


class TestText:
    @pytest.mark.parametrize("p99_high_ms", [6.5, None])
    def test_it_survives_being_written(self, p99_high_ms: float | None) -> None:
        batches = tuple(replace(each, p99_high_ms=p99_high_ms) for each in GOOD.profiles[0].batches)
        before = replace(GOOD, profiles=(replace(GOOD.profiles[0], batches=batches),))

        assert measured_model_from_json(measured_model_to_json(before)) == before

    @pytest.mark.parametrize("text", ["", "{", "nonsense", "[" * 100_000])
    def test_garbage_is_no_json(self, text: str) -> None:
        with pytest.raises(ValueError, match="is no profile: it is not JSON"):
            measured_model_from_json(text)

    @pytest.mark.parametrize("text", ["{}", "[]", "3", "null", '{"format": "other"}'])
    def test_other_json_is_no_profile(self, text: str) -> None:
        with pytest.raises(ValueError, match='is no profile: it has no "format": "mark-profile"'):
            measured_model_from_json(text)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda file: file.update(format_version=2), "is written in version 2 of the format; this mark reads"),
            (lambda file: file.pop("format_version"), "is written in version null"),
            (lambda file: file.pop("machine"), "machine is missing"),
            (lambda file: file["model"].update(name=3), "model.name must be a string, not 3"),
            (lambda file: file.update(model=[]), r"model must be an object, not \[\]"),
            (lambda file: file.update(workers=[]), "workers must be a list that is not empty"),
            (lambda file: file.update(workers=[1]), r"workers\[0\] must be an object, not 1"),
            (
                lambda file: file["workers"][0].update(batches=[]),
                r"workers\[0\].batches must be a list that is not empty",
            ),
            (lambda file: file["workers"][0].update(device="tpu"), "device must be cpu, cuda or cuda:N, not 'tpu'"),
            (lambda file: file["workers"][0].update(threads=True), r"workers\[0\].threads must be a whole number"),
            (lambda file: first(file).update(p99_ms=float("nan")), r"batches\[0\].p99_ms must be a positive number"),
            (lambda file: first(file).update(p99_ms=-1), r"batches\[0\].p99_ms must be a positive number, not -1"),
            (lambda file: first(file).update(p50_ms=6.0), "1 rows need 0 < p50_ms <= p95_ms <= p99_ms, not 6"),
            (lambda file: first(file).update(runs=0), "rows and runs must be positive, not 1 and 0"),
            (lambda file: first(file).update(rows=2), "rows must increase, but 2 follows 2"),
            (
                lambda file: first(file).update(latency_ms=9.0),
                r"batches\[0\].latency_ms is 9, but .* make it 5: a larger",
            ),
            (lambda file: file["workers"][0]["batches"][1].update(latency_ms=4.0), "a larger batch is never faster"),
        ],
    )
    def test_what_is_wrong_is_named(self, change: Callable[[Any], object], words: str) -> None:
        file = json.loads(measured_model_to_json(GOOD))
        change(file)

        with pytest.raises(ValueError, match=words):
            measured_model_from_json(json.dumps(file))


def first(file: Any) -> Any:
    return file["workers"][0]["batches"][0]
