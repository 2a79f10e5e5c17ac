"""What `mark aws policy` allows: by tag, name and region, each for a reason, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mark.cloud.aws.permissions import Role, grants
from mark.cloud.aws.policy import policy, trust
from mark.cloud.aws.settings import AwsSettings

ROLES: tuple[Role, ...] = ("router", "worker", "function", "admin")
SETTINGS = AwsSettings("shop", "eu-west-1")
CONFIG = """
cluster: shop
provider: aws
aws: {region: eu-west-1}
offerings: [{name: cpu, types: [c5.large]}]
models:
  - name: digits
    runtime: torchscript
    source: digits.pt
    inputs: [{name: image, datatype: FP32, shape: [-1, 64]}]
    outputs: [{name: logits, datatype: FP32, shape: [-1, 10]}]
    slo: {rt_max_ms: 100}
"""
# These have no resources to be scoped by, or are asked about things of others.
UNSCOPED = {"pricing:GetProducts", "lambda:ListFunctions", "iam:ListRoles"}


def statements(role: Role) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = policy(role, SETTINGS, "123456789012")["Statement"]
    return found


@pytest.mark.parametrize("role", ROLES)
def test_every_action_has_a_reason_and_every_statement_a_purpose_of_its_own(role: Role) -> None:
    made = grants(role, SETTINGS)

    assert all(why for grant in made for why in grant.actions.values())
    sids = [statement["Sid"] for statement in statements(role)]
    assert len(set(sids)) == len(sids)
    assert all(sid.isalnum() for sid in sids)


@pytest.mark.parametrize("role", ROLES)
def test_there_are_no_wildcards_in_actions_and_none_in_resources_without_a_region(role: Role) -> None:
    for statement in statements(role):
        assert all("*" not in action for action in statement["Action"]), statement
        if statement["Resource"] == ["*"] and not set(statement["Action"]) <= UNSCOPED:
            assert statement["Condition"] == {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}


@pytest.mark.parametrize("role", ROLES)
def test_other_services_are_reached_by_the_cluster_s_names_alone(role: Role) -> None:
    for statement in statements(role):
        if statement["Action"] == ["iam:SimulatePrincipalPolicy"]:
            continue  # only asks; and under which name who sets up goes is not known
        for arn in statement["Resource"]:
            if arn != "*" and arn.split(":")[2] in {"s3", "sqs", "events", "lambda", "iam", "logs"}:
                assert "mark-shop-" in arn or "aws-service-role/spot.amazonaws.com" in arn, arn


def test_what_runs_is_ended_only_where_it_carries_the_cluster_s_tag() -> None:
    ends = ("TerminateInstances", "StopInstances", "StartInstances", "Delete")
    for role in ROLES:
        for statement in statements(role):
            if any(action.startswith("ec2:") and action[4:].startswith(ends) for action in statement["Action"]):
                assert statement["Condition"]["StringEquals"] == {"aws:ResourceTag/mark:cluster": "shop"}


def test_what_is_launched_carries_the_cluster_s_tag() -> None:
    (launched,) = [each for each in statements("router") if each["Sid"] == "LaunchWhatIsTagged"]

    assert launched["Condition"]["StringEquals"] == {"aws:RequestTag/mark:cluster": "shop"}
    assert "arn:aws:ec2:eu-west-1:123456789012:instance/*" in launched["Resource"]
    for statement in statements("router"):
        if "ec2:RunInstances" in statement["Action"] and statement["Sid"] != "LaunchWhatIsTagged":
            assert not any(":instance/" in arn for arn in statement["Resource"])


def test_roles_are_passed_to_ec2_and_lambda_and_to_nobody_else() -> None:
    passed = {
        (arn.rpartition("/")[2], statement["Condition"]["StringEquals"]["iam:PassedToService"])
        for role in ROLES
        for statement in statements(role)
        if "iam:PassRole" in statement["Action"]
        for arn in statement["Resource"]
    }

    assert passed == {("mark-shop-worker", "ec2.amazonaws.com"), ("mark-shop-function", "lambda.amazonaws.com")}


@pytest.mark.parametrize("role", ["worker", "function"])
def test_nobody_but_the_router_reads_the_authority_s_key(role: Role) -> None:
    readable = [arn for each in statements(role) for arn in each["Resource"] if arn.startswith("arn:aws:s3")]

    assert readable
    assert not any(arn.endswith(("/*", "authority-key.pem")) and "/models/" not in arn for arn in readable)


def test_a_public_parameter_has_no_account_and_an_image_by_id_needs_none() -> None:
    def parameters(image: str) -> list[str]:
        made = policy("router", AwsSettings("shop", "eu-west-1", image=image), "1")["Statement"]
        return [arn for each in made if "ssm:GetParameter" in each["Action"] for arn in each["Resource"]]

    assert parameters("ssm:/aws/service/x") == ["arn:aws:ssm:eu-west-1::parameter/aws/service/x"]
    assert parameters("ssm:/ours/image") == ["arn:aws:ssm:eu-west-1:1:parameter/ours/image"]
    assert parameters("ami-1") == []


@pytest.mark.parametrize(
    ("region", "partition"), [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
)
def test_arns_are_those_of_the_region_s_partition(region: str, partition: str) -> None:
    made = policy("admin", AwsSettings("shop", region))["Statement"]

    assert {arn.split(":")[1] for each in made for arn in each["Resource"] if arn != "*"} == {partition}


def test_without_an_account_every_account_s_bucket_of_that_name_is_meant() -> None:
    (arn,) = [arn for each in policy("router", SETTINGS)["Statement"] if each["Sid"] == "ListTheBucket"
              for arn in each["Resource"]]  # fmt: skip

    assert arn == "arn:aws:s3:::mark-shop-*-eu-west-1"


@pytest.mark.parametrize("role", ROLES)
def test_a_policy_is_short_enough_for_iam(role: Role) -> None:
    limit = 10_240 if role in {"worker", "function"} else 6_144  # inline of a role; managed
    assert len(json.dumps(policy(role, SETTINGS, "123456789012"), separators=(",", ":"))) <= limit


def test_only_the_service_takes_its_role_on() -> None:
    (statement,) = trust("ec2.amazonaws.com")["Statement"]

    assert (statement["Principal"], statement["Action"]) == ({"Service": "ec2.amazonaws.com"}, "sts:AssumeRole")


def run_without_boto3(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`mark` in a Python that has neither boto3 nor what comes with it."""
    block = "import sys; sys.modules.update(dict.fromkeys(('boto3', 'botocore', 'cryptography'))); "
    code = f"{block}sys.argv = ['mark', *{list(arguments)!r}]; from mark.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def test_the_policy_is_printed_without_boto3(tmp_path: Path) -> None:
    path = tmp_path / "mark.yaml"
    path.write_text(CONFIG)
    done = run_without_boto3("aws", "policy", str(path), "--role", "worker", "--account", "1")

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == policy("worker", SETTINGS, "1")


def test_a_configuration_without_aws_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "mark.yaml"
    text = CONFIG.replace("provider: aws\naws: {region: eu-west-1}", "").replace(
        "types: [c5.large]", "price_usd_per_hour: 1"
    )
    path.write_text(text)
    done = run_without_boto3("aws", "policy", str(path))

    assert (done.returncode, done.stdout) == (2, "")
    assert "no section aws" in done.stderr


def test_without_boto3_serving_on_aws_says_what_to_install(tmp_path: Path) -> None:
    path = tmp_path / "mark.yaml"
    path.write_text(CONFIG + "    profiles: {cpu: [[1, 5.0], [32, 20.0]]}\n")

    done = run_without_boto3("serve", str(path), "--set", "server.port=0")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "mark: AWS needs boto3: pip install 'mark-serve[aws]'\n"


def test_without_boto3_this_machine_is_served_on_as_ever(tmp_path: Path) -> None:
    path = tmp_path / "mark.yaml"
    local = CONFIG.replace("provider: aws\naws: {region: eu-west-1}", "").replace(
        "types: [c5.large]", "price_usd_per_hour: 1"
    )
    path.write_text(local + "    profiles: {cpu: [[1, 5.0], [32, 20.0]]}\n")

    done = run_without_boto3("serve", str(path), "--set", "server.port=0")

    # It comes as far as the worker, which has no such model.
    assert done.returncode == 2
    assert "model digits does not start on offering cpu" in done.stderr
