"""What a worker computes on: how it is written, and what is said when it is not there."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from mark.app.clouds import worker_command
from mark.cli.commands import app as commands
from mark.config import parse_config
from mark.domain.artifact import ModelArtifact, RuntimeName
from mark.domain.device import CPU, Device, device_of
from mark.domain.offering import Market, Offering
from mark.domain.signature import ModelSignature, TensorSpec
from mark.errors import ConfigError, ModelLoadError
from mark.worker.main import parse_options
from mark.worker.runtimes import load_model

SIGNATURE = ModelSignature("m", "1", (TensorSpec("x", "FP32", (-1, 2)),), (TensorSpec("y", "FP32", (-1, 2)),), 8)
OFFERING = Offering("gpu", Market.ON_DEMAND, 1.0, boot_s=0.0, max_count=1, device="cuda:1")


def artifact(runtime: RuntimeName, source: str) -> ModelArtifact:
    return ModelArtifact(SIGNATURE, runtime, source)


@pytest.mark.parametrize(
    ("text", "device"),
    [("cpu", CPU), ("cuda", Device("cuda", 0)), ("cuda:12", Device("cuda", 12))],
)
def test_a_device_is_written_as_torch_writes_it(text: str, device: Device) -> None:
    assert device_of(text) == device
    assert device_of(str(device)) == device


@pytest.mark.parametrize("text", ["", "gpu", "cpu:0", "cuda:", "cuda:-1", "cuda:1000", "CUDA", "cuda:1 "])
def test_anything_else_is_no_device(text: str) -> None:
    with pytest.raises(ValueError, match="device must be cpu, cuda or cuda:N"):
        device_of(text)
    with pytest.raises(ValueError, match="device must be"):
        replace(OFFERING, device=text)


def test_an_offering_tells_its_workers_the_device() -> None:
    command = worker_command(artifact("onnx", "a.onnx"), OFFERING, "unix:/tmp/a")

    assert parse_options(command[3:]).device == Device("cuda", 1)


def test_a_worker_refuses_what_is_no_device() -> None:
    command = worker_command(artifact("onnx", "a.onnx"), OFFERING, "unix:/tmp/a")

    with pytest.raises(ConfigError, match="--device: device must be cpu, cuda or cuda:N, not 'tpu'"):
        parse_options(["tpu" if part == "cuda:1" else part for part in command[3:]])


def test_a_worker_that_is_started_by_hand_refuses_it_too() -> None:
    tensors = ["--input", "x:FP32:-1,2", "--output", "y:FP32:-1,2"]

    result = CliRunner().invoke(commands, ["worker", "m.pt", "--name", "m", *tensors, "--device", "cuda:x"])

    assert isinstance(result.exception, ConfigError)
    assert str(result.exception) == "--device must be cpu, cuda or cuda:N, not 'cuda:x'"


def test_a_configuration_names_the_line_of_a_wrong_device() -> None:
    text = "offerings:\n  - {name: a, price_usd_per_hour: 1}\n  - {name: b, price_usd_per_hour: 1,\n     device: gpu}\n"

    with pytest.raises(ConfigError, match=r"mark.yaml:4: offerings\[1\]\.device: must be cpu, cuda or cuda:N"):
        parse_config(text + "models: []", name="mark.yaml")


class TestAbsent:
    @pytest.fixture
    def model_file(self, tmp_path: Path) -> str:
        (tmp_path / "model").write_bytes(b"never read")
        return str(tmp_path / "model")

    @pytest.mark.parametrize(
        ("built", "count", "words"),
        [
            (False, 0, "is built without CUDA; install a CUDA build of torch"),
            (True, 0, "torch finds no CUDA device; see that `nvidia-smi`"),
            (True, 1, "there is no such device; torch finds 1, from cuda:0 on"),
        ],
    )
    def test_torch_without_the_device_says_what_to_do(
        self, model_file: str, monkeypatch: pytest.MonkeyPatch, built: bool, count: int, words: str
    ) -> None:
        torch = SimpleNamespace(
            __version__="2.9",
            backends=SimpleNamespace(cuda=SimpleNamespace(is_built=lambda: built)),
            cuda=SimpleNamespace(is_available=lambda: count > 0, device_count=lambda: count),
        )
        monkeypatch.setitem(sys.modules, "torch", torch)

        with pytest.raises(ModelLoadError, match=f"^device cuda:1: .*{words}"):
            load_model(artifact("torchscript", model_file), 1, Device("cuda", 1))

    def test_onnx_runtime_without_the_provider_says_what_to_do(
        self, model_file: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        onnxruntime = SimpleNamespace(__version__="1.20", get_available_providers=lambda: ["CPUExecutionProvider"])
        monkeypatch.setitem(sys.modules, "onnxruntime", onnxruntime)

        with pytest.raises(ModelLoadError, match=r"no CUDAExecutionProvider, only CPU.*pip install onnxruntime-gpu"):
            load_model(artifact("onnx", model_file), 1, Device("cuda"))

    def test_onnx_runtime_that_would_fall_back_in_silence_is_refused(
        self, model_file: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[object] = []

        def session(path: str, options: object, providers: list[object]) -> SimpleNamespace:
            asked.extend(providers)
            return SimpleNamespace(get_providers=lambda: ["CPUExecutionProvider"])

        onnxruntime = SimpleNamespace(
            get_available_providers=lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
            SessionOptions=SimpleNamespace,
            InferenceSession=session,
        )
        monkeypatch.setitem(sys.modules, "onnxruntime", onnxruntime)

        with pytest.raises(ModelLoadError, match="would compute on the processor instead"):
            load_model(artifact("onnx", model_file), 1, Device("cuda", 2))
        assert asked == [("CUDAExecutionProvider", {"device_id": 2}), "CPUExecutionProvider"]


class TestPython:
    @pytest.fixture(autouse=True)
    def module(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "placed_model.py").write_text(
            "def plain(): return lambda inputs: {'y': inputs['x']}\n"
            "def placed(device): return lambda inputs: {'y': device}\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "placed_model", raising=False)

    @pytest.mark.parametrize(("device", "text"), [(CPU, "cpu"), (Device("cuda", 1), "cuda:1")])
    def test_a_factory_that_takes_the_device_gets_it(self, device: Device, text: str) -> None:
        model = load_model(artifact("python", "placed_model:placed"), 1, device)

        assert model({"x": np.zeros((1, 2))})["y"] == text

    def test_one_that_does_not_is_not_taken_to_have_placed_itself(self) -> None:
        load_model(artifact("python", "placed_model:plain"), 1, CPU)

        with pytest.raises(ModelLoadError, match="device cuda:0: placed_model:plain takes no device; give the factory"):
            load_model(artifact("python", "placed_model:plain"), 1, Device("cuda"))
