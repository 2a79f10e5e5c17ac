"""The security group of routers and workers."""

from __future__ import annotations

from typing import Any

from mark.cloud.aws import tags
from mark.cloud.aws.resources.calls import GONE, THERE, called, called_unless
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsSettings
from mark.errors import CloudError

__all__ = ["SecurityGroup"]


class SecurityGroup:
    """Lets its members reach each other on the worker port, and nobody else reach them. Implements `Resource`."""

    kind = "security group"

    def __init__(self, settings: AwsSettings, session: AwsSession) -> None:
        self._settings = settings
        self._session = session
        self.name = settings.security_group

    def exists(self) -> bool:
        """Whether it is there, and lets its members reach each other."""
        found = self._found()
        return found is not None and self._is_open(found)

    def create(self) -> None:
        """Make it in the network of the cluster's subnets."""
        ec2, what = self._session.client("ec2"), f"making security group {self.name}"
        found = self._found()
        if found is None:
            network = self._network()
            carried = tags.tag_list({tags.CLUSTER: self._settings.cluster})
            found = called(
                what,
                lambda: ec2.create_security_group(
                    GroupName=self.name,
                    Description=f"Routers and workers of mark's cluster {self._settings.cluster}",
                    VpcId=network,
                    TagSpecifications=[{"ResourceType": "security-group", "Tags": carried}],
                ),
            )
        group, port = found["GroupId"], self._settings.worker_port
        ingress = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "UserIdGroupPairs": [{"GroupId": group}]}
        called_unless(
            THERE, what, lambda: ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[ingress])
        )  # fmt: skip

    def delete(self) -> None:
        """Delete it; its members must have ended."""
        found, ec2 = self._found(), self._session.client("ec2")
        if found is not None:
            called_unless(
                GONE,
                f"deleting security group {self.name}",
                lambda: ec2.delete_security_group(GroupId=found["GroupId"]),
            )

    def _found(self) -> dict[str, Any] | None:
        ec2 = self._session.client("ec2")
        filters = [
            {"Name": "group-name", "Values": [self.name]},
            {"Name": f"tag:{tags.CLUSTER}", "Values": [self._settings.cluster]},
        ]
        answer = called(
            f"looking for security group {self.name}", lambda: ec2.describe_security_groups(Filters=filters)
        )  # fmt: skip
        return next(iter(answer["SecurityGroups"]), None)

    def _is_open(self, group: dict[str, Any]) -> bool:
        port = self._settings.worker_port
        return any(
            rule.get("FromPort") == port == rule.get("ToPort")
            and any(pair.get("GroupId") == group["GroupId"] for pair in rule.get("UserIdGroupPairs", ()))
            for rule in group.get("IpPermissions", ())
        )

    def _network(self) -> str:
        ec2, subnets = self._session.client("ec2"), list(self._settings.subnets.values())
        if subnets:
            answer = called("looking for the subnets", lambda: ec2.describe_subnets(SubnetIds=subnets))
            networks = sorted({subnet["VpcId"] for subnet in answer["Subnets"]})
        else:
            default = [{"Name": "is-default", "Values": ["true"]}]
            answer = called("looking for the default network", lambda: ec2.describe_vpcs(Filters=default))
            networks = [network["VpcId"] for network in answer["Vpcs"]]
        if len(networks) != 1:
            raise CloudError(
                f"{self._settings.region} has no default network; name subnets: aws.subnets"
                if not networks
                else f"the subnets lie in several networks: {', '.join(networks)}; workers must reach each other"
            )
        return str(networks[0])
