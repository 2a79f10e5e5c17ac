"""What routers make as they serve: instances, volumes, launch templates, functions. Deleted here, never made."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from mark.cloud.aws import tags
from mark.cloud.aws.machines import machines_of
from mark.cloud.aws.resources.calls import GONE, called, called_unless
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsSettings
from mark.errors import CloudError

__all__ = ["Functions", "Instances", "LaunchTemplates", "Logs", "Volumes"]

_AT_ONCE = 1000  # instances in one call
_ENDS_WITHIN_S = 600.0
_LOOK_AGAIN_S = 2.0


class _Rented:
    """Things of one kind that carry the cluster's tag. Implements `Resource`."""

    kind = ""

    def __init__(self, settings: AwsSettings, session: AwsSession) -> None:
        self._settings = settings
        self._session = session

    @property
    def name(self) -> str:
        """Those that are there."""
        return ", ".join(self.found()) or "none"

    def found(self) -> list[str]:
        """Ids of those that are there."""
        raise NotImplementedError

    def exists(self) -> bool:
        """Whether there is any."""
        return bool(self.found())

    def create(self) -> None:
        """Nothing: the router makes them."""

    def _pages(self, operation: str, key: str, *more: dict[str, Any]) -> list[Any]:
        filters = [{"Name": f"tag:{tags.CLUSTER}", "Values": [self._settings.cluster]}, *more]
        pages = called(
            f"looking for {self.kind}",
            lambda: list(self._session.client("ec2").get_paginator(operation).paginate(Filters=filters)),
        )
        return pages if not key else [each for page in pages for each in page[key]]


class Instances(_Rented):
    """Instances, standbys that are stopped among them; fleets of type instant are nothing besides."""

    kind = "instances"

    def __init__(self, settings: AwsSettings, session: AwsSession, sleep: Callable[[float], None] = time.sleep) -> None:
        super().__init__(settings, session)
        self._sleep = sleep

    def found(self) -> list[str]:
        """Ids of those that did not end."""
        machines = machines_of(self._pages("describe_instances", ""))
        return sorted(each.id for each in machines if each.state != "terminated")

    def delete(self) -> None:
        """Terminate them all, and wait until they have.

        Raises:
            CloudError: some have not within ten minutes.
        """
        ec2, what = self._session.client("ec2"), "ending the instances"
        remaining = self.found()
        for ids in _chunks(remaining, _AT_ONCE):
            called_unless(GONE, what, lambda ids=ids: ec2.terminate_instances(InstanceIds=ids))  # type: ignore[misc]
        waited_s = 0.0
        while remaining:
            if waited_s >= _ENDS_WITHIN_S:
                raise CloudError(f"{what}: {', '.join(remaining)} did not end in {_ENDS_WITHIN_S:.0f} s")
            self._sleep(_LOOK_AGAIN_S)
            waited_s += _LOOK_AGAIN_S
            remaining = self.found()


class Volumes(_Rented):
    """Volumes that outlived their instance: none, unless somebody kept them."""

    kind = "volumes"

    def found(self) -> list[str]:
        """Ids of those that belong to no instance; others end with theirs."""
        free = {"Name": "status", "Values": ["available", "error"]}
        return sorted(str(each["VolumeId"]) for each in self._pages("describe_volumes", "Volumes", free))

    def delete(self) -> None:
        """Delete them."""
        ec2 = self._session.client("ec2")
        for volume in self.found():
            called_unless(
                GONE, f"deleting {volume}", lambda volume=volume: ec2.delete_volume(VolumeId=volume)  # type: ignore[misc]
            )  # fmt: skip


class LaunchTemplates(_Rented):
    """Launch templates, one for each model and offering that was ever launched."""

    kind = "launch templates"

    def found(self) -> list[str]:
        """Their names."""
        return sorted(
            str(each["LaunchTemplateName"]) for each in self._pages("describe_launch_templates", "LaunchTemplates")
        )

    def delete(self) -> None:
        """Delete them."""
        ec2 = self._session.client("ec2")
        for name in self.found():
            called_unless(
                GONE,
                f"deleting launch template {name}",
                lambda name=name: ec2.delete_launch_template(LaunchTemplateName=name),  # type: ignore[misc]
            )


class Functions(_Rented):
    """Lambda functions, one for each model that overflows, and their log groups.

    A log group that Lambda made carries no tag: it is known as the cluster's by its function's, so that it goes in the
    same step.
    """

    kind = "functions"

    def found(self) -> list[str]:
        """Names of those that have the cluster's name and tag."""
        client, what = self._session.client("lambda"), "looking for functions"
        pages = called(what, lambda: list(client.get_paginator("list_functions").paginate()))
        named = [each for page in pages for each in page["Functions"]]
        return sorted(
            str(each["FunctionName"])
            for each in named
            if each["FunctionName"].startswith(f"{self._settings.stem}-") and self._is_ours(each["FunctionArn"])
        )

    def delete(self) -> None:
        """Delete them."""
        client = self._session.client("lambda")
        for name in self.found():
            called_unless(
                GONE,
                f"deleting function {name}",
                lambda name=name: client.delete_function(FunctionName=name),  # type: ignore[misc]
            )
            self._delete_log(f"/aws/lambda/{name}")

    def _delete_log(self, group: str) -> None:
        logs = self._session.client("logs")
        called_unless(GONE, f"deleting log group {group}", lambda: logs.delete_log_group(logGroupName=group))

    def _is_ours(self, arn: str) -> bool:
        client = self._session.client("lambda")
        found = called_unless(GONE, "reading a function's tags", lambda: client.list_tags(Resource=arn))
        return found is not None and found["Tags"].get(tags.CLUSTER) == self._settings.cluster


class Logs(_Rented):
    """Log groups of functions that are gone. Implements `Resource`."""

    kind = "log groups"

    def found(self) -> list[str]:
        """Names of those that carry the cluster's tag."""
        logs, prefix = self._session.client("logs"), f"/aws/lambda/{self._settings.stem}-"
        pages = called(
            "looking for log groups",
            lambda: list(logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix)),
        )
        listed = [each for page in pages for each in page["logGroups"]]
        # Another cluster's name may begin with this one's.
        return sorted(str(each["logGroupName"]) for each in listed if self._is_ours(each["arn"].removesuffix(":*")))

    def delete(self) -> None:
        """Delete them."""
        logs = self._session.client("logs")
        for name in self.found():
            called_unless(
                GONE,
                f"deleting log group {name}",
                lambda name=name: logs.delete_log_group(logGroupName=name),  # type: ignore[misc]
            )

    def _is_ours(self, arn: str) -> bool:
        logs = self._session.client("logs")
        found = called_unless(GONE, "reading a log group's tags", lambda: logs.list_tags_for_resource(resourceArn=arn))
        return found is not None and found["tags"].get(tags.CLUSTER) == self._settings.cluster


def _chunks(names: Sequence[str], size: int) -> list[list[str]]:
    return [list(names[begin : begin + size]) for begin in range(0, len(names), size)]
