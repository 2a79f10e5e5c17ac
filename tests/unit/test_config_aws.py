"""The keys of AWS: which are needed, and which belong to another provider."""

from __future__ import annotations

import pytest

from mark.app.profiles import measure_missing_profiles
from mark.config import Config, parse_config
from mark.errors import ConfigError

GOOD = """
provider: aws
aws: {region: us-east-1}
offerings:
  - {name: cpu, types: [c5.large, c5.xlarge]}
  - {name: spot, market: spot, types: [c5.large]}
models:
  - name: digits
    runtime: torchscript
    source: digits.pt
    inputs: [{name: image, datatype: FP32, shape: [-1, 64]}]
    outputs: [{name: logits, datatype: FP32, shape: [-1, 10]}]
    slo: {rt_max_ms: 100}
"""


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as refused:
        parse_config(text, name="mark.yaml")
    return str(refused.value)


def offerings(config: Config) -> dict[str, float]:
    return {each.name: each.as_offering().price_usd_per_hour for each in config.offerings}


def test_a_price_that_is_left_out_is_that_of_the_dearest_type_and_zone_in_the_table() -> None:
    assert offerings(parse_config(GOOD)) == {"cpu": 0.17, "spot": 0.0347}


def test_a_price_that_is_given_stands() -> None:
    text = GOOD.replace("types: [c5.large]}", "types: [c9.none], price_usd_per_hour: 0.01}")

    assert offerings(parse_config(text))["spot"] == 0.01


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        ("aws: {region: us-east-1}", "", "mark.yaml:2: aws: provider: aws needs a section aws"),
        ("us-east-1", "useast", "aws.region: must match pattern"),
        ("region: us-east-1", "region: us-east-1, subnets: {us-east-1a: net}", "aws.subnets.us-east-1a: must match"),
        ("region: us-east-1", "region: us-east-1, endpoint_url: host", "aws.endpoint_url: must match"),
        ("types: [c5.large]", "types: [c9.none]", "offerings[1].price_usd_per_hour: 'spot' needs a price"),
        ("types: [c5.large]", "types: [large]", "offerings[1].types[0]: must match pattern"),
        (", types: [c5.large]", "", "offerings[1].types: 'spot' needs the EC2 types"),
        ("provider: aws", "provider: local", "offerings[0].types: only AWS has types and zones: provider: aws"),
    ],
)
def test_what_does_not_fit_the_provider_is_named(right: str, wrong: str, words: str) -> None:
    assert words in refusal(GOOD.replace(right, wrong))


def test_what_this_machine_rents_needs_a_price() -> None:
    text = GOOD.replace("provider: aws\naws: {region: us-east-1}", "").replace(
        "types: [c5.large, c5.xlarge]", "boot_s: 1"
    )

    assert "offerings[0].price_usd_per_hour: 'cpu' needs a price; only AWS knows its own" in refusal(text)


async def test_a_profile_that_is_missing_is_not_measured_on_this_machine() -> None:
    with pytest.raises(ConfigError, match="no profile on offering 'cpu', and only workers of this machine"):
        await measure_missing_profiles(parse_config(GOOD))
