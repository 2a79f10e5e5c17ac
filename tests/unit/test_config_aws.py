"""The keys of AWS: which are needed, and which belong to another provider."""

from __future__ import annotations

from pathlib import Path

import pytest

from mark.app.aws import aws_settings
from mark.app.profiles import measure_missing_profiles
from mark.config import Config, load_config, parse_config
from mark.errors import ConfigError
from mark.tracing.params import TracingParams

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


def test_workers_that_are_traced_are_installed_with_what_they_need_for_it() -> None:
    traced = "tracing: {endpoint: 'http://10.0.0.9:4317', service_name: digits}\n" + GOOD
    plain, settings = aws_settings(parse_config(GOOD)), aws_settings(parse_config(traced))
    assert (plain.traces, settings.traces) == (None, TracingParams("http://10.0.0.9:4317", 0.0, "digits-worker"))
    assert (plain.install, settings.install) == ("mark-serve[aws,torch]", "mark-serve[aws,torch,tracing]")
    own = traced.replace("region: us-east-1", "region: us-east-1, install: our-mark")
    assert aws_settings(parse_config(own)).install == "our-mark"


async def test_a_profile_that_is_missing_is_not_measured_on_this_machine() -> None:
    with pytest.raises(ConfigError, match="no profile on offering 'cpu', and only workers of this machine"):
        await measure_missing_profiles(parse_config(GOOD))


SERVERLESS = GOOD.replace("runtime: torchscript", "runtime: onnx").replace("digits.pt", "digits.onnx")
SERVERLESS += "    serverless: {price_usd_per_gb_s: 0.0000166667, memory_gb: 0.5}\n"


def functions_of(**keys: object) -> str:
    more = "".join(f", {key}: {value}" for key, value in keys.items())
    return SERVERLESS.replace("memory_gb: 0.5", f"memory_gb: 0.5{more}")


def test_functions_of_aws_are_a_zip_that_is_made_one_that_is_given_or_an_image() -> None:
    image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/mark:1"
    made, given, imaged = (
        parse_config(text).models[0].serverless
        for text in (functions_of(include="[scipy]"), functions_of(package="digits.zip"), functions_of(image=image))
    )

    assert made is not None
    assert given is not None
    assert imaged is not None
    assert (made.package, made.image, made.include) == (None, None, ["scipy"])
    assert (given.package, imaged.image) == ("digits.zip", image)


def test_a_zip_is_taken_relative_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mark.yaml"
    path.write_text(functions_of(package="zips/digits.zip"), encoding="utf-8")

    serverless = load_config(path).models[0].serverless

    assert serverless is not None
    assert serverless.package == str(tmp_path / "zips" / "digits.zip")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SERVERLESS.replace("runtime: onnx", "runtime: torchscript"), "serverless.image: torch does not fit into the"),
        (functions_of(package="a.zip", image="r.example/a:1"), "serverless.image: the code of a function is a zip or"),
        (functions_of(package="a.zip", include="[scipy]"), "serverless.include: goes into the zip that is made"),
        (functions_of(image="no-tag"), "serverless.image: must match pattern"),
        (functions_of(timeout_s=901), "serverless.timeout_s: AWS Lambda ends functions after 900 s"),
        (functions_of(cpu_share=0.5), "serverless.cpu_share: AWS Lambda gives its share of a CPU by memory_gb"),
        (SERVERLESS.replace("memory_gb: 0.5", "memory_gb: 11"), "serverless.memory_gb: AWS Lambda has 0.125 to 10 GB"),
        (SERVERLESS.replace("[-1, 64]", "[-1, 2000000]"), "serverless: AWS Lambda carries 4717568 bytes"),
        (SERVERLESS.replace("name: digits", f"name: {'d' * 60}"), "models[0].name: its function would be called mark-"),
        (
            functions_of(image="r.example/a:1")
            .replace("provider: aws\naws: {region: us-east-1}", "")
            .replace("types: [c5.large, c5.xlarge]", "price_usd_per_hour: 1")
            .replace("types: [c5.large]", "price_usd_per_hour: 1"),
            "serverless.image: only functions of AWS have code of their own",
        ),
    ],
)
def test_functions_that_their_provider_cannot_run_are_refused(text: str, words: str) -> None:
    assert words in refusal(text)
