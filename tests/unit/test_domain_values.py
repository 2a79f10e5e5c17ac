"""The values that everybody passes around: what they refuse, and how an artifact is written down."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mark.domain.artifact import ModelArtifact, artifact_from_json, artifact_to_json
from mark.domain.fleet import Instance, InstanceId, InstanceState, capacity_ready_per_s
from mark.domain.offering import Market, Offering
from mark.domain.profile import Profile, ProfilePoint
from mark.domain.signature import ModelSignature, TensorSpec
from mark.domain.slo import Slo
from mark.domain.trace import Trace

OFFERING = Offering("small", Market.ON_DEMAND, price_usd_per_hour=0.1, boot_s=1.0, max_count=2)
ARTIFACT = ModelArtifact(
    ModelSignature(
        "digits", "3", (TensorSpec("image", "FP32", (-1, 1, 8, 8)),), (TensorSpec("logits", "FP32", (-1, 10)),), 32
    ),
    "torchscript",
    "/models/digits.pt",
)


class TestOffering:
    @pytest.mark.parametrize("field", ["price_usd_per_hour", "boot_s"])
    @pytest.mark.parametrize("value", [-0.1, float("nan")])
    def test_prices_and_times_are_not_negative(self, field: str, value: Any) -> None:
        with pytest.raises(ValueError, match="offering small: price_usd_per_hour and boot_s must not be negative"):
            replace(OFFERING, **{field: value})

    @pytest.mark.parametrize(
        ("field", "value"), [("max_count", 0), ("threads", 0), ("cpu_share", 0.0), ("cpu_share", 1.1)]
    )
    def test_an_offering_without_power_is_refused(self, field: str, value: Any) -> None:
        with pytest.raises(ValueError, match="offering small: needs max_count >= 1"):
            replace(OFFERING, **{field: value})

    def test_what_is_free_and_instant_is_allowed(self) -> None:
        assert replace(OFFERING, price_usd_per_hour=0.0, boot_s=0.0, cpu_share=1.0).boot_s == 0.0

    def test_it_does_not_change(self) -> None:
        with pytest.raises(FrozenInstanceError):
            OFFERING.max_count = 3  # type: ignore[misc]


class TestSlo:
    def test_it_is_told_in_nanoseconds_inside(self) -> None:
        assert Slo(rt_max_ms=12.5, sl_min=0.98).rt_max_ns == 12_500_000

    @pytest.mark.parametrize("rt_max_ms", [0.0, -1.0, float("nan")])
    def test_a_response_takes_time(self, rt_max_ms: float) -> None:
        with pytest.raises(ValueError, match="rt_max_ms must be positive"):
            Slo(rt_max_ms, 0.9)

    @pytest.mark.parametrize("sl_min", [0.0, 1.01, float("nan")])
    def test_a_share_lies_between_nothing_and_all(self, sl_min: float) -> None:
        with pytest.raises(ValueError, match="sl_min must lie in"):
            Slo(10.0, sl_min)


class TestProfile:
    def test_points_are_told_as_columns(self) -> None:
        profile = Profile((ProfilePoint(1, 0.5), ProfilePoint(8, 2.0)))

        assert (profile.rows, profile.latencies_ns) == ([1, 8], [500_000, 2_000_000])

    def test_a_latency_is_a_nanosecond_at_least(self) -> None:
        assert Profile((ProfilePoint(1, 1e-9),)).latencies_ns == [1]

    @pytest.mark.parametrize(
        ("points", "words"),
        [
            ((), "at least one point"),
            ((ProfilePoint(0, 1.0),), "rows >= 1 and latency_ms > 0"),
            ((ProfilePoint(1, 0.0),), "rows >= 1 and latency_ms > 0"),
            ((ProfilePoint(1, float("nan")),), "rows >= 1 and latency_ms > 0"),
            ((ProfilePoint(2, 1.0), ProfilePoint(1, 2.0)), r"increasing rows, not \[2, 1\]"),
            ((ProfilePoint(2, 1.0), ProfilePoint(2, 2.0)), r"increasing rows, not \[2, 2\]"),
        ],
    )
    def test_points_that_make_no_curve_are_refused(self, points: tuple[ProfilePoint, ...], words: str) -> None:
        with pytest.raises(ValueError, match=words):
            Profile(points)


class TestTrace:
    def test_it_lasts_as_long_as_its_bins(self) -> None:
        assert Trace(60.0, np.array([1.0, 2.0, 3.0])).duration_s == 180.0

    @pytest.mark.parametrize("bin_s", [0.0, -1.0, float("nan")])
    def test_a_bin_takes_time(self, bin_s: float) -> None:
        with pytest.raises(ValueError, match="bin_s must be positive"):
            Trace(bin_s, np.array([1.0]))

    @pytest.mark.parametrize("counts", [[[1.0]], [-1.0], [float("inf")], [float("nan")]])
    def test_counts_are_a_flat_row_of_finite_numbers(self, counts: list[Any]) -> None:
        with pytest.raises(ValueError, match="flat array of finite numbers"):
            Trace(1.0, np.array(counts))


names = st.text(min_size=1)
tensors = st.builds(
    TensorSpec, names, st.sampled_from(["FP32", "INT64", "BYTES"]), st.lists(st.integers(-1, 2**40)).map(tuple)
)
artifacts = st.builds(
    ModelArtifact,
    st.builds(
        ModelSignature,
        names,
        names,
        st.lists(tensors, max_size=3).map(tuple),
        st.lists(tensors, max_size=3).map(tuple),
        st.integers(1, 10**6),
    ),
    st.sampled_from(["torchscript", "onnx", "python"]),
    st.text(),
)


class TestArtifactAsJson:
    @given(artifacts)
    def test_whatever_is_written_is_read_again(self, artifact: ModelArtifact) -> None:
        assert artifact_from_json(artifact_to_json(artifact)) == artifact

    def test_it_is_one_line_of_plain_json(self) -> None:
        text = artifact_to_json(ARTIFACT)

        assert "\n" not in text
        assert json.loads(text)["signature"]["inputs"] == [
            {"name": "image", "datatype": "FP32", "shape": [-1, 1, 8, 8]}
        ]

    @pytest.mark.parametrize(
        ("spoil", "words"),
        [
            (lambda data: data.pop("source"), "source is missing"),
            (lambda data: data.update(source=None), "source must be a string, not None"),
            (lambda data: data.update(signature=[]), r"signature must be an object, not \[\]"),
            (lambda data: data.update(runtime=1), "runtime must be a string, not 1"),
            (lambda data: data["signature"].pop("name"), "signature.name is missing"),
            (lambda data: data["signature"].update(version=3), "signature.version must be a string, not 3"),
            (lambda data: data["signature"].update(rows_max=2.5), "signature.rows_max must be a whole number, not 2.5"),
            (lambda data: data["signature"].update(rows_max=True), "rows_max must be a whole number, not True"),
            (lambda data: data["signature"].update(inputs={}), r"signature.inputs must be a list, not \{\}"),
            (lambda data: data["signature"].update(outputs=["y"]), r"signature.outputs\[0\] must be an object"),
            (lambda data: data["signature"]["inputs"][0].pop("shape"), r"signature.inputs\[0\].shape is missing"),
            (lambda data: data["signature"]["inputs"][0].update(shape="12"), r"inputs\[0\].shape must be a list"),
            (lambda data: data["signature"]["inputs"][0].update(shape=[-1, "8"]), "shape must hold whole numbers"),
        ],
    )
    def test_a_wrong_field_is_named(self, spoil: Callable[[dict[str, Any]], object], words: str) -> None:
        data = json.loads(artifact_to_json(ARTIFACT))
        spoil(data)

        with pytest.raises(ValueError, match=f"^is not an artifact: .*{words}"):
            artifact_from_json(json.dumps(data))


def test_capacity_is_of_what_answers_and_is_not_drained() -> None:
    states = (InstanceState.READY, InstanceState.READY, InstanceState.PENDING, InstanceState.GONE, InstanceState.READY)
    instances = [Instance(InstanceId(str(at)), "small", "m", state, 0) for at, state in enumerate(states)]
    instances.append(Instance(InstanceId("other"), "unknown", "m", InstanceState.READY, 0))

    assert capacity_ready_per_s(instances, {InstanceId("4")}, {"small": 10.0}) == 20.0
