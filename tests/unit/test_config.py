"""The configuration: what is accepted, and what a person is told about what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from mark.config import Config, load_config, parse_config
from mark.domain.offering import Market
from mark.errors import ConfigError

GOOD = """\
cluster: test
offerings:
  - name: small
    market: spot
    price_usd_per_hour: 0.085
    boot_s: 2
    max_count: 4
models:
  - name: digits
    runtime: torchscript
    source: digits.pt
    inputs:
      - {name: image, datatype: FP32, shape: [-1, 1, 8, 8]}
    outputs:
      - {name: logits, datatype: FP32, shape: [-1, 10]}
    slo:
      rt_max_ms: 100
      sl_min: 0.98
    profiles:
      small: [[1, 5.0], [8, 20.0]]
"""


def refusal(text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as raised:
        parse_config(text, name="mark.yaml", overrides=overrides)
    return str(raised.value)


def test_a_good_file_becomes_domain_values() -> None:
    config = parse_config(GOOD)

    model = config.models[0]
    assert config.offerings[0].as_offering().market is Market.SPOT
    assert model.as_slo().rt_max_ns == 100_000_000
    assert model.signature().inputs[0].shape == (-1, 1, 8, 8)
    assert model.as_profiles()["small"].rows == [1, 8]
    artifact = model.artifact()
    assert artifact is not None
    assert artifact.runtime == "torchscript"


def test_defaults_are_those_of_the_sections() -> None:
    config = parse_config(GOOD)

    assert config.server.message_bytes_max == 64 << 20
    assert config.models[0].controller.step_s == 60.0


@pytest.mark.parametrize(
    ("wrong", "right", "words"),
    [
        ("rt_max_ms", "rt_mx_ms", "mark.yaml:17: models[0].slo.rt_mx_ms: unknown key; did you mean 'rt_max_ms'?"),
        ("price_usd_per_hour", "price", "offerings[0].price: unknown key; did you mean 'price_usd_per_hour'?"),
        ("cluster", "clutser", "mark.yaml:1: clutser: unknown key; did you mean 'cluster'?"),
        ("max_count: 4", "max_count: 0", "mark.yaml:7: offerings[0].max_count:"),
        ("market: spot", "market: sport", "mark.yaml:4: offerings[0].market:"),
        ("[-1, 10]", "[10]", "outputs[0]: shape must begin with -1"),
        ("[-1, 10]", "[-1, 0]", "outputs[0]: every further dimension of shape must be positive"),
        ("FP32, shape: [-1, 10]", "FP31, shape: [-1, 10]", "outputs[0].datatype:"),
        ("      small:", "      smal:", "has a profile for 'smal', which is no offering; known are small"),
        ("rt_max_ms: 100", "rt_max_ms: .nan", "models[0].slo.rt_max_ms:"),
    ],
)
def test_a_mistake_is_named_with_its_line_its_path_and_the_way_to_mend_it(wrong: str, right: str, words: str) -> None:
    assert words in refusal(GOOD.replace(wrong, right))


def test_a_missing_key_is_named() -> None:
    assert "models[0].slo.rt_max_ms: is required" in refusal(
        GOOD.replace("rt_max_ms: 100", "sl_min: 0.9", 1).replace("      sl_min: 0.98\n", "")
    )


def test_all_mistakes_are_reported_at_once() -> None:
    words = refusal(GOOD.replace("cluster", "clutser").replace("max_count: 4", "max_count: 0"))

    assert len(words.splitlines()) == 2


def test_text_that_is_no_yaml_is_refused_with_its_line() -> None:
    assert "mark.yaml:3: is not valid YAML" in refusal("models:\n  - {name: [\n")


@pytest.mark.parametrize("text", ["", "3", "[]", "just words"])
def test_a_file_that_is_no_mapping_is_refused(text: str) -> None:
    assert "must be a mapping with the keys cluster, server, offerings, models" in refusal(text)


def test_two_models_of_one_name_are_refused() -> None:
    model = GOOD[GOOD.index("  - name: digits") :]

    assert "'digits' is given twice" in refusal(GOOD + model)


def test_a_model_needs_a_source_or_workers_but_not_both() -> None:
    without = GOOD.replace("    runtime: torchscript\n    source: digits.pt\n", "")
    both = GOOD + "    workers: [{address: 'localhost:1', profile: [[1, 2]]}]\n"

    assert "needs either runtime and source" in refusal(without)
    assert "needs either runtime and source" in refusal(both)
    assert "belong together" in refusal(GOOD.replace("    source: digits.pt\n", ""))


def test_foreign_workers_need_no_offering() -> None:
    text = GOOD.replace("    runtime: torchscript\n    source: digits.pt\n", "").replace(
        "    profiles:\n      small: [[1, 5.0], [8, 20.0]]\n",
        "    workers: [{address: 'localhost:1', profile: [[1, 2.5]]}]\n",
    )

    config = parse_config(text)

    assert config.models[0].artifact() is None
    assert config.models[0].workers[0].as_profile().latencies_ns == [2_500_000]


def test_a_step_that_is_no_whole_number_of_windows_is_refused() -> None:
    for controller in ("{step_s: 1}", "{step_s: 7}"):
        assert "must be a whole number of windows of window_s (5.0)" in refusal(
            GOOD + f"    controller: {controller}\n"
        )


class TestOverrides:
    def test_a_dotted_path_replaces_a_setting(self) -> None:
        config = parse_config(GOOD, overrides=["server.port=9000", "models.0.slo.sl_min=0.5"])

        assert config.server.port == 9000
        assert config.models[0].slo.sl_min == 0.5

    @pytest.mark.parametrize(
        ("override", "words"),
        [
            ("server.port", "must have the form path.to.key=value"),
            ("models.7.name=x", "models.7 is not one of 1 entries"),
            ("cluster.name=x", "cluster is a value, it has no keys"),
            ("server.prot=1", "server.prot: unknown key; did you mean 'port'?"),
            ("server.port=[", "the value is not valid YAML"),
        ],
    )
    def test_a_wrong_one_is_refused(self, override: str, words: str) -> None:
        assert words in refusal(GOOD, override)


class TestLoadConfig:
    def test_a_source_is_taken_relative_to_the_file(self, tmp_path: Path) -> None:
        path = tmp_path / "mark.yaml"
        path.write_text(GOOD, encoding="utf-8")

        config: Config = load_config(path)

        assert config.models[0].source == str(tmp_path / "digits.pt")

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"mark\.yaml: cannot be read: No such file"):
            load_config(tmp_path / "mark.yaml")

    def test_a_binary_file_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "mark.yaml"
        path.write_bytes(b"\xff\xfe\x00")

        with pytest.raises(ConfigError, match="is not UTF-8 text"):
            load_config(path)
