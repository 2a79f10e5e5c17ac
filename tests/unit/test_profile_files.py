"""A configuration that names files for its profiles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from unit.test_measured_profile import GOOD

from mark.app.simulated_scenario import simulated_scenario
from mark.cli.plan_question import scenario_of
from mark.config import load_config
from mark.domain.profile_text import measured_model_to_json
from mark.errors import ConfigError, ProfileError

CONFIG = """\
offerings:
  - {name: small, price_usd_per_hour: 0.1, max_count: 4}
  - {name: large, price_usd_per_hour: 0.2}
models:
  - name: m
    runtime: onnx
    source: m.onnx
    inputs: [{name: x, datatype: FP32, shape: [-1, 2]}]
    outputs: [{name: y, datatype: FP32, shape: [-1, 2]}]
    slo: {rt_max_ms: 100}
    profiles:
      small: m.profile
      large: [[1, 2.0]]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "m.profile").write_text(measured_model_to_json(GOOD), encoding="utf-8")
    (tmp_path / "mark.yaml").write_text(CONFIG, encoding="utf-8")
    return tmp_path / "mark.yaml"


def test_the_points_are_those_of_the_file_beside_it(config: Path) -> None:
    model = load_config(config).models[0]

    assert model.profiles == {"small": [(1, 5.0), (2, 5.0), (4, 8.0)], "large": [(1, 2.0)]}


def test_planner_and_simulator_take_it_too(config: Path) -> None:
    planned, simulated = scenario_of(str(config), None, None, spot=False), simulated_scenario(str(config))

    assert planned.capacities["small"] == simulated.scenario.capacities["small"] > 0
    assert simulated.profiles["small"].rows == [1, 2, 4]


def test_an_override_may_name_one(config: Path) -> None:
    model = load_config(config, ["models.0.profiles.large=m.profile"]).models[0]

    assert model.profiles["large"] == model.profiles["small"]


def test_whoever_measures_anew_does_without_them(config: Path) -> None:
    (config.parent / "m.profile").unlink()

    assert list(load_config(config, read_profiles=False).models[0].profiles) == ["large"]


def test_models_may_share_a_mapping_of_files(config: Path) -> None:
    first = CONFIG.replace("profiles:\n", "profiles: &shared\n")
    model = first[first.index("  - name: m") : first.index("    profiles:")]
    config.write_text(first + model.replace("name: m", "name: n") + "    profiles: *shared\n", encoding="utf-8")

    with pytest.raises(ProfileError, match=r"models\[1\]\.profiles\.small: .* is of model 'm' version '1', not of 'n'"):
        load_config(config)


def refusal(config: Path, *overrides: str) -> str:
    with pytest.raises(ProfileError) as raised:
        load_config(config, overrides)
    assert str(raised.value).startswith(f"{config}:12: models[0].profiles.small: {config.parent / 'm.profile'}: ")
    assert str(raised.value).endswith("; measure again with `mark profile`, or give the points themselves")
    return str(raised.value)


def test_a_profile_of_another_model_is_refused(config: Path) -> None:
    assert "is of model 'm' version '1', not of 'm' version '7'" in refusal(config, "models.0.version='7'")
    assert "is of a model 'm' with other inputs or outputs" in refusal(config, "models.0.inputs.0.datatype=FP16")


def test_a_profile_of_another_kind_of_worker_is_refused(config: Path) -> None:
    assert "was not measured on cpu, 1 thread, 50% of the machine" in refusal(config, "offerings.0.cpu_share=0.5")
    assert "was not measured on cuda, 1 thread, as offering small is" in refusal(config, "offerings.0.device=cuda")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe", "is no profile: it is not UTF-8 text"),
        (b"rubbish", "is no profile: it is not JSON"),
        (b"", "is no profile: it is not JSON"),
        (b" " * (16 << 20) + b"{}", "is no profile: it has more than 16777216 bytes"),
        (json.dumps({"format": "mark-profile", "format_version": 9}).encode(), "is written in version 9"),
    ],
)
def test_what_is_no_profile_is_refused(config: Path, content: bytes, words: str) -> None:
    (config.parent / "m.profile").write_bytes(content)

    assert words in refusal(config)


def test_a_file_that_cannot_be_read_is_named(config: Path) -> None:
    (config.parent / "m.profile").unlink()
    assert "cannot be read: No such file or directory" in refusal(config)
    (config.parent / "m.profile").mkdir()
    assert "cannot be read: Is a directory" in refusal(config)


def test_a_file_for_what_is_no_offering_is_refused(config: Path) -> None:
    with pytest.raises(ConfigError, match=r"profiles\.huge: 'huge' is no offering; known are small, large"):
        load_config(config, ["models.0.profiles.huge=m.profile"])


@pytest.mark.parametrize("value", ["3", "''", "{}", "[]", "null"])
def test_what_is_neither_points_nor_a_file_is_refused_as_before(config: Path, value: str) -> None:
    with pytest.raises(ConfigError, match=r"models\[0\]\.profiles\.small: "):
        load_config(config, [f"models.0.profiles.small={value}"])


@pytest.mark.parametrize("models", ["3", "[3]", "[{profiles: 3}]", "{}"])
def test_a_file_that_is_wrong_elsewhere_is_refused_for_that(config: Path, models: str) -> None:
    with pytest.raises(ConfigError, match="models"):
        load_config(config, [f"models={models}"])
