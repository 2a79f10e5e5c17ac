"""What EC2 knows: its instances are the fake's own, and templates, subnets and groups are moto's."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from moto.backends import get_backend
from moto.core.exceptions import ServiceException

from mark.testing.aws.machine import LaunchSpec, Machine
from mark.testing.aws.machines import Machines
from mark.testing.aws.params import FakeAwsParams
from mark.testing.aws.pools import SpotPrices
from mark.testing.aws.wire import AwsError

__all__ = ["ACCOUNT", "Ec2State"]

ACCOUNT = "123456789012"


class Ec2State:
    """Thread safety: `fleets` and `reserved` are touched with the machines' lock held; the rest is moto's."""

    def __init__(self, params: FakeAwsParams, machines: Machines) -> None:
        self.params = params
        self.machines = machines
        self.account = ACCOUNT
        self.fleets: dict[str, tuple[list[str], dict[str, str]]] = {}
        self.reserved: list[LaunchSpec] = []

    @property
    def moto(self) -> Any:
        """Moto's EC2 of the region."""
        return get_backend("ec2")[self.account][self.params.region]

    def counted(self) -> Iterator[Machine]:
        """What counts against quotas: what runs, and what the fleet that is being bought has so far."""
        yield from self.machines.all()
        for spec in self.reserved:
            yield Machine("", "", spec, "", {}, {})

    def price(self, instance_type: str, zone: str, market: str, prices: SpotPrices) -> float:
        """What an hour costs now, in US dollars; endless for a type without a price."""
        if market == "spot":
            return prices.at(instance_type, zone, time.time())
        return self.params.prices_usd_per_hour.get(instance_type, float("inf"))

    def template_data(self, template: Mapping[str, Any]) -> dict[str, Any]:
        """The content of the version of a launch template that is meant."""
        return dict(self._version(template).data)

    def template_shown(self, template: Mapping[str, Any]) -> dict[str, Any]:
        """A launch template as answers name it."""
        version = self._version(template)
        return {"LaunchTemplateId": version.template.id, "Version": str(version.number)}

    def place(self, settings: Mapping[str, Any]) -> tuple[str, str, str]:
        """Subnet, zone and network of a launch.

        Raises:
            AwsError: there is no such subnet, or none in the zone.
        """
        interfaces = settings.get("NetworkInterfaces") or [{}]
        subnet_id = settings.get("SubnetId") or interfaces[0].get("SubnetId")
        zone = (settings.get("Placement") or {}).get("AvailabilityZone")
        if subnet_id:
            subnet = self.moto.get_subnet(subnet_id)
        else:
            defaults = self.moto.get_default_subnets()
            if zone and zone not in defaults:
                raise AwsError("InvalidParameterValue", f"Invalid availability zone: [{zone}]")
            subnet = defaults[zone or min(defaults)]
        if zone and subnet.availability_zone != zone:
            raise AwsError("InvalidParameterValue", f"Subnet {subnet.id} is not in {zone}")
        return subnet.id, subnet.availability_zone, subnet.vpc_id

    def check_groups(self, settings: Mapping[str, Any]) -> None:
        """Whether the security groups of a launch are there.

        Raises:
            AwsError: one is not.
        """
        interfaces = settings.get("NetworkInterfaces") or [{}]
        for group in [*settings.get("SecurityGroupIds", []), *interfaces[0].get("Groups", [])]:
            if self.moto.get_security_group_from_id(group) is None:
                raise AwsError("InvalidGroup.NotFound", f"The security group '{group}' does not exist")

    def reservation(self, machines: Sequence[Machine]) -> dict[str, Any]:
        """Instances of one launch as RunInstances and DescribeInstances show them."""
        return {
            "ReservationId": machines[0].reservation_id,
            "OwnerId": self.account,
            "Groups": [],
            "Instances": [machine.described(self.account) for machine in machines],
        }

    def _version(self, template: Mapping[str, Any]) -> Any:
        try:
            if identity := template.get("LaunchTemplateId"):
                found = self.moto.get_launch_template(identity)
            else:
                found = self.moto.get_launch_template_by_name(template.get("LaunchTemplateName", ""))
            return found.get_version(template.get("Version") or "$Default")
        except ServiceException as error:
            raise AwsError(error.code, error.message) from error
