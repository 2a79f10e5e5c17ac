"""What is asked of EC2, and what its answers mean; botocore itself checks the parameters."""

from __future__ import annotations

import dataclasses

import boto3
import pytest
from botocore.stub import Stubber

from mark.cloud.aws import tags
from mark.cloud.aws.launching import Order, launch_request, read_answer
from mark.cloud.aws.pools import Pool
from mark.domain.offering import Market

POOLS = tuple(
    Pool(kind, zone, Market.SPOT) for kind in ("c5.large", "c5a.large") for zone in ("us-east-1a", "us-east-1b")
)
SUBNETS = {"us-east-1a": "subnet-a", "us-east-1b": "subnet-b"}
ORDER = Order("c", "spot", "m", ("c/m/1/0", "c/m/1/1"), "mark-c-worker-1", POOLS, SUBNETS)
EXACT = Order("c", "od", "m", ("t",), "w", (Pool("c5.large", "us-east-1a", Market.ON_DEMAND),), SUBNETS)


def is_valid(operation: str, request: dict[str, object]) -> bool:
    client = boto3.client("ec2", "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    with Stubber(client) as stub:
        stub.add_response(operation, {}, request)
        getattr(client, operation)(**request)
    return True


def test_several_pools_are_one_fleet_with_an_override_for_each() -> None:
    operation, request = launch_request(ORDER)

    assert operation == "create_fleet"
    assert is_valid(operation, request)
    assert request["Type"] == "instant"
    assert request["SpotOptions"]["AllocationStrategy"] == "price-capacity-optimized"
    assert request["TargetCapacitySpecification"] == {
        "TotalTargetCapacity": 2,
        "DefaultTargetCapacityType": "spot",
    }
    overrides = request["LaunchTemplateConfigs"][0]["Overrides"]
    assert [(each["InstanceType"], each["SubnetId"]) for each in overrides] == [
        ("c5.large", "subnet-a"), ("c5.large", "subnet-b"), ("c5a.large", "subnet-a"), ("c5a.large", "subnet-b"),
    ]  # fmt: skip
    assert {each["ResourceType"] for each in request["TagSpecifications"]} == {"fleet", "instance", "volume"}
    assert tags.tags_of(request["TagSpecifications"][1]["Tags"]) == {
        tags.CLUSTER: "c", tags.MODEL: "m", tags.OFFERING: "spot", tags.DECISION: "c/m/1/0", tags.ROLE: "worker",
    }  # fmt: skip


def test_on_demand_fleets_are_the_cheapest() -> None:
    pools = tuple(dataclasses.replace(pool, market=Market.ON_DEMAND) for pool in POOLS)

    operation, request = launch_request(dataclasses.replace(ORDER, pools=pools))

    assert is_valid(operation, request)
    assert request["OnDemandOptions"] == {"AllocationStrategy": "lowest-price"}
    assert "SpotOptions" not in request


def test_one_exact_thing_is_run() -> None:
    operation, request = launch_request(EXACT)

    assert operation == "run_instances"
    assert is_valid(operation, request)
    assert (request["MinCount"], request["MaxCount"], request["InstanceType"]) == (1, 1, "c5.large")
    assert "CreditSpecification" not in request
    assert "InstanceMarketOptions" not in request


def test_standbys_are_run_and_pay_for_no_credits() -> None:
    order = dataclasses.replace(EXACT, tokens=("a", "b"), role=tags.STANDBY, is_burstable=True)

    operation, request = launch_request(order)

    assert is_valid(operation, request)
    assert (operation, request["MaxCount"], request["CreditSpecification"]) == (
        "run_instances", 2, {"CpuCredits": "standard"},
    )  # fmt: skip


def test_the_client_token_is_of_the_tokens_and_the_parameters() -> None:
    token = launch_request(ORDER)[1]["ClientToken"]

    assert (len(token), token.isascii()) == (64, True)
    assert launch_request(dataclasses.replace(ORDER))[1]["ClientToken"] == token
    assert launch_request(dataclasses.replace(ORDER, tokens=("x", "y")))[1]["ClientToken"] != token
    assert launch_request(dataclasses.replace(ORDER, pools=POOLS[1:]))[1]["ClientToken"] != token


def test_a_fleets_answer_says_what_came_and_what_did_not() -> None:
    def overrides(kind: str) -> dict[str, object]:
        return {"Overrides": {"InstanceType": kind, "AvailabilityZone": "us-east-1a"}}

    bought = read_answer(
        "create_fleet",
        {
            "Instances": [
                {
                    "LaunchTemplateAndOverrides": overrides("c5.large"),
                    "InstanceIds": ["i-1", "i-2"],
                    "InstanceType": "c5.large",
                }
            ],
            "Errors": [
                {
                    "LaunchTemplateAndOverrides": overrides("c5a.large"),
                    "ErrorCode": "InsufficientInstanceCapacity",
                    "ErrorMessage": "none",
                },
                {"ErrorCode": "MaxSpotInstanceCountExceeded", "ErrorMessage": "quota"},
            ],
        },
        Market.SPOT,
    )

    assert bought.instances == {"i-1": POOLS[0], "i-2": POOLS[0]}
    assert [(each.pool, each.is_capacity, each.is_quota) for each in bought.refusals] == [
        (POOLS[2], True, False), (None, False, True),
    ]  # fmt: skip


@pytest.mark.parametrize("answer", [{}, {"Instances": [], "Errors": []}])
def test_an_empty_answer_brought_nothing(answer: dict[str, object]) -> None:
    assert not read_answer("create_fleet", answer, Market.SPOT).instances
