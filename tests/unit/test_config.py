"""The configuration: what is accepted, and what a person is told about what is not."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TypeGuard

import pytest
from pydantic import BaseModel

from mark._core import DispatcherParams
from mark.cloud.spot_market import SpotMarketParams
from mark.config import Config, load_config, parse_config, sections, serverless
from mark.controlplane.slo_monitor import SloMonitorParams
from mark.domain.budget import BudgetCaps
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


ROOT = Path(__file__).resolve().parents[2]


def is_section(kind: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel) and bool(kind.model_fields)


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
        ("[-1, 10]", "[10]", "mark.yaml:15: models[0].outputs[0].shape: must begin with -1"),
        ("[-1, 10]", "[-1, 0]", "outputs[0].shape: every further dimension must be positive"),
        ("FP32, shape: [-1, 10]", "FP31, shape: [-1, 10]", "outputs[0].datatype:"),
        ("      small:", "      smal:", "has a profile for 'smal', which is no offering; known are small"),
        ("rt_max_ms: 100", "rt_max_ms: .nan", "models[0].slo.rt_max_ms: must be"),
        ("rt_max_ms: 100", "rt_max_ms: 1e-7", "mark.yaml:17: models[0].slo.rt_max_ms: must be greater than or"),
        ("rt_max_ms: 100", "rt_max_ms: 1.0e+30", "models[0].slo.rt_max_ms: must be less than or equal to 86400000"),
        ("rt_max_ms: 100", "rt_max_ms: fast", 'must be a valid number, unable to parse string as a number, not "fast"'),
        ("rt_max_ms: 100", "rt_max_ms: 2", "models[0].batching.margin_ms: 2 ms is not less than slo.rt_max_ms, 2 ms: "),
        ("boot_s: 2", "boot_s: 1.0e+30", "mark.yaml:6: offerings[0].boot_s: must be less than or equal to 86400"),
        ("boot_s: 2", "threads: 5000000000", "mark.yaml:6: offerings[0].threads: must be less than or equal to 1024"),
        ("max_count: 4", "max_count: 5000000000", "offerings[0].max_count: must be less than or equal to 100000"),
        ("max_count: 4", "max_count: true", "mark.yaml:7: offerings[0].max_count: must be a number, not true"),
        ("boot_s: 2", "boot_s: yes", "mark.yaml:6: offerings[0].boot_s: must be a number, not true"),
        ("[-1, 10]", "[-1, true]", "mark.yaml:15: models[0].outputs[0].shape[1]: must be a number, not true"),
        ("[-1, 10]", "[-1, 65536, 65536]", "outputs[0].shape: a row must have at most 2147483647 elements"),
        ("[8, 20.0]", "[1, 20.0]", "profiles.small[1]: rows must increase, but 1 follows 1"),
        ("[8, 20.0]", "[8, 4.0]", "small[1]: 8 rows cannot be faster than 1, but 4 ms follows 5 ms"),
        ("[8, 20.0]", "[70000, 20.0]", "profiles.small[1][0]: must be less than or equal to 65536"),
        ("cluster: test", "cluster: a/b", "mark.yaml:1: cluster: must match pattern"),
        ("slo:", "slo: 3\n    x:", "models[0].slo: must be a mapping with the keys rt_max_ms, sl_min"),
    ],
)
def test_a_mistake_is_named_with_its_line_its_path_and_the_way_to_mend_it(wrong: str, right: str, words: str) -> None:
    assert words in refusal(GOOD.replace(wrong, right))


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("batching", "rows_max", 65_537),
        ("batching", "queue_requests_max", 2**31),
        ("batching", "batches_in_flight_max", 2**31),
        ("batching", "queue_bytes_max", 2**63),
        ("controller", "horizon_steps", 10**9),
        ("controller", "headroom", 1e300),
        ("controller", "min_instances", 10**9),
    ],
)
def test_a_number_that_the_core_cannot_take_is_refused(section: str, key: str, value: float) -> None:
    words = refusal(f"{GOOD}    {section}:\n      {key}: {value}\n")

    assert words.startswith(f"mark.yaml:22: models[0].{section}.{key}: must be less than or equal to ")


def test_the_largest_numbers_are_those_that_the_core_takes() -> None:
    config = parse_config(
        GOOD
        + "    batching: {rows_max: 65536, queue_requests_max: 2147483647, batches_in_flight_max: 2147483647,\n"
        + "      queue_bytes_max: 9223372036854775807}\n"
    )

    batching = config.models[0].batching
    DispatcherParams(
        1_000_000,
        rows_max=batching.rows_max,
        queue_requests_max=batching.queue_requests_max,
        queue_bytes_max=batching.queue_bytes_max,
        margin_ns=0,
    )


@pytest.mark.parametrize("kind", ["inputs", "outputs"])
def test_two_tensors_of_one_name_are_refused(kind: str) -> None:
    name = {"inputs": "image", "outputs": "logits"}[kind]
    tensor = f"      - {{name: {name}, datatype: FP32, shape: [-1]}}\n"

    words = refusal(GOOD.replace(f"    {kind}:\n", f"    {kind}:\n{tensor}"))

    assert f"models[0].{kind}[1].name: {name!r} is given twice" in words


def test_a_key_given_twice_is_refused_with_both_lines() -> None:
    text = GOOD.replace("    max_count: 4", "    boot_s: 3")

    assert refusal(text) == "mark.yaml:7: offerings[0].boot_s: is given twice, first in line 6; remove one of them"


def test_a_mapping_may_still_be_merged_into_another() -> None:
    text = GOOD.replace("  - name: small", "  - &small\n    name: small", 1).replace(
        "models:\n", "  - {<<: *small, name: large}\nmodels:\n", 1
    )

    config = parse_config(text)

    assert [(offering.name, offering.boot_s) for offering in config.offerings] == [("small", 2.0), ("large", 2.0)]


def test_more_instances_than_can_be_had_are_refused() -> None:
    words = refusal(GOOD + "    controller: {min_instances: 5}\n")

    assert words == (
        "mark.yaml:21: models[0].controller.min_instances: the models keep 5 instances in all, but max_count of the "
        "offerings adds up to 4; lower one or raise the other"
    )


STANDBY = "  - {name: t, market: burstable, price_usd_per_hour: 0.05, max_count: 9, standby: true}\n"


def test_a_standby_is_none_of_those_that_are_kept() -> None:
    text = GOOD.replace("models:\n", STANDBY + "models:\n", 1)

    assert parse_config(text).standbys == {"t"}
    words = refusal(text + "    controller: {min_instances: 5}\n")
    assert "max_count of the offerings, standbys left out, adds up to 4" in words


def test_a_model_cannot_run_on_standbys_alone() -> None:
    text = "offerings:\n" + STANDBY + GOOD[GOOD.index("models:") :].replace("small:", "t:")

    assert "needs at least one entry under offerings to run on that is no standby" in refusal(text)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("market: on_demand, interruptions_per_hour: 1", "only what is rented on spot is interrupted: market: spot"),
        ("market: spot, standby: true", "a standby is bought as burstable: market: burstable"),
        ("market: spot, interruptions_per_hour: -1", "interruptions_per_hour"),
        ("market: spot, credits_s: 60", "only what is burstable runs on credits: market: burstable"),
        ("market: on_demand, baseline_share: 0.5", "only what is burstable runs on credits: market: burstable"),
        ("market: burstable, stopped: 2", "2 cannot be kept of 1; raise max_count or lower it"),
    ],
)
def test_what_a_market_does_not_have_is_refused(keys: str, words: str) -> None:
    extra = f"  - {{name: more, price_usd_per_hour: 1, {keys}}}\n"

    assert words in refusal(GOOD.replace("models:\n", extra + "models:\n", 1))


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ("{}", "give max_usd_per_hour, max_usd_per_day or both, or leave budget out"),
        ("{max_usd_per_hour: 0}", "max_usd_per_hour"),
        ("{max_usd_per_hour: true}", "must be a number"),
        ("{max_usd_per_hour: 0.001}", "does not pay for min_instances of the models"),
        ("{max_usd_per_day: 0.001}", "does not pay for min_instances of the models"),
        ("{max_usd_per_year: 5}", "max_usd_per_year"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(budget: str, words: str) -> None:
    assert words in refusal(f"budget: {budget}\n{GOOD}")


def test_a_budget_is_handed_to_the_control_path_and_is_none_unless_it_is_given() -> None:
    assert parse_config(GOOD).budget is None
    config = parse_config("budget: {max_usd_per_hour: 5.5}\n" + GOOD)
    assert config.budget is not None
    assert config.budget.as_caps() == BudgetCaps(usd_per_hour=5.5)


def test_how_spot_is_taken_away_is_handed_to_the_cloud() -> None:
    config = parse_config("spot: {notice_s: 5, taken_share: 1, sold_out_after_s: 0, seed: 7}\n" + GOOD)

    assert config.spot.as_params() == SpotMarketParams(5.0, 1.0, 0.0)
    assert parse_config(GOOD).spot.as_params() == SpotMarketParams()


def test_models_on_foreign_workers_need_no_instances() -> None:
    foreign = """\
  - name: foreign
    inputs: [{name: x, datatype: FP32, shape: [-1]}]
    outputs: [{name: y, datatype: FP32, shape: [-1]}]
    slo: {rt_max_ms: 100}
    workers: [{address: 'localhost:1', profile: [[1, 2.5]]}]
    controller: {min_instances: 9}
"""

    assert parse_config(GOOD + foreign).models[1].controller.min_instances == 9


def test_no_instance_at_all_may_be_kept() -> None:
    assert parse_config(GOOD + "    controller: {min_instances: 0}\n").models[0].controller.min_instances == 0


class TestServer:
    @pytest.mark.parametrize(
        ("host", "address"),
        [
            ("0.0.0.0", "0.0.0.0:8001"),
            ("localhost", "localhost:8001"),
            ("'::1'", "[::1]:8001"),
            ("'[::1]'", "[::1]:8001"),
        ],
    )
    def test_its_address_has_brackets_where_they_are_needed(self, host: str, address: str) -> None:
        assert parse_config(f"server: {{host: {host}}}\n{GOOD}").server.address == address

    @pytest.mark.parametrize("host", ["''", "' '", "'local host'", "localhost:80", "'[::1'", "unix:/tmp/x"])
    def test_a_host_that_is_none_is_refused(self, host: str) -> None:
        assert "mark.yaml:2: server.host: " in refusal(f"server:\n  host: {host}\n{GOOD}")

    @pytest.mark.parametrize("setting", ["port: true", "port: 70000", "message_bytes_max: 4294967296", "drain_s: -1"])
    def test_a_number_out_of_its_bounds_is_refused(self, setting: str) -> None:
        assert f"mark.yaml:2: server.{setting.partition(':')[0]}: must be" in refusal(f"server:\n  {setting}\n{GOOD}")


def test_a_missing_key_is_named() -> None:
    assert "models[0].slo.rt_max_ms: is required" in refusal(
        GOOD.replace("rt_max_ms: 100", "sl_min: 0.9", 1).replace("      sl_min: 0.98\n", "")
    )


def test_all_mistakes_are_reported_at_once() -> None:
    words = refusal(GOOD.replace("cluster", "clutser").replace("max_count: 4", "max_count: 0"))

    assert len(words.splitlines()) == 2


def test_text_that_is_no_yaml_is_refused_with_its_line() -> None:
    assert "mark.yaml:3: is not valid YAML" in refusal("models:\n  - {name: [\n")


@pytest.mark.parametrize("text", ["a: \0", f"a: {'9' * 5000}", "a: 2024-99-99", "[" * 5000, "{[1]: 2}"])
def test_text_that_yaml_cannot_make_a_value_of_is_refused_in_one_line(text: str) -> None:
    words = refusal(text)

    assert "is not valid YAML" in words
    assert len(words.splitlines()) == 1


@pytest.mark.parametrize("text", ["", "3", "[]", "just words"])
def test_a_file_that_is_no_mapping_is_refused(text: str) -> None:
    assert f"must be a mapping with the keys {', '.join(Config.model_fields)}" in refusal(text)


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


class TestExample:
    EXAMPLE = ROOT / "examples" / "digits.yaml"

    def test_it_is_a_good_file(self) -> None:
        assert load_config(self.EXAMPLE).models[0].name == "digits"

    @pytest.mark.parametrize(
        "section", {kind for each in (sections, serverless) for kind in vars(each).values() if is_section(kind)}
    )
    def test_it_explains_every_key_of(self, section: type[BaseModel]) -> None:
        # In a comment or not.
        explained = re.findall(r"^[ #-]*(\w+):|[{,] *(\w+):", self.EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE)

        assert set(section.model_fields) <= {key for found in explained for key in found}


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
            ("server.port=[", "--set server.port:1: is not valid YAML"),
            ("server={port: 1, port: 2}", "port: is given twice"),
            ("models.\u00b2.name=x", "is not one of 1 entries"),
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


def test_the_monitor_cools_down_for_a_step_unless_told_otherwise_and_may_be_off() -> None:
    plain, told, off = (
        parse_config(GOOD + f"    controller: {{step_s: 20}}\n    monitor: {monitor}\n").models[0].monitor
        for monitor in ("{requests: 50}", "{cooldown_s: 7, every_s: 2, load_factor_max: 3}", "{enabled: false}")
    )

    assert plain.as_params(0.98, 20.0) == SloMonitorParams(0.98, requests=50, cooldown_s=20.0)
    assert told.as_params(0.9, 20.0) == SloMonitorParams(0.9, every_s=2.0, cooldown_s=7.0, load_factor_max=3.0)
    assert off.as_params(0.98, 20.0) is None


def test_a_burstable_has_its_credits_and_endless_ones_without_the_key() -> None:
    metered = (
        "  - {name: t, market: burstable, price_usd_per_hour: 1, baseline_share: 0.2, credits_s: 60, stopped: 1}\n"
    )
    plain = "  - {name: u, market: burstable, price_usd_per_hour: 1}\n"
    _, t, u = (
        each.as_offering()
        for each in parse_config(GOOD.replace("models:\n", metered + plain + "models:\n", 1)).offerings
    )

    assert (t.baseline_share, t.credits_s, t.stopped) == (0.2, 60.0, 1)
    assert (u.baseline_share, u.credits_s, u.stopped) == (1.0, math.inf, 0)
