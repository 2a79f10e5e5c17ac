"""The role with which EC2 launches spot instances: one for the whole account, made once, and never deleted by mark."""

from __future__ import annotations

from mark.cloud.aws.resources.calls import THERE, called, called_unless
from mark.cloud.aws.session import AwsSession

__all__ = ["SpotRole"]

_SERVICE = "spot.amazonaws.com"


class SpotRole:
    """EC2's service-linked role for spot. Implements `Resource`."""

    kind = "service-linked role"
    name = "AWSServiceRoleForEC2Spot"

    def __init__(self, session: AwsSession) -> None:
        self._session = session

    def exists(self) -> bool:
        """Whether the account has it."""
        iam = self._session.client("iam")
        path = f"/aws-service-role/{_SERVICE}/"
        return bool(called(f"looking for {self.name}", lambda: iam.list_roles(PathPrefix=path))["Roles"])

    def create(self) -> None:
        """Make it. IAM says "InvalidInput" of one that is there."""
        if self.exists():
            return
        iam = self._session.client("iam")
        called_unless(
            THERE | {"InvalidInput", "InvalidInputException"},
            f"making {self.name}",
            lambda: iam.create_service_linked_role(AWSServiceName=_SERVICE),
        )

    def delete(self) -> None:
        """Nothing: others in the account may need it."""
