"""What `mark plan` is asked: the scenario of a name or a file, and what runs already."""

from __future__ import annotations

from pathlib import Path

import pytest

from mark.cli.plan_question import running_groups, scenario_of
from mark.cloud.catalog import scenario
from mark.domain.fleet_plan import RunningGroup
from mark.domain.scenario import Scenario
from mark.errors import ConfigError

CONFIG = """\
offerings:
  - {name: c5.large, price_usd_per_hour: 0.5, boot_s: 20, max_count: 4}
  - {name: own, price_usd_per_hour: 0.1, boot_s: 2, max_count: 4}
models:
  - name: digits
    runtime: torchscript
    source: digits.pt
    inputs: [{name: image, datatype: FP32, shape: [-1, 8]}]
    outputs: [{name: logits, datatype: FP32, shape: [-1, 10]}]
    slo: {rt_max_ms: 100}
    batching: {rows_max: 8}
    controller: {step_s: 10, window_s: 5, horizon_steps: 6}
    profiles:
      c5.large: [[1, 5.0], [8, 20.0]]
      own: [[1, 500.0]]
"""
OTHER_MODEL = """\
  - name: faces
    inputs: [{name: image, datatype: FP32, shape: [-1, 8]}]
    outputs: [{name: logits, datatype: FP32, shape: [-1, 10]}]
    slo: {rt_max_ms: 100}
    workers: [{address: "10.0.0.7:8001", profile: [[1, 9.0]]}]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "mark.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def asked(config: Path | str, *, model: str | None = None, catalog: str | None = None, spot: bool = False) -> Scenario:
    return scenario_of(str(config), model, catalog, spot=spot)


def prices_of(scenario: Scenario) -> dict[str, float]:
    return {offering.name: offering.price_usd_per_hour for offering in scenario.offerings}


def test_a_built_in_name_is_the_scenario_at_the_prices_of_the_paper() -> None:
    assert asked("paper/nasnet") == scenario("paper/nasnet")


def test_a_catalogue_replaces_the_prices_of_a_scenario() -> None:
    assert prices_of(asked("paper/lstm-ptb", catalog="aws-us-east-1", spot=True)) == {
        "c5.xlarge": 0.17,
        "c5.xlarge/spot": 0.0811,
    }


def test_spot_of_the_paper_is_at_the_assumed_share() -> None:
    assert prices_of(asked("paper/lstm-ptb", spot=True)) == {"c5.xlarge": 0.17, "c5.xlarge/spot": pytest.approx(0.068)}


def test_a_scenario_has_no_models_to_choose_from() -> None:
    with pytest.raises(ConfigError, match=r"^--model x: paper/nasnet is one model; leave --model out$"):
        asked("paper/nasnet", model="x")


def test_a_name_that_is_nothing_is_refused_with_the_nearest_scenario() -> None:
    with pytest.raises(
        ConfigError, match=r"^there is no scenario 'paper/inception'; did you mean 'paper/inception-v3'\?.*; nor is the"
    ):
        asked("paper/inception")


def test_a_file_brings_offerings_steps_and_the_capacities_of_its_profiles(config: Path) -> None:
    scenario = asked(config)

    assert [(offering.name, offering.boot_s) for offering in scenario.offerings] == [("c5.large", 20), ("own", 2)]
    assert scenario.capacities["c5.large"] > 200
    assert scenario.capacities["own"] == 0  # too slow for the SLO
    assert (scenario.step_s, scenario.horizon_steps, scenario.slo.rt_max_ms) == (10, 6, 100)


def test_a_catalogue_leaves_out_what_it_does_not_sell_of_a_file(config: Path) -> None:
    scenario = asked(config, catalog="aws-2018")

    assert prices_of(scenario) == {"c5.large": 0.085}
    assert "left out, for aws-2018 does not sell it: own" in scenario.notes


def test_a_file_is_offered_on_spot_at_the_prices_of_a_catalogue(config: Path) -> None:
    assert list(prices_of(asked(config, catalog="aws-2018", spot=True))) == ["c5.large", "c5.large/spot"]


def test_spot_for_a_file_needs_a_catalogue(config: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--spot takes its prices from a catalogue: name one by --catalog"):
        asked(config, spot=True)


def test_a_model_of_several_is_chosen_by_its_name(config: Path) -> None:
    config.write_text(CONFIG + OTHER_MODEL, encoding="utf-8")

    assert asked(config, model="digits").name == f"digits of {config}"


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (None, "has several models; choose one by --model: digits, faces$"),
        ("dogs", "has no such model; known are digits, faces$"),
        ("faces", "model 'faces' is served by workers that are not rented; nothing to plan$"),
    ],
)
def test_a_model_that_cannot_be_planned_for_is_refused(config: Path, model: str | None, words: str) -> None:
    config.write_text(CONFIG + OTHER_MODEL, encoding="utf-8")

    with pytest.raises(ConfigError, match=words):
        asked(config, model=model)


def test_a_file_without_profiles_is_refused_with_where_to_get_them(config: Path) -> None:
    config.write_text(CONFIG.partition("    profiles:")[0], encoding="utf-8")

    with pytest.raises(
        ConfigError, match=r"'digits' has no profile for c5\.large, own: .* the file that `mark profile` writes"
    ):
        asked(config)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: cannot be read"):
        asked(tmp_path / "absent.yaml")


def test_what_runs_is_counted_by_offering() -> None:
    groups = running_groups(["c5.xlarge=3", "p2.xlarge=1"], scenario("paper/nasnet").offerings)

    assert groups == (RunningGroup("c5.xlarge", 3), RunningGroup("p2.xlarge", 1))


@pytest.mark.parametrize(
    ("running", "words"),
    [
        ("c5.xlarge", "must have the form type=count, with a positive whole count"),
        ("c5.xlarge=0", "must have the form type=count"),
        ("c5.xlarge=-1", "must have the form type=count"),
        ("c5.xlarge=1.5", "must have the form type=count"),
        ("c5.xlarge=\u0663", "must have the form type=count"),  # a digit to Python, and to nobody here
        ("=1", "must have the form type=count"),
        ("c5.large=1", "'c5.large' is not offered; known are c5.xlarge, c5.2xlarge, c5.4xlarge, p2.xlarge"),
        ("c5.xlarge=100001", "no more than max_count 100000 can exist"),
    ],
)
def test_what_cannot_run_is_refused(running: str, words: str) -> None:
    with pytest.raises(ConfigError, match=f"^--running {running}: {words}"):
        running_groups([running], scenario("paper/nasnet").offerings)


def test_an_offering_that_runs_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^--running p2\.xlarge=2: p2\.xlarge is given twice; add the counts up$"):
        running_groups(["p2.xlarge=1", "p2.xlarge=2"], scenario("paper/nasnet").offerings)
