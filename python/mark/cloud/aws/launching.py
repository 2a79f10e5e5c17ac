"""What is asked of EC2 to launch instances, and what its answers mean. Pure: nothing here calls anything.

Parameters: Amazon EC2 API Reference, CreateFleet and RunInstances.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mark.cloud.aws import tags
from mark.cloud.aws.errors import CAPACITY_CODES, QUOTA_CODES
from mark.cloud.aws.pools import Pool
from mark.domain.offering import Market

__all__ = ["Bought", "Order", "Refusal", "client_token", "launch_request", "read_answer"]

Request = dict[str, Any]

_TAG_CHARACTERS_MAX = 256


@dataclass(frozen=True, slots=True)
class Order:
    """Instances of one offering for one model, wanted together.

    Attributes:
        cluster: that they will belong to.
        offering: its name.
        model: its name.
        tokens: one for each instance.
        template: name of the launch template.
        pools: that they may come from; at least one, all of one market.
        subnets: zone -> subnet id, of every zone of `pools`.
        role: `tags.WORKER` or `tags.STANDBY`.
        is_burstable: they run on credits, and pay for none that they have not.
    """

    cluster: str
    offering: str
    model: str
    tokens: tuple[str, ...]
    template: str
    pools: tuple[Pool, ...]
    subnets: Mapping[str, str]
    role: str = tags.WORKER
    is_burstable: bool = False

    @property
    def tags(self) -> dict[str, str]:
        """What the instances will carry."""
        return {
            tags.CLUSTER: self.cluster,
            tags.MODEL: self.model,
            tags.OFFERING: self.offering,
            tags.DECISION: self.tokens[0][:_TAG_CHARACTERS_MAX],
            tags.ROLE: self.role,
        }


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why EC2 did not sell something. `pool` is None where the answer names none."""

    pool: Pool | None
    code: str
    message: str

    @property
    def is_capacity(self) -> bool:
        """The pool has nothing left."""
        return self.code in CAPACITY_CODES

    @property
    def is_quota(self) -> bool:
        """The account may run no more of it."""
        return self.code in QUOTA_CODES


@dataclass(frozen=True, slots=True)
class Bought:
    """What a call brought: instance id -> its pool, and what was refused."""

    instances: Mapping[str, Pool]
    refusals: tuple[Refusal, ...] = ()


def launch_request(order: Order) -> tuple[str, Request]:
    """The operation that fulfils an order, "create_fleet" or "run_instances", and its parameters.

    RunInstances buys one exact thing, CreateFleet what is best of several. The same order gives the same request, its
    client token included, and EC2 answers a token that it knows with the instances of the first time.
    """
    exact = len(order.pools) == 1 and len(order.tokens) == 1
    if exact or order.role == tags.STANDBY:
        operation, request = "run_instances", _run_request(order)
    else:
        operation, request = "create_fleet", _fleet_request(order)
    return operation, {**request, "ClientToken": client_token(order.tokens, request)}


def client_token(tokens: Sequence[str], request: Mapping[str, Any]) -> str:
    """64 characters that stand for these tokens and parameters: EC2 refuses a known token with other parameters."""
    text = json.dumps([list(tokens), request], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def read_answer(operation: str, answer: Mapping[str, Any], market: Market) -> Bought:
    """What EC2 sold, and what it did not."""
    if operation == "run_instances":
        return Bought(
            {
                each["InstanceId"]: Pool(
                    each["InstanceType"], each.get("Placement", {}).get("AvailabilityZone", ""), market
                )
                for each in answer.get("Instances", ())
            }
        )
    bought = {}
    for group in answer.get("Instances", ()):
        overrides = group.get("LaunchTemplateAndOverrides", {}).get("Overrides", {})
        instance_type = group.get("InstanceType") or overrides.get("InstanceType", "")
        zone = group.get("AvailabilityZone") or overrides.get("AvailabilityZone", "")
        bought.update(dict.fromkeys(group.get("InstanceIds", ()), Pool(instance_type, zone, market)))
    return Bought(bought, tuple(_refusal(each, market) for each in answer.get("Errors", ())))


def _refusal(error: Mapping[str, Any], market: Market) -> Refusal:
    overrides = error.get("LaunchTemplateAndOverrides", {}).get("Overrides", {})
    instance_type, zone = overrides.get("InstanceType"), overrides.get("AvailabilityZone")
    pool = Pool(instance_type, zone, market) if instance_type and zone else None
    return Refusal(pool, str(error.get("ErrorCode", "")), str(error.get("ErrorMessage", "")))


def _specifications(order: Order, kinds: Sequence[str]) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": tags.tag_list(order.tags)} for kind in kinds]


def _fleet_request(order: Order) -> Request:
    is_spot = order.pools[0].market is Market.SPOT
    strategy: Request = (
        {"SpotOptions": {"AllocationStrategy": "price-capacity-optimized", "InstanceInterruptionBehavior": "terminate"}}
        if is_spot
        else {"OnDemandOptions": {"AllocationStrategy": "lowest-price"}}
    )
    return {
        "Type": "instant",
        **strategy,
        "LaunchTemplateConfigs": [
            {
                "LaunchTemplateSpecification": {"LaunchTemplateName": order.template, "Version": "$Default"},
                "Overrides": [
                    {
                        "InstanceType": pool.instance_type,
                        "SubnetId": order.subnets[pool.zone],
                        "AvailabilityZone": pool.zone,
                    }
                    for pool in order.pools
                ],
            }
        ],
        "TargetCapacitySpecification": {
            "TotalTargetCapacity": len(order.tokens),
            "DefaultTargetCapacityType": "spot" if is_spot else "on-demand",
        },
        "TagSpecifications": _specifications(order, ["fleet", "instance", "volume"]),
    }


def _run_request(order: Order) -> Request:
    pool = order.pools[0]
    request: Request = {
        "MinCount": 1,  # what there is, rather than nothing when there is not all
        "MaxCount": len(order.tokens),
        "LaunchTemplate": {"LaunchTemplateName": order.template, "Version": "$Default"},
        "InstanceType": pool.instance_type,
        "SubnetId": order.subnets[pool.zone],
        "TagSpecifications": _specifications(order, ["instance", "volume"]),
    }
    if pool.market is Market.SPOT:
        request["InstanceMarketOptions"] = {
            "MarketType": "spot",
            "SpotOptions": {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"},
        }
    if order.is_burstable:
        request["CreditSpecification"] = {"CpuCredits": "standard"}
    return request
