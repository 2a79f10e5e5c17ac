"""`batching.sizes`, from the file to everything that reckons with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from unit.test_burst_loop import LATENCY_NS, PRICE, REFUSAL, echo, value_of
from unit.test_burst_loop import SIGNATURE as BURST_SIGNATURE
from unit.test_profile_command import report, text_of
from unit.test_simulated_file import BURST, scenario_of

from mark import _core
from mark.app.parts import capacities, core_profile, worker_spec
from mark.app.simulation import simulate
from mark.app.tuning import BatchingTuner
from mark.config import ModelConfig, parse_config
from mark.domain.artifact import ModelArtifact, artifact_from_json, artifact_to_json
from mark.domain.profile import Profile, ProfilePoint
from mark.domain.signature import ModelSignature, TensorSpec, signature_hash
from mark.domain.slo import Slo
from mark.errors import ConfigError, InvalidRequest
from mark.live.burst_loop import BurstLoop, BurstLoopParams, GivenUp
from mark.policies.batching_advice import batching_advice
from mark.testing import FakeFunctions, ManualClock
from mark.worker.example_inputs import batch_sizes

FILE = """\
offerings:
  - {{name: small, price_usd_per_hour: 1}}
models:
  - name: m
    runtime: python
    source: m:make
    inputs: [{{name: x, datatype: FP32, shape: [-1]}}]
    outputs: [{{name: y, datatype: FP32, shape: [-1]}}]
    slo: {{rt_max_ms: 100}}
    batching: {{margin_ms: 0, {batching}}}
"""
PROPORTIONAL = Profile((ProfilePoint(1, 10.0), ProfilePoint(8, 80.0)))


def model_of(batching: str) -> ModelConfig:
    return parse_config(FILE.format(batching=batching), name="mark.yaml").models[0]


class TestTheFile:
    def test_the_last_size_is_the_most_rows(self) -> None:
        model = model_of("sizes: [1, 2, 6]")

        assert model.batching.rows_max == model.signature().rows_max == 6
        assert model.signature().sizes == (1, 2, 6)
        assert model_of("sizes: [4], rows_max: 4").batching.rows_max == 4

    @pytest.mark.parametrize("batching", ["rows_max: 16", "rows_max: 16, sizes: []"])
    def test_without_sizes_any_number_of_rows_is_sent(self, batching: str) -> None:
        model = model_of(batching)

        assert (model.batching.rows_max, model.signature().sizes) == (16, ())
        assert model_of("admission: true").batching.rows_max == 32

    @pytest.mark.parametrize(
        ("batching", "words"),
        [
            ("sizes: [1, 4, 2]", "batching.sizes[2]: sizes must increase, but 2 follows 4"),
            ("sizes: [1, 1]", "batching.sizes[1]: sizes must increase, but 1 follows 1"),
            ("sizes: [0, 2]", "batching.sizes[0]: must be greater than or equal to 1"),
            ("sizes: [1, true]", "batching.sizes[1]: must be a number, not true"),
            ("sizes: [1, 70000]", "batching.sizes[1]: must be less than or equal to 65536"),
            ("sizes: 8", "batching.sizes: "),
            ("sizes: [1, 8], rows_max: 16", "batching.sizes: must end with rows_max (16), not 8"),
            ("sizes: [1, 8], rows_max: 4", "batching.sizes: must end with rows_max (4), not 8"),
        ],
    )
    def test_what_makes_no_sense_is_refused_with_its_path(self, batching: str, words: str) -> None:
        with pytest.raises(ConfigError) as refused:
            model_of(batching)

        assert f"models[0].{words}" in str(refused.value)


class TestWhatTheWorkerIsTold:
    SIGNATURE = ModelSignature("m", "1", (TensorSpec("x", "FP32", (-1,)),), (), rows_max=8, sizes=(3, 8))

    def test_it_is_warmed_up_and_measured_with_allowed_sizes_alone(self) -> None:
        assert batch_sizes(self.SIGNATURE) == [3, 8]
        assert batch_sizes(replace(self.SIGNATURE, sizes=())) == [1, 2, 4, 8]

    def test_sizes_reach_it_and_without_them_it_is_told_what_it_always_was(self) -> None:
        artifact = ModelArtifact(self.SIGNATURE, "python", "m:make")
        plain = replace(artifact, signature=replace(self.SIGNATURE, sizes=()))

        assert artifact_from_json(artifact_to_json(artifact)) == artifact
        assert artifact_from_json(artifact_to_json(plain)) == plain
        assert "sizes" not in artifact_to_json(plain)
        assert signature_hash(artifact.signature) == signature_hash(plain.signature)

    @pytest.mark.parametrize("sizes", [["a"], [0], [True]])
    def test_sizes_that_are_none_are_refused(self, sizes: list[object]) -> None:
        data = json.loads(artifact_to_json(ModelArtifact(self.SIGNATURE, "python", "m:make")))
        data["signature"]["sizes"] = sizes

        with pytest.raises(ValueError, match=r"signature\.sizes must hold positive whole numbers"):
            artifact_from_json(json.dumps(data))


class TestWhatIsReckonedWith:
    def test_one_profile_serves_the_dispatcher_and_the_planner(self) -> None:
        model = model_of("sizes: [4, 8]")

        assert core_profile(PROPORTIONAL, model.batching.sizes).predict_ns(1) == 40_000_000
        assert core_profile(PROPORTIONAL).predict_ns(1) == 10_000_000
        assert capacities(model, {"small": PROPORTIONAL}) == {"small": pytest.approx(100.0)}
        dispatcher = _core.Dispatcher(_core.DispatcherParams(100_000_000, rows_max=8))
        dispatcher.worker_up(1, worker_spec(model, PROPORTIONAL), 0)
        dispatcher.submit(_core.request_id(0, 1), 100_000_000, 0, rows=3)
        (dispatch,) = dispatcher.poll(0).dispatches
        assert (dispatch.rows, dispatch.size, dispatch.predicted_finish_ns) == (3, 4, 40_000_000)
        assert dispatcher.statistics().padded_rows == 1

    def test_a_promise_that_padding_breaks_is_refused_with_what_a_row_takes(self) -> None:
        with pytest.raises(ConfigError, match=r"small 120\.0 ms"):
            capacities(model_of("sizes: [12]"), {"small": PROPORTIONAL})

    def test_the_simulator_pads_as_the_router_does(self, tmp_path: Path) -> None:
        rows = ", sizes: [1, 4]"
        scenario = scenario_of(tmp_path, rows)
        sloped = {name: Profile((ProfilePoint(1, 40.0), ProfilePoint(4, 160.0))) for name in scenario.profiles}
        padded = simulate(replace(scenario, profiles=sloped), BURST, "mark")
        plain = simulate(replace(scenario_of(tmp_path), profiles=sloped), BURST, "mark")

        assert padded.latency != plain.latency  # two or three rows take as long as four

    def test_advice_is_about_padded_batches(self) -> None:
        advice = batching_advice(PROPORTIONAL, Slo(65.0, 0.98), 0.0, 8, [1, 2, 4, 8])

        assert advice.n_batch == 4
        assert batching_advice(PROPORTIONAL, Slo(65.0, 0.98), 0.0, 8).n_batch == 6

    def test_the_profile_report_says_so(self) -> None:
        plain = report()
        batching = plain.model.batching.model_copy(update={"sizes": [4, 32]})
        fours = tuple(replace(each, rows=4 * each.rows) for each in plain.measured.profiles[0].batches)
        measured = replace(plain.measured, profiles=(replace(plain.measured.profiles[0], batches=fours),))
        padded = replace(plain, model=plain.model.model_copy(update={"batching": batching}), measured=measured)

        assert padded.as_dict()["sizes"] == [4, 32]
        assert "batches are padded to 4, 32 rows" in text_of(padded)
        assert "one row at a time: 100.0 rows/s by the p99, 200.0 by the median" in text_of(padded)  # each as four
        assert "sizes" not in plain.as_dict()
        assert "padded" not in text_of(plain)


def test_sizes_are_shown_by_tune_and_stay() -> None:
    tuner = BatchingTuner(model_of("sizes: [1, 2, 4, 8]"), None)  # type: ignore[arg-type]  # nothing is told to it

    assert tuner.settings()["sizes"] == "[1, 2, 4, 8]"
    with pytest.raises(InvalidRequest, match=r"batching\.sizes: cannot change while the router runs: .*restart"):
        tuner.change({"sizes": "[1, 8]"})


def test_many_sizes_are_shown_in_one_line() -> None:
    sizes = list(range(1, 101))
    tuner = BatchingTuner(model_of(f"sizes: {sizes}"), None)  # type: ignore[arg-type]

    assert tuner.settings()["sizes"] == str(sizes)


async def test_a_function_is_sent_an_allowed_size_too() -> None:
    async def no_time(_: float) -> None:
        """Passes at once."""

    clock = ManualClock()
    functions = FakeFunctions(PRICE, clock, latency_s=0.0, sleep=no_time)
    functions.answer = echo
    policy = _core.BurstPolicy(LATENCY_NS, concurrency_max=1)
    bursts = BurstLoop(functions, policy, clock, BurstLoopParams(BURST_SIGNATURE, 0, 10.0, sizes=(2, 4)))
    request = _core.write_infer_request("m", "", "id", [("x", "INT8", [3], np.array([5, 6, 7], np.int8))], [])
    given_up = GivenUp(request, 0, 10**9, _core.Outcome.PREDICTED_MISS, REFUSAL)

    answer = await bursts.answer(given_up)

    (sent,) = functions.invoked
    parsed = _core.parse_infer_request(sent, BURST_SIGNATURE)
    assert isinstance(parsed, _core.InferRequest)
    assert parsed.raw(0) == bytes([5, 6, 7, 0])
    assert _core.parse_infer_response(answer).tensors[0][2:] == ([3], bytes([5, 6, 7]))
    assert value_of(answer) == 5
    await bursts.close()
