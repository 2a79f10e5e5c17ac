"""A model behind events: what they may hold, and what is answered when something is wrong with them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mark import lambda_entry
from mark._core import write_infer_request
from mark.domain.artifact import ModelArtifact, artifact_to_json
from mark.domain.signature import ModelSignature, TensorSpec
from mark.errors import ConfigError, ModelFailed, ModelLoadError
from mark.lambda_entry import ARTIFACT, THREADS, service_of
from mark.protocol import messages
from mark.worker import function
from mark.worker.function import FunctionService, process_age_s

SIGNATURE = ModelSignature("m", "1", (TensorSpec("x", "FP32", (-1, 2)),), (TensorSpec("y", "FP32", (-1, 2)),), 4)
MODEL = """\
import os
import subprocess
import sys


def double():
    def run(inputs):
        if inputs["x"][0, 0] == 13:
            raise ValueError("no thirteen")
        return {"y": inputs["x"] * 2}

    return run


def broken():
    raise RuntimeError("no weights")
"""


def request(value: float = 1.0, name: str = "m") -> dict[str, str]:
    array = np.full((1, 2), value, np.float32)
    return {
        "request": base64.b64encode(write_infer_request(name, "", "7", [("x", "FP32", (1, 2), array)], [])).decode()
    }


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    (tmp_path / "a_model.py").write_text(MODEL, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(variable, os.environ.get(variable, "1"))  # so that what loading sets is taken back
    return {ARTIFACT: artifact_to_json(ModelArtifact(SIGNATURE, "python", "a_model:double"))}


def echo(start_s: float = 0.25) -> FunctionService:
    return FunctionService(lambda message: message, start_s)


def answered(answer: dict[str, Any]) -> bytes:
    return base64.b64decode(answer["response"])


def test_a_request_is_answered_as_a_worker_does(environment: dict[str, str]) -> None:
    response = messages.ModelInferResponse.FromString(answered(service_of(environment).handle(request(21.0))))

    assert (response.model_name, response.id) == ("m", "7")
    np.testing.assert_array_equal(np.frombuffer(response.raw_output_contents[0], np.float32), [42, 42])


@pytest.mark.parametrize(
    ("event", "code", "words"),
    [
        (request(13.0), "INTERNAL", "ValueError: no thirteen"),
        (request(name="other"), "NOT_FOUND", "other"),
        ({"request": base64.b64encode(b"\xff\xff").decode()}, "INVALID_ARGUMENT", ""),
        ({"request": "?"}, "INVALID_ARGUMENT", "request: is not base64"),
        ({"body": "x"}, "INVALID_ARGUMENT", "it has body"),
        ({}, "INVALID_ARGUMENT", "it has nothing"),
    ],
)
def test_what_is_wrong_is_answered_with_a_status_and_the_next_event_is_served(
    environment: dict[str, str], event: dict[str, str], code: str, words: str
) -> None:
    service = service_of(environment)

    error = service.handle(event)["error"]

    assert error["code"] == code
    assert words in error["message"]
    assert "response" in service.handle(request())


def test_only_the_first_answer_of_a_process_is_cold_and_says_how_long_the_start_took() -> None:
    service = echo(start_s=0.25)
    first, second = service.handle({"ping": True}), service.handle(request())

    assert (first["cold"], first["start_ms"]) == (True, 250.0)
    assert (second["cold"], "start_ms" in second) == (False, False)
    assert first["instance"] == second["instance"] != echo().handle({"ping": True})["instance"]


def test_a_ping_keeps_the_function_for_as_long_as_it_is_told_to_and_no_longer_than_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held: list[float] = []
    monkeypatch.setattr(time, "sleep", held.append)

    answers = [echo().handle({"ping": True, **more}) for more in ({}, {"hold_ms": 50}, {"hold_ms": 1e9})]

    assert held == [0.0, 0.05, 1.0]
    assert all(answer["ping"] and answer["ran_ms"] >= 0 for answer in answers)


def test_an_answer_that_is_too_large_for_a_function_is_an_error_and_all_answers_are_json(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(function, "ANSWER_BYTES_MAX", 1500)
    fits, too_large = (FunctionService(lambda _: bytes(300), 0.0), FunctionService(lambda _: bytes(400), 0.0))
    fitting, refused = fits.handle(request()), too_large.handle(request())

    assert len(json.dumps(fitting)) <= 1500
    assert refused["error"]["code"] == "INTERNAL"
    assert "may take 1500; send fewer rows" in refused["error"]["message"]


def test_what_is_no_error_of_the_request_ends_the_call(environment: dict[str, str]) -> None:
    def answer(_: bytes) -> bytes:
        raise AssertionError("a bug")

    with pytest.raises(AssertionError, match="a bug"):
        FunctionService(answer, 0.0).handle(request())


def test_the_age_of_the_process_never_exceeds_what_has_passed_since_it_began() -> None:
    began_s = process_age_s()

    assert 0 < began_s <= process_age_s() < 24 * 3600


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({ARTIFACT: "{"}, ConfigError, "MARK_ARTIFACT: is not JSON"),
        ({THREADS: "two"}, ConfigError, "MARK_THREADS must be a whole number, not 'two'"),
        ({THREADS: "0"}, ConfigError, "threads must be 1 or more"),
        (
            {ARTIFACT: artifact_to_json(ModelArtifact(SIGNATURE, "python", "a_model:broken"))},
            ModelLoadError,
            "no weights",
        ),
        (
            {ARTIFACT: artifact_to_json(ModelArtifact(SIGNATURE, "onnx", "model/m.onnx")), "LAMBDA_TASK_ROOT": "/task"},
            ModelLoadError,
            "/task/model/m.onnx",
        ),
    ],
)
def test_what_cannot_be_loaded_is_said(
    environment: dict[str, str], change: dict[str, str], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        service_of({**environment, **change})


def test_without_a_model_in_the_environment_nothing_is_loaded_and_an_event_says_so() -> None:
    with pytest.raises(ConfigError, match="MARK_ARTIFACT must hold the model"):
        service_of({})
    with pytest.raises(ConfigError, match="was not set when the function began"):
        lambda_entry.handler({"ping": True}, None)


def test_a_model_of_s3_is_fetched_before_it_is_loaded_and_the_file_does_not_stay(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mark.cloud.aws import model_download

    seen: list[Path] = []

    def download(location: str, folder: Path) -> Path:
        assert location == "s3://bucket/models/m.onnx"
        seen.append(folder)
        (folder / "m.onnx").write_bytes(b"no model")
        return folder / "m.onnx"

    monkeypatch.setattr(model_download, "download", download)
    artifact = artifact_to_json(ModelArtifact(SIGNATURE, "onnx", "s3://bucket/models/m.onnx"))

    with pytest.raises(ModelLoadError, match="does not load"):
        service_of({**environment, ARTIFACT: artifact})

    assert not seen[0].exists()


def test_a_model_of_s3_that_the_package_has_is_not_fetched(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "m.onnx").write_bytes(b"no model")
    sha256 = hashlib.sha256(b"no model").hexdigest()
    artifact = artifact_to_json(ModelArtifact(SIGNATURE, "onnx", f"s3://bucket/models/m/{sha256}/m.onnx"))

    with pytest.raises(ModelLoadError, match=str(tmp_path / "model" / "m.onnx")):
        service_of({**environment, ARTIFACT: artifact, "LAMBDA_TASK_ROOT": str(tmp_path)})


def test_a_location_that_is_none_is_refused() -> None:
    from mark.cloud.aws.model_download import download

    for wrong in ("s3://bucket", "s3:///key", "http://bucket/key", "s3://bucket/folder/"):
        with pytest.raises(ValueError, match="must have the form s3://bucket/key"):
            download(wrong, Path())


def test_a_model_that_fails_is_told_from_one_that_refuses() -> None:
    def fail(_: bytes) -> bytes:
        raise ModelFailed("x" * 10_000)

    error = FunctionService(fail, 0.0).handle(request())["error"]

    assert error["code"] == "INTERNAL"
    assert len(error["message"]) < 1000


def test_a_function_starts_without_what_only_servers_need() -> None:
    code = "import sys, mark.lambda_entry, mark.worker.inference; sys.exit(len({'grpc', 'boto3'} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
