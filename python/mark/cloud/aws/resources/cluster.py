"""All resources of a cluster in order, and the proof that none is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mark.cloud.aws import tags
from mark.cloud.aws.resources.bucket import Bucket
from mark.cloud.aws.resources.calls import called
from mark.cloud.aws.resources.notices import Queue, Rule
from mark.cloud.aws.resources.rented import Functions, Instances, LaunchTemplates, Logs, Volumes
from mark.cloud.aws.resources.resource import Resource
from mark.cloud.aws.resources.roles import InstanceProfile, function_role, worker_role
from mark.cloud.aws.resources.security_group import SecurityGroup
from mark.cloud.aws.resources.spot_role import SpotRole
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsSettings
from mark.domain.offering import Market
from mark.errors import CloudError

__all__ = ["Step", "bootstrap", "doomed", "lasting", "leftovers", "planned", "rented", "teardown"]

_SEEN_WITHIN_S = 60.0
_LOOK_AGAIN_S = 2.0
# Fleets of type instant are no more than their instances, and EC2 lists them for a while.
_REMEMBERED = (":instance/", ":volume/", ":fleet/", ":network-interface/", ":spot-instances-request/")


@dataclass(frozen=True, slots=True)
class Step:
    """What is done about a resource: "exists", "create", "delete" or "absent"."""

    action: str
    kind: str
    name: str


def lasting(settings: AwsSettings, session: AwsSession) -> list[Resource]:
    """What bootstrap makes, in the order in which it can be made."""
    made: list[Resource] = [
        worker_role(settings, session),
        InstanceProfile(settings, session),
        function_role(settings, session),
        Bucket(settings, session),
        Queue(settings, session),
        Rule(settings, session),
        SecurityGroup(settings, session),
    ]
    if any(each.offering.market is Market.SPOT for each in settings.offerings):
        made.append(SpotRole(session))
    return made


def rented(settings: AwsSettings, session: AwsSession) -> list[Resource]:
    """What routers make as they serve, in the order in which it can be ended."""
    return [
        Instances(settings, session),
        Volumes(settings, session),
        Functions(settings, session),
        Logs(settings, session),
        LaunchTemplates(settings, session),
    ]


def planned(resources: Sequence[Resource], *, deleting: bool) -> list[Step]:
    """What would be done."""
    there, missing = ("delete", "absent") if deleting else ("exists", "create")
    return [Step(there if each.exists() else missing, each.kind, each.name) for each in resources]


def bootstrap(settings: AwsSettings, session: AwsSession) -> list[Resource]:
    """Make what is missing, and bring what is there into shape."""
    resources = lasting(settings, session)
    for resource in resources:
        resource.create()
    return resources


def doomed(settings: AwsSettings, session: AwsSession) -> list[Resource]:
    """What teardown deletes, in order; the account's own role for spot stays."""
    made = [each for each in lasting(settings, session) if not isinstance(each, SpotRole)]
    # A role cannot go while it is in the profile, a group not while it has members; the bucket with its lease last.
    last = [each for each in made if isinstance(each, Bucket)]
    return [*rented(settings, session), *(each for each in reversed(made) if each not in last), *last]


def teardown(settings: AwsSettings, session: AwsSession) -> None:
    """Delete everything, going on where something cannot be deleted.

    Raises:
        CloudError: something could not be deleted; the message names each.
    """
    failures = []
    for resource in doomed(settings, session):
        try:
            resource.delete()
        except CloudError as error:
            failures.append(str(error))
    if failures:
        raise CloudError("; ".join(failures))


def leftovers(
    settings: AwsSettings,
    session: AwsSession,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """What is left of the cluster, by name and by tag, after at most a minute: AWS's lists may be behind."""
    waited_s = 0.0
    while True:
        left = _left(settings, session)
        if not left or waited_s >= _SEEN_WITHIN_S:
            return left
        sleep(_LOOK_AGAIN_S)
        waited_s += _LOOK_AGAIN_S


def _left(settings: AwsSettings, session: AwsSession) -> list[str]:
    found = [f"{each.kind} {each.name}" for each in doomed(settings, session) if each.exists()]
    client = session.client("resourcegroupstaggingapi")
    wanted = [{"Key": tags.CLUSTER, "Values": [settings.cluster]}]
    pages = called(
        "listing what carries the cluster's tag",
        lambda: list(client.get_paginator("get_resources").paginate(TagFilters=wanted)),
    )
    arns = [str(each["ResourceARN"]) for page in pages for each in page["ResourceTagMappingList"]]
    # What `found` looked at itself, more exactly than by a list that remembers what has ended.
    return found + [arn for arn in arns if not any(each in arn for each in _REMEMBERED)]
