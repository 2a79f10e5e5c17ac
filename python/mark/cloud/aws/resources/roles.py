"""The roles of workers and functions, and the instance profile that hands the workers theirs."""

from __future__ import annotations

import json

from mark.cloud.aws import tags
from mark.cloud.aws.permissions import Role
from mark.cloud.aws.policy import policy, trust
from mark.cloud.aws.resources.calls import GONE, THERE, called, called_unless
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsSettings

__all__ = ["InstanceProfile", "ServiceRole", "function_role", "worker_role"]

_POLICY = "mark"


class ServiceRole:
    """A role that a service of AWS takes on, with its policy inline: both end together. Implements `Resource`."""

    kind = "role"

    def __init__(self, settings: AwsSettings, session: AwsSession, name: str, of: tuple[Role, str]) -> None:
        """Name a role.

        Args:
            settings: of the cluster.
            session: to ask AWS with.
            name: its name.
            of: whose policy it has, and the service that takes it on.
        """
        self._settings = settings
        self._session = session
        self._whose, self._service = of
        self.name = name

    def exists(self) -> bool:
        """Whether it is there."""
        iam = self._session.client("iam")
        found = called_unless(GONE, f"looking for role {self.name}", lambda: iam.get_role(RoleName=self.name))
        return found is not None

    def create(self) -> None:
        """Make it, and give it what it needs by now."""
        iam, what = self._session.client("iam"), f"making role {self.name}"
        document = policy(self._whose, self._settings, self._session.account)
        called_unless(
            THERE - {"LimitExceeded", "LimitExceededException"},
            what,
            lambda: iam.create_role(
                RoleName=self.name,
                AssumeRolePolicyDocument=json.dumps(trust(self._service)),
                Description=f"mark: a {self._whose} of cluster {self._settings.cluster}",
                Tags=tags.tag_list({tags.CLUSTER: self._settings.cluster}),
            ),
        )
        called(
            what,
            lambda: iam.put_role_policy(
                RoleName=self.name, PolicyName=_POLICY, PolicyDocument=json.dumps(document)
            ),
        )  # fmt: skip

    def delete(self) -> None:
        """Delete it with its policies."""
        iam, what = self._session.client("iam"), f"deleting role {self.name}"
        found = called_unless(GONE, what, lambda: iam.list_role_policies(RoleName=self.name))
        if found is None:
            return
        for name in found["PolicyNames"]:
            called_unless(
                GONE, what, lambda name=name: iam.delete_role_policy(RoleName=self.name, PolicyName=name)  # type: ignore[misc]
            )  # fmt: skip
        called_unless(GONE, what, lambda: iam.delete_role(RoleName=self.name))


class InstanceProfile:
    """Hands a role to instances; named as the role is. Implements `Resource`."""

    kind = "instance profile"

    def __init__(self, settings: AwsSettings, session: AwsSession) -> None:
        self._settings = settings
        self._session = session
        self.name = settings.worker_role

    def exists(self) -> bool:
        """Whether it is there, with the role in it."""
        found = self._found()
        return found is not None and self.name in found

    def create(self) -> None:
        """Make it, and put the role into it."""
        iam, what = self._session.client("iam"), f"making instance profile {self.name}"
        carried = tags.tag_list({tags.CLUSTER: self._settings.cluster})
        called_unless(
            THERE, what, lambda: iam.create_instance_profile(InstanceProfileName=self.name, Tags=carried)
        )  # fmt: skip
        called_unless(
            THERE,
            what,
            lambda: iam.add_role_to_instance_profile(InstanceProfileName=self.name, RoleName=self.name),
        )

    def delete(self) -> None:
        """Take its role out and delete it."""
        iam, what = self._session.client("iam"), f"deleting instance profile {self.name}"
        for role in self._found() or ():
            called_unless(
                GONE,
                what,
                lambda role=role: iam.remove_role_from_instance_profile(  # type: ignore[misc]
                    InstanceProfileName=self.name, RoleName=role
                ),
            )
        called_unless(GONE, what, lambda: iam.delete_instance_profile(InstanceProfileName=self.name))

    def _found(self) -> list[str] | None:
        """Names of the roles in it; None where it is not there."""
        iam = self._session.client("iam")
        found = called_unless(
            GONE,
            f"looking for instance profile {self.name}",
            lambda: iam.get_instance_profile(InstanceProfileName=self.name),
        )
        return None if found is None else [str(role["RoleName"]) for role in found["InstanceProfile"]["Roles"]]


def worker_role(settings: AwsSettings, session: AwsSession) -> ServiceRole:
    """The role of the workers."""
    return ServiceRole(settings, session, settings.worker_role, ("worker", "ec2.amazonaws.com"))


def function_role(settings: AwsSettings, session: AwsSession) -> ServiceRole:
    """The role of the functions."""
    return ServiceRole(settings, session, settings.function_role, ("function", "lambda.amazonaws.com"))
