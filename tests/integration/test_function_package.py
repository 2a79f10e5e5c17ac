"""The zip of a function: that it runs by itself, that it is always the same, and what is refused."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mark._core import write_infer_request
from mark.cloud.aws import function_package, package_contents
from mark.cloud.aws.function_package import FunctionPackage, build_zip, image_recipe, read_zip
from mark.domain.artifact import ModelArtifact, artifact_to_json
from mark.domain.signature import ModelSignature, TensorSpec
from mark.errors import ConfigError
from mark.protocol import messages

SIGNATURE = ModelSignature("m", "1", (TensorSpec("x", "FP32", (-1, 2)),), (TensorSpec("y", "FP32", (-1, 2)),), 4)
PYTHON = ModelArtifact(SIGNATURE, "python", "my_model.net:make")
MODEL = "def make():\n    return lambda inputs: {'y': inputs['x'] * 2}\n"
CORE = "mark/_core.cpython-312-x86_64-linux-gnu.so"

# What AWS Lambda's runtime does, with nothing to import from but the zip and Python's own library.
RUN = """
import base64, importlib, json, sys
handler = importlib.import_module("mark.lambda_entry").handler
outside = [m.__file__ for m in list(sys.modules.values()) if "site-packages" in (getattr(m, "__file__", "") or "")]
print(json.dumps([handler(json.loads(sys.argv[1]), None), outside]))
"""


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "source"
    (folder / "my_model" / "tests").mkdir(parents=True)
    (folder / "my_model" / "__init__.py").touch()
    (folder / "my_model" / "net.py").write_text(MODEL, encoding="utf-8")
    (folder / "my_model" / "tests" / "test_net.py").touch()
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder as `pip install --target` leaves it, but small."""
    folder = tmp_path / "site"
    (folder / "mark").mkdir(parents=True)
    (folder / CORE).write_bytes(b"\x7fELF GLIBC_2.17 GLIBC_2.34\0")
    (folder / "numpy").mkdir()
    (folder / "numpy" / "__init__.py").write_text("# numpy", encoding="utf-8")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> ModelArtifact:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"weights")
    return ModelArtifact(SIGNATURE, "onnx", str(path))


def names(package: FunctionPackage) -> list[str]:
    with zipfile.ZipFile(package.path) as archive:
        return archive.namelist()


def answer(folder: Path, artifact: ModelArtifact) -> np.ndarray:
    """What the unpacked zip answers to ones."""
    array = np.ones((1, 2), np.float32)
    event = {"request": base64.b64encode(write_infer_request("m", "", "", [("x", "FP32", (1, 2), array)], [])).decode()}
    environment = {
        "MARK_ARTIFACT": artifact_to_json(artifact),
        "LAMBDA_TASK_ROOT": str(folder),
        "PYTHONPATH": str(folder),
    }
    command = [sys.executable, "-S", "-B", "-c", RUN, json.dumps(event)]
    ran = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    told, outside = json.loads(ran.stdout)
    assert outside == []
    response = messages.ModelInferResponse.FromString(base64.b64decode(told["response"]))
    return np.frombuffer(response.raw_output_contents[0], np.float32)


def test_a_zip_runs_with_nothing_but_itself(importable: Path, tmp_path: Path) -> None:
    package = build_zip(PYTHON, tmp_path / "function.zip", check_loadable=False)
    with zipfile.ZipFile(package.path) as archive:
        archive.extractall(tmp_path / "task")

    np.testing.assert_array_equal(answer(tmp_path / "task", PYTHON), [2, 2])

    assert package.runtime == f"python3.{sys.version_info.minor}"
    assert {"my_model/net.py", "mark/lambda_entry.py"} <= set(names(package))
    assert not [name for name in names(package) if "__pycache__" in name or "/tests/" in name]
    assert package.size_bytes < function_package.DIRECT_BYTES_MAX


def test_alone_it_is_mark_with_its_core_and_the_model(model: ModelArtifact, tmp_path: Path) -> None:
    packed = names(build_zip(model, tmp_path / "function.zip", alone=True, check_loadable=False))

    assert {name.split("/")[0] for name in packed} == {"mark", "model"}
    assert any(name.startswith("mark/_core") for name in packed)


def test_the_same_contents_give_the_same_bytes(site: Path, model: ModelArtifact, tmp_path: Path) -> None:
    first = build_zip(model, tmp_path / "a.zip", site=site)
    (site / "numpy" / "__init__.py").touch()
    Path(model.source).chmod(0o600)
    second = build_zip(model, tmp_path / "b.zip", site=site)
    (site / "numpy" / "__init__.py").write_text("# another", encoding="utf-8")

    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.sha256 == second.sha256 == read_zip(first.path).sha256
    assert build_zip(model, tmp_path / "c.zip", site=site).sha256 != first.sha256
    assert names(first) == [CORE, "model/m.onnx", "numpy/__init__.py"]
    assert (first.runtime, first.architecture) == ("python3.12", "x86_64")
    assert sorted(path.name for path in tmp_path.glob("*.zip*")) == ["a.zip", "b.zip", "c.zip"]


def test_what_is_too_large_for_a_zip_is_told_to_be_an_image(
    site: Path, model: ModelArtifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function_package, "UNZIPPED_BYTES_MAX", 30)

    with pytest.raises(ConfigError, match="a zip may have 0; a container image may have 10 GB: `mark aws package --im"):
        build_zip(model, tmp_path / "function.zip", site=site)

    assert not (tmp_path / "function.zip").exists()


@pytest.mark.parametrize(
    ("core", "content", "words"),
    [
        (CORE, b"GLIBC_2.36\0", "needs glibc 2.36, and AWS Lambda's python3.12 has 2.34"),
        (CORE.replace("312", "311"), b"GLIBC_2.27\0", "needs glibc 2.27, and AWS Lambda's python3.11 has 2.26"),
        ("mark/_core.cpython-312-darwin.so", b"", "no compiled core of mark for Linux"),
    ],
)
def test_what_would_not_load_on_awss_machines_is_refused(
    site: Path, model: ModelArtifact, tmp_path: Path, core: str, content: bytes, words: str
) -> None:
    (site / CORE).unlink()
    (site / core).write_bytes(content)

    with pytest.raises(ConfigError, match=words):
        build_zip(model, tmp_path / "function.zip", site=site)


def test_a_zip_for_a_server_on_this_machine_may_need_what_this_machine_has(
    site: Path, model: ModelArtifact, tmp_path: Path
) -> None:
    (site / CORE).write_bytes(b"GLIBC_2.99\0")

    assert build_zip(model, tmp_path / "function.zip", site=site, check_loadable=False).path.exists()


@pytest.mark.parametrize(
    ("artifact", "include", "words"),
    [
        (ModelArtifact(SIGNATURE, "onnx", "/none.onnx"), [], "no such file: /none.onnx"),
        (ModelArtifact(SIGNATURE, "python", "no_such_module:make"), [], "'no_such_module'.* is not found"),
        (ModelArtifact(SIGNATURE, "python", "mark.x:y"), ["no-such-thing"], "pip install no-such-thing"),
    ],
)
def test_a_part_that_is_missing_is_named(
    artifact: ModelArtifact, include: list[str], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=words):
        build_zip(artifact, tmp_path / "function.zip", include)


def test_a_module_of_one_file_and_what_is_included_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "single.py").write_text(MODEL, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    artifact = ModelArtifact(SIGNATURE, "python", "single:make")

    files, placed = package_contents.files_of_model(artifact)

    assert (list(files), placed) == (["single.py"], artifact)
    assert "yaml/__init__.py" in package_contents.files_of_environment(artifact, ["PyYAML"])


@pytest.mark.parametrize("content", [b"no zip", None])
def test_a_file_that_is_no_zip_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "function.zip"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigError, match=r"function\.zip: is no zip of a function"):
        read_zip(path)


def test_a_recipe_of_an_image_has_the_model_and_says_how_to_build_it(model: ModelArtifact, importable: Path) -> None:
    parts = image_recipe(model, "mark-serve[aws,torch]")
    recipe = str(parts["Dockerfile"])

    assert parts["model/m.onnx"] == Path(model.source)
    assert "FROM public.ecr.aws/lambda/python:3.12\n" in recipe
    assert "RUN pip install --no-cache-dir 'mark-serve[aws,torch]'\n" in recipe
    assert "COPY model ${LAMBDA_TASK_ROOT}/model\n" in recipe
    assert 'CMD ["mark.lambda_entry.handler"]' in recipe
    assert "COPY my_model ${LAMBDA_TASK_ROOT}/my_model" in str(image_recipe(PYTHON, "mark-serve")["Dockerfile"])
