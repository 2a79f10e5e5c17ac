"""What mark says of its native data plane, with it and without."""

from __future__ import annotations

import pytest

from mark import _core
from mark.cli.version import version
from mark.config import parse_config
from mark.config import server as server_section
from mark.domain.artifact import ModelArtifact
from mark.domain.signature import ModelSignature, TensorSpec
from mark.errors import ConfigError
from mark.worker import main as worker_main

MODEL = """
models:
  - name: foreign
    inputs: [{name: x, datatype: FP32, shape: [-1]}]
    outputs: [{name: y, datatype: FP32, shape: [-1]}]
    slo: {rt_max_ms: 100}
    workers: [{address: 'localhost:1', profile: [[1, 2.5]]}]
"""
TENSOR = TensorSpec("x", "FP32", (-1,))
ARTIFACT = ModelArtifact(ModelSignature("m", "1", (TENSOR,), (TENSOR,), 1), "python", "absent:make")

HOW_TO_MEND = "native was built without: install nghttp2 with its headers and build again, or "


@pytest.fixture(params=[True, False], ids=["built", "not built"])
def built(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    for module in (_core, server_section, worker_main):
        monkeypatch.setattr(module, "native_available", request.param)
    return bool(request.param)


def test_the_version_says_whether_it_was_built(built: bool, capsys: pytest.CaptureFixture[str]) -> None:
    version()

    said = capsys.readouterr().out
    assert "; native data plane)" in said if built else "; no native data plane: built without nghttp2)" in said
    assert len(said.splitlines()) == 1


def test_a_configuration_that_asks_for_it_is_refused_where_it_was_not_built(built: bool) -> None:
    text = "server:\n  ingress: native\n" + MODEL

    if built:
        assert parse_config(text).server.ingress == "native"
    else:
        with pytest.raises(ConfigError) as raised:
            parse_config(text, name="mark.yaml")
        assert str(raised.value).endswith(f"mark.yaml:2: server.ingress: {HOW_TO_MEND}write grpcio")


def test_an_ingress_that_is_none_is_refused_with_those_that_are(built: bool) -> None:
    with pytest.raises(ConfigError, match=r"mark\.yaml:2: server\.ingress: .*native.*grpcio"):
        parse_config("server:\n  ingress: envoy\n" + MODEL, name="mark.yaml")


@pytest.mark.parametrize("threads", ["0", "65", "true", "1.5"])
def test_threads_that_make_no_sense_are_refused(threads: str) -> None:
    with pytest.raises(ConfigError, match=r"mark\.yaml:2: server\.threads: "):
        parse_config(f"server:\n  threads: {threads}\n{MODEL}", name="mark.yaml")


def test_a_worker_that_is_to_use_it_says_so_before_its_model_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_main, "native_available", False)

    with pytest.raises(ConfigError) as raised:
        worker_main.run_worker(worker_main.WorkerOptions(ARTIFACT, ingress="native"))

    assert str(raised.value) == f"{HOW_TO_MEND}say --ingress grpcio"
