"""Runtimes: each loads its kind of model, and says in one line why it does not."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mark.domain.artifact import ModelArtifact, RuntimeName, artifact_from_json, artifact_to_json
from mark.domain.signature import ModelSignature, TensorSpec
from mark.errors import ModelLoadError
from mark.worker.runtimes import load_model
from mark.worker.throttle import CpuShare, CpuUse

ROWS = np.array([[1.0, 2.0], [3.0, 4.0]], dtype=np.float32)


def artifact(
    runtime: RuntimeName, source: str, inputs: tuple[str, ...] = ("x",), outputs: tuple[str, ...] = ("y",)
) -> ModelArtifact:
    signature = ModelSignature(
        "m", "1",
        tuple(TensorSpec(name, "FP32", (-1, 2)) for name in inputs),
        tuple(TensorSpec(name, "FP32", (-1, 2)) for name in outputs),
        8,
    )  # fmt: skip
    return ModelArtifact(signature, runtime, source)


@pytest.fixture(scope="module")
def torchscript_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    class Add(torch.nn.Module):  # type: ignore[misc]
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return a + b, a - b

    folder = tmp_path_factory.mktemp("models")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.trace(torch.nn.ReLU(), torch.zeros(1, 2)), str(folder / "relu.pt"))
        torch.jit.save(torch.jit.trace(Add(), (torch.zeros(1, 2), torch.zeros(1, 2))), str(folder / "add.pt"))
    (folder / "broken.pt").write_bytes(b"not a model")
    return folder


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from onnx import TensorProto, helper, save

    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "double",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 2])],
    )
    path = tmp_path_factory.mktemp("models") / "double.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    return path


class TestTorchScript:
    def test_one_input_and_one_output(self, torchscript_files: Path) -> None:
        model = load_model(artifact("torchscript", str(torchscript_files / "relu.pt")), threads=1)

        np.testing.assert_array_equal(model({"x": -ROWS})["y"], 0 * ROWS)

    def test_several_inputs_by_position_and_a_tuple_of_outputs(self, torchscript_files: Path) -> None:
        model = load_model(
            artifact("torchscript", str(torchscript_files / "add.pt"), ("a", "b"), ("sum", "gap")), threads=1
        )

        outputs = model({"b": ROWS, "a": 3 * ROWS})

        np.testing.assert_array_equal(outputs["sum"], 4 * ROWS)
        np.testing.assert_array_equal(outputs["gap"], 2 * ROWS)

    def test_an_array_that_is_read_only_is_taken_without_a_warning(self, torchscript_files: Path) -> None:
        rows = ROWS.copy()
        rows.flags.writeable = False

        load_model(artifact("torchscript", str(torchscript_files / "relu.pt")), threads=1)({"x": rows})

    def test_another_number_of_outputs_is_said(self, torchscript_files: Path) -> None:
        model = load_model(artifact("torchscript", str(torchscript_files / "add.pt"), ("a", "b")), threads=1)

        with pytest.raises(ValueError, match="the model gives 2 outputs, its signature has 1"):
            model({"a": ROWS, "b": ROWS})

    def test_a_missing_and_a_broken_file_are_said(self, torchscript_files: Path) -> None:
        with pytest.raises(ModelLoadError, match=r"no such file: .*absent\.pt"):
            load_model(artifact("torchscript", str(torchscript_files / "absent.pt")), threads=1)
        with pytest.raises(ModelLoadError, match=r"broken\.pt does not load as TorchScript"):
            load_model(artifact("torchscript", str(torchscript_files / "broken.pt")), threads=1)

    @pytest.mark.parametrize("threads", [0, 2**40])
    def test_threads_that_the_runtime_refuses_are_said(self, torchscript_files: Path, threads: int) -> None:
        with pytest.raises(ModelLoadError, match=r"relu\.pt does not load: ") as raised:
            load_model(artifact("torchscript", str(torchscript_files / "relu.pt")), threads)

        assert len(str(raised.value).splitlines()) == 1


class TestOnnx:
    def test_inputs_and_outputs_go_by_name(self, onnx_file: Path) -> None:
        model = load_model(artifact("onnx", str(onnx_file)), threads=1)

        np.testing.assert_array_equal(model({"x": ROWS})["y"], 2 * ROWS)

    def test_a_tensor_that_the_file_lacks_is_named(self, onnx_file: Path) -> None:
        with pytest.raises(ModelLoadError, match="has no inputs named z; it has x"):
            load_model(artifact("onnx", str(onnx_file), inputs=("z",)), threads=1)
        with pytest.raises(ModelLoadError, match="has no outputs named q; it has y"):
            load_model(artifact("onnx", str(onnx_file), outputs=("q",)), threads=1)

    def test_a_missing_and_a_broken_file_are_said(self, onnx_file: Path) -> None:
        broken = onnx_file.with_name("broken.onnx")
        broken.write_bytes(b"not a model")

        with pytest.raises(ModelLoadError, match="no such file"):
            load_model(artifact("onnx", "absent.onnx"), threads=1)
        with pytest.raises(ModelLoadError, match="does not load as ONNX"):
            load_model(artifact("onnx", str(broken)), threads=1)

    def test_threads_that_the_runtime_refuses_are_said(self, onnx_file: Path) -> None:
        with pytest.raises(ModelLoadError, match=r"double\.onnx does not load: ") as raised:
            load_model(artifact("onnx", str(onnx_file)), threads=2**40)

        assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(("runtime", "library"), [("torchscript", "torch"), ("onnx", "onnxruntime")])
class TestLibraries:
    def test_one_that_is_absent_is_named_with_the_remedy(
        self, monkeypatch: pytest.MonkeyPatch, runtime: RuntimeName, library: str
    ) -> None:
        monkeypatch.setitem(sys.modules, library, None)

        with pytest.raises(ModelLoadError, match=f"runtime {runtime} needs {library}: pip install 'mark-serve"):
            load_model(artifact(runtime, "a"), threads=1)

    def test_one_that_is_broken_is_not_taken_for_absent(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: RuntimeName, library: str
    ) -> None:
        (tmp_path / f"{library}.py").write_text("raise ImportError('libgomp.so: cannot open shared object file')")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, library, raising=False)

        with pytest.raises(ModelLoadError, match=r"a does not load: ImportError: libgomp\.so"):
            load_model(artifact(runtime, "a"), threads=1)


class TestPython:
    @pytest.fixture(autouse=True)
    def module(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        (tmp_path / "some_model.py").write_text(
            "def make(): return lambda inputs: {'y': inputs['x'] * 2}\n"
            "def broken(): raise RuntimeError('no weights\\nat all')\n"
            "def number(): return 3\n"
            "def leaves(): raise SystemExit(3)\n"
            "class Panic(BaseException): pass\n"
            "def panics(): raise Panic('index out of bounds\\nin some crate')\n"
            "def interrupted(): raise KeyboardInterrupt\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        yield
        sys.modules.pop("some_model", None)

    def test_a_factory_makes_the_model(self) -> None:
        model = load_model(artifact("python", "some_model:make"), threads=1)

        np.testing.assert_array_equal(model({"x": ROWS})["y"], 2 * ROWS)

    @pytest.mark.parametrize(
        ("source", "words"),
        [
            ("some_model", "must have the form package.module:factory"),
            ("no_such_model:make", "ModuleNotFoundError: No module named 'no_such_model'"),
            ("some_model:absent", "AttributeError"),
            ("some_model:broken", "RuntimeError: no weights"),
            ("some_model:leaves", "SystemExit: 3"),
            ("some_model:panics", "Panic: index out of bounds"),
            ("some_model:number", "made a int, which cannot be called"),
        ],
    )
    def test_what_does_not_load_is_said_in_one_line(self, source: str, words: str) -> None:
        with pytest.raises(ModelLoadError, match=words) as raised:
            load_model(artifact("python", source), threads=1)

        assert len(str(raised.value).splitlines()) == 1

    def test_whoever_interrupts_the_load_is_heard(self) -> None:
        with pytest.raises(KeyboardInterrupt):
            load_model(artifact("python", "some_model:interrupted"), threads=1)


class TestArtifact:
    def test_it_survives_json(self) -> None:
        before = artifact("onnx", "/models/a b.onnx")

        assert artifact_from_json(artifact_to_json(before)) == before

    @pytest.mark.parametrize(
        ("text", "words"),
        [("{", "is not JSON"), ("{}", "is not an artifact"), ("[]", "is not an artifact"), ("3", "is not an artifact")],
    )
    def test_other_text_is_refused(self, text: str, words: str) -> None:
        with pytest.raises(ValueError, match=words):
            artifact_from_json(text)

    def test_an_unknown_runtime_is_refused(self) -> None:
        text = artifact_to_json(artifact("onnx", "a")).replace('"onnx"', '"caffe"')

        with pytest.raises(ValueError, match="runtime must be one of torchscript, onnx, python, not 'caffe'"):
            artifact_from_json(text)


class TestCpuShare:
    @pytest.mark.parametrize(
        ("threads", "process_s", "thread_s", "idle_s"),
        [
            (1, 1.0, 1.0, 3.0),
            (1, 2.0, 0.0, 7.0),  # on threads that it was not given: they count one after the other
            (2, 2.0, 1.0, 3.0),  # on both threads that it was given: half as fast for each is as slow for both
            (2, 1.0, 1.0, 3.0),  # on one of them
            (1, 0.1, 0.1, 0.0),  # it waited most of the time, for others or for nothing: it has idled already
        ],
    )
    def test_busy_time_is_its_share_of_all_time(
        self, threads: int, process_s: float, thread_s: float, idle_s: float
    ) -> None:
        assert CpuShare(0.25, threads).idle_s(CpuUse(1.0, process_s, thread_s)) == pytest.approx(idle_s)

    def test_the_whole_machine_is_unthrottled(self) -> None:
        assert CpuShare(1.0).idle_s(CpuUse(1.0, 4.0, 1.0)) == 0.0

    def test_use_is_told_by_three_clocks(self) -> None:
        before = CpuUse.now()
        used = CpuUse.now() - before

        assert min(used.wall_s, used.process_s, used.thread_s) > 0

    @pytest.mark.parametrize("share", [0.0, -1.0, 1.5])
    def test_a_share_lies_between_nothing_and_the_whole_machine(self, share: float) -> None:
        with pytest.raises(ValueError, match="cpu_share must lie in"):
            CpuShare(share)
