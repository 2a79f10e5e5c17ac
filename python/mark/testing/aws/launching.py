"""RunInstances and CreateFleet: from what is asked for to instances, as far as there is capacity."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from moto.ec2.utils import filter_iam_instance_profiles

from mark.testing.aws.ec2_state import Ec2State
from mark.testing.aws.faults import Faults
from mark.testing.aws.instances import tags_for
from mark.testing.aws.machine import LaunchSpec, Machine
from mark.testing.aws.pools import Pools, SpotPrices, vcpus_of
from mark.testing.aws.wire import AwsError, Call

__all__ = ["Launching"]

_CAPACITY = "InsufficientInstanceCapacity"
_KNOWN_OPTIONS = frozenset({"AllocationStrategy", "MinTargetCapacity", "InstanceInterruptionBehavior"})


@dataclass(frozen=True)
class _Pool:
    """One type in one subnet that a fleet may be bought from."""

    spec: LaunchSpec
    shown: dict[str, Any]
    priority: float


@dataclass
class _Bought:
    """What a fleet got, pool by pool, and what it did not get."""

    specs: list[tuple[_Pool, int]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(count for _, count in self.specs)


class Launching:
    """Thread safety: calls are made with the machines' lock held, so that two never sell the same capacity."""

    def __init__(self, state: Ec2State, pools: Pools, prices: SpotPrices, faults: Faults) -> None:
        self._state = state
        self._pools = pools
        self._prices = prices
        self._faults = faults

    def run_instances(self, call: Call) -> dict[str, Any]:
        """RunInstances."""
        settings = self._settings(call.params.get("LaunchTemplate"), call.params)
        market = (settings.get("InstanceMarketOptions") or {}).get("MarketType", "on-demand")
        spec = self._spec(settings, market, call.params)
        least, most = int(call.params.get("MinCount", 1)), int(call.params.get("MaxCount", 1))
        if not 1 <= least <= most:
            raise AwsError("InvalidParameterValue", f"MinCount {least} and MaxCount {most} do not fit")
        with self._state.machines.lock:
            got, code, message = self._granted(call.name, spec, most)
            if got < least:
                raise AwsError(code, message)
            self._pools.take(spec.instance_type, spec.zone, got)
            made = self._state.machines.launch([spec] * got)
            return self._state.reservation(made)

    def check_start(self, call: Call, machines: Sequence[Machine]) -> None:
        """Whether there is capacity to start these.

        Raises:
            AwsError: there is not.
        """
        for machine in machines:
            got, code, message = self._granted(call.name, machine.spec, 1)
            if not got:
                raise AwsError(code, message)
        for machine in machines:
            self._pools.take(machine.spec.instance_type, machine.spec.zone, 1)

    def create_fleet(self, call: Call) -> dict[str, Any]:
        """CreateFleet of type instant."""
        params = call.params
        if params.get("Type") != "instant":
            raise AwsError("UnsupportedOperation", "this fake creates fleets of type instant only")
        targets = params["TargetCapacitySpecification"]
        total = int(targets["TotalTargetCapacity"])
        default = targets.get("DefaultTargetCapacityType", "on-demand")
        wanted = {
            "on-demand": int(targets.get("OnDemandTargetCapacity", 0)),
            "spot": int(targets.get("SpotTargetCapacity", 0)),
        }
        wanted[default] += max(total - sum(wanted.values()), 0)
        answer: dict[str, Any] = {"FleetId": f"fleet-{secrets.token_hex(18)}", "Errors": [], "Instances": []}
        with self._state.machines.lock:
            for market, count in wanted.items():
                if count:
                    bought = self._buy(call, market, count)
                    answer["Errors"] += bought.errors
                    answer["Instances"] += self._launched(bought, market)
        ids = [name for group in answer["Instances"] for name in group["InstanceIds"]]
        self._state.fleets[answer["FleetId"]] = (ids, tags_for(params, "fleet"))
        return answer

    def _buy(self, call: Call, market: str, count: int) -> _Bought:
        options = call.params.get("SpotOptions" if market == "spot" else "OnDemandOptions") or {}
        if unknown := set(options) - _KNOWN_OPTIONS:
            raise AwsError("UnsupportedOperation", f"this fake does not know {', '.join(sorted(unknown))}")
        strategy = options.get("AllocationStrategy", "lowest-price")
        bought = _Bought()
        for pool in sorted(self._fleet_pools(call, market), key=self._order(strategy, market)):
            left = count - bought.count
            if left <= 0:
                break
            got, code, message = self._granted(call.name, pool.spec, left)
            if got:
                self._pools.take(pool.spec.instance_type, pool.spec.zone, got)
                bought.specs.append((pool, got))
                # The next pool's quota is reckoned with these.
                self._state.reserved.extend([pool.spec] * got)
            if got < left:
                error = {"LaunchTemplateAndOverrides": pool.shown, "Lifecycle": market}
                bought.errors.append(error | {"ErrorCode": code, "ErrorMessage": message})
        self._state.reserved.clear()
        if bought.count < int(options.get("MinTargetCapacity", 0)):
            bought.specs = []
        return bought

    def _launched(self, bought: _Bought, market: str) -> Iterator[dict[str, Any]]:
        for pool, count in bought.specs:
            made = self._state.machines.launch([pool.spec] * count)
            yield {
                "LaunchTemplateAndOverrides": pool.shown,
                "Lifecycle": market,
                "InstanceIds": [machine.id for machine in made],
                "InstanceType": pool.spec.instance_type,
                "AvailabilityZone": pool.spec.zone,
                "SubnetId": pool.spec.subnet_id,
            }

    def _order(self, strategy: str, market: str) -> Callable[[_Pool], tuple[float, float]]:
        def price(pool: _Pool) -> float:
            return self._state.price(pool.spec.instance_type, pool.spec.zone, market, self._prices)

        if strategy in {"prioritized", "capacity-optimized-prioritized"}:
            return lambda pool: (pool.priority, price(pool))
        # The fake has no pools with more room than others: what is left is the price.
        return lambda pool: (price(pool), pool.priority)

    def _fleet_pools(self, call: Call, market: str) -> Iterator[_Pool]:
        for config in call.params.get("LaunchTemplateConfigs", []):
            template = config["LaunchTemplateSpecification"]
            for override in config.get("Overrides") or [{}]:
                if "InstanceRequirements" in override or float(override.get("WeightedCapacity", 1)) != 1:
                    raise AwsError("UnsupportedOperation", "this fake takes overrides of a type, each counting one")
                wanted = dict(override)
                if zone := wanted.pop("AvailabilityZone", None):
                    wanted["Placement"] = {"AvailabilityZone": zone}
                settings = self._settings(template, wanted)
                spec = self._spec(settings, market, call.params)
                shown = {**override, "AvailabilityZone": spec.zone, "SubnetId": spec.subnet_id}
                shown["InstanceType"] = spec.instance_type
                yield _Pool(
                    spec,
                    {"LaunchTemplateSpecification": self._state.template_shown(template), "Overrides": shown},
                    float(override.get("Priority", 1e9)),
                )

    def _granted(self, operation: str, spec: LaunchSpec, wanted: int) -> tuple[int, str, str]:
        """How many may be had, and why not more."""
        fault = self._faults.of_pool(operation, spec.instance_type, spec.zone)
        if fault:
            return 0, fault.code, fault.message
        there = self._pools.available(spec.instance_type, spec.zone, wanted)
        allowed = self._pools.allowed(spec.instance_type, spec.market, self._state.counted())
        if allowed < there:
            code = "MaxSpotInstanceCountExceeded" if spec.market == "spot" else "VcpuLimitExceeded"
            return allowed, code, "You have requested more vCPU capacity than your current vCPU limit allows"
        message = f"We currently do not have sufficient {spec.instance_type} capacity in {spec.zone}."
        return there, _CAPACITY, message

    def _settings(self, template: Mapping[str, Any] | None, params: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of a launch over those of its template."""
        settings = self._state.template_data(template) if template else {}
        own = {key: value for key, value in params.items() if key != "TagSpecifications" and value is not None}
        merged = {**settings, **own}
        if merged.get("UserData"):
            merged["UserData"] = str(merged["UserData"])  # moto wraps what a template holds
        return merged

    def _spec(self, settings: dict[str, Any], market: str, params: Mapping[str, Any]) -> LaunchSpec:
        image, kind = settings.get("ImageId", ""), settings.get("InstanceType", "")
        if not image:
            raise AwsError("MissingParameter", "The request must contain the parameter ImageId")
        if not image.startswith(("ami-", "resolve:ssm:")):
            raise AwsError("InvalidAMIID.Malformed", f'Invalid id: "{image}" (expecting "ami-...")')
        if not vcpus_of(kind):
            raise AwsError("InvalidParameterValue", f"Invalid value '{kind}' for InstanceType.")
        subnet, zone, vpc = self._state.place(settings)
        self._state.check_groups(settings)
        if profile := settings.get("IamInstanceProfile"):
            filter_iam_instance_profiles(self._state.account, "aws", profile.get("Arn"), profile.get("Name"))
        return LaunchSpec(
            instance_type=kind,
            market=market,
            zone=zone,
            subnet_id=subnet,
            vpc_id=vpc,
            settings=settings,
            tags=tags_for(settings, "instance") | tags_for(params, "instance"),
            volume_tags=tags_for(settings, "volume") | tags_for(params, "volume"),
            client_token=params.get("ClientToken", ""),
        )
