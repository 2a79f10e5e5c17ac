"""`mark aws package`: what it writes, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from mark.cli.commands import app as commands
from mark.cloud.aws.function_package import read_zip
from mark.errors import ConfigError

CONFIG = """\
provider: aws
aws: {region: us-east-1}
offerings: [{name: cpu, types: [c5.large]}]
models:
  - name: digits
    runtime: onnx
    source: digits.onnx
    inputs: [{name: image, datatype: FP32, shape: [-1, 64]}]
    outputs: [{name: logits, datatype: FP32, shape: [-1, 10]}]
    slo: {rt_max_ms: 100}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "digits.onnx").write_bytes(b"weights")
    path = tmp_path / "mark.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


@pytest.fixture
def site(tmp_path: Path) -> Path:
    core = tmp_path / "site" / "mark" / "_core.cpython-312-x86_64-linux-gnu.so"
    core.parent.mkdir(parents=True)
    core.touch()
    return tmp_path / "site"


def run(*arguments: object) -> str:
    ran = CliRunner().invoke(commands, ["aws", "package", *map(str, arguments)])
    if ran.exception is not None:
        raise ran.exception
    return ran.output


def test_a_zip_is_written_and_described(config: Path, site: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "digits.zip"

    words = run(config, "-o", output, "--site", site)

    assert f"{output}: 0.0 MB for python3.12 on x86_64, {read_zip(output).sha256}" in words.replace("\n", "")


def test_a_recipe_is_written_with_the_model(config: Path, tmp_path: Path) -> None:
    words = run(config, "--image", "-o", tmp_path / "image")

    recipe = (tmp_path / "image" / "Dockerfile").read_text(encoding="utf-8")
    assert "its first lines say how to build and push it" in words
    assert "pip install --no-cache-dir 'mark-serve[onnx]'" in recipe
    assert (tmp_path / "image" / "model" / "digits.onnx").read_bytes() == b"weights"


def test_what_pip_installs_on_instances_it_installs_in_images(config: Path, tmp_path: Path) -> None:
    config.write_text(CONFIG.replace("region: us-east-1", "region: us-east-1, install: our-mark"), encoding="utf-8")

    run(config, "--image", "-o", tmp_path)

    assert "pip install --no-cache-dir our-mark\n" in (tmp_path / "Dockerfile").read_text(encoding="utf-8")


def test_a_folder_that_is_not_there_is_refused(config: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder; pip install --target"):
        run(config, "-o", tmp_path / "a.zip", "--site", tmp_path / "none")


def test_a_place_that_cannot_be_written_is_refused(config: Path, site: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        run(config, "-o", config / "a.zip", "--site", site)
    with pytest.raises(ConfigError, match="cannot be written"):
        run(config, "-o", config / "folder", "--image")


def test_a_model_that_others_serve_has_nothing_to_package(config: Path, tmp_path: Path) -> None:
    served = "    workers: [{address: 'localhost:1', profile: [[1, 2.5]]}]\n"
    text = CONFIG.replace("    runtime: onnx\n    source: digits.onnx\n", served)
    config.write_text(text, encoding="utf-8")

    with pytest.raises(ConfigError, match="served by foreign workers"):
        run(config, "-o", tmp_path / "a.zip")
