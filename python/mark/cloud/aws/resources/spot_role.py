"""The role with which EC2 launches spot instances: one for the whole account, made once, and never deleted by mark."""

from __future__ import annotations

from mark.cloud.aws.resources.calls import GONE, THERE, called_unless
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
        return called_unless(GONE, f"looking for {self.name}", lambda: iam.get_role(RoleName=self.name)) is not None

    def create(self) -> None:
        """Make it. IAM says "InvalidInput" of one that is there."""
        iam = self._session.client("iam")
        called_unless(
            THERE | {"InvalidInput", "InvalidInputException"},
            f"making {self.name}",
            lambda: iam.create_service_linked_role(AWSServiceName=_SERVICE),
        )

    def delete(self) -> None:
        """Nothing: others in the account may need it."""
