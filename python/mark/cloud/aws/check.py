"""Whether a cluster could serve: everything that it needs of the account, looked at without changing anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mark.cloud.aws import tags
from mark.cloud.aws.errors import DENIED_CODES, code_of
from mark.cloud.aws.finding import Finding, Verdict
from mark.cloud.aws.machines import machines_of
from mark.cloud.aws.permission_probes import Sample, probes
from mark.cloud.aws.permissions import Role, grants
from mark.cloud.aws.places import Places
from mark.cloud.aws.resources.calls import called
from mark.cloud.aws.resources.cluster import lasting
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsSettings
from mark.cloud.aws.simulated_permissions import simulated
from mark.cloud.aws.suitability import image_of, network_of, prices_of, quotas_of, types_of
from mark.errors import CloudError

__all__ = ["check", "permissions_of"]

_NAMED = re.compile(r"perform: ([a-z0-9-]+:[A-Za-z]+)")
_BOOTSTRAP = "mark aws bootstrap CONFIG --yes"
_POLICY = "mark aws policy CONFIG, and give it to who runs the router"
_ADMIN = "mark aws policy CONFIG --role admin, and give it to who asks"
_PASSED = {"ec2:CreateTags": "ec2:RunInstances", "iam:PassRole": "ec2:RunInstances"}  # tried together with it


def check(settings: AwsSettings, session: AwsSession, role: Role = "router") -> list[Finding]:
    """Look at everything that a router needs, or at what another role is allowed.

    Raises:
        CloudError: AWS does not even say who is asking.
    """
    identity = called("asking AWS who this is", session.client("sts").get_caller_identity)
    found = [Finding("identity", Verdict.WELL, f"{identity['Arn']} in {settings.region}")]
    if role != "router":
        return found + _looked("permissions", _ADMIN, lambda: simulated(role, settings, session))
    found += _resources(settings, session)
    found += permissions_of(settings, session)
    found += _looked("image", "aws.image", lambda: image_of(settings, session, types_of(settings, session)))
    found += _looked("network", "aws.subnets", lambda: network_of(settings, session))
    found += _looked("quotas", _POLICY, lambda: quotas_of(settings, session, types_of(settings, session)))
    found += _looked("prices", "", lambda: prices_of(settings, session))
    return found


def _looked(what: str, mend: str, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """What was found; that it is not known where AWS does not say."""
    try:
        return list(look())
    except CloudError as error:
        return [Finding(what, Verdict.UNKNOWN, str(error), mend)]


def _resources(settings: AwsSettings, session: AwsSession) -> Iterator[Finding]:
    for resource in lasting(settings, session):
        what = f"{resource.kind} {resource.name}"
        try:
            there = resource.exists()
        except CloudError as error:
            yield Finding(what, Verdict.UNKNOWN, str(error))
            continue
        if there:
            yield Finding(what, Verdict.WELL, "is there")
        else:
            yield Finding(what, Verdict.MISSING, "is not there", _BOOTSTRAP)


def permissions_of(settings: AwsSettings, session: AwsSession) -> Iterator[Finding]:
    """What the router's policy allows and whoever asks may not, each tried by a harmless call."""
    tried = probes(settings, session, _sample(settings, session))
    refused: dict[str, str] = {}
    for action, probe in tried.items():
        try:
            probe()
        except Exception as error:  # noqa: BLE001 - whatever else it says, it was allowed to be asked
            if code_of(error) in DENIED_CODES:
                named = _NAMED.search(str(error))
                refused[named[1] if named else action] = str(error)
    why = {action: reason for grant in grants("router", settings) for action, reason in grant.actions.items()}
    allowed = [action for action in why if action not in refused and _PASSED.get(action, action) in tried]
    for action, words in refused.items():
        detail = f"{why[action]}: not allowed" if action in why else words
        yield Finding(f"permission {action}", Verdict.MISSING, detail, _POLICY)
    for action, reason in why.items():
        if action not in refused and action not in allowed:
            yield Finding(f"permission {action}", Verdict.UNKNOWN, f"{reason}: nothing is there to try it on")
    yield Finding(f"{len(allowed)} permissions", Verdict.WELL, f"of {len(why)} are given")


def _sample(settings: AwsSettings, session: AwsSession) -> Sample:
    """What there is to try on, as far as AWS tells."""
    places = Places(settings, session)
    launch: dict[str, Any] = {}
    instance = url = ""
    for name, ask in (
        ("ImageId", lambda: places.image()[0]),
        ("SubnetId", lambda: next(iter(places.subnets().values()))),
        ("SecurityGroupIds", lambda: [places.security_group()]),
    ):
        try:
            launch[name] = ask()
        except CloudError:
            continue  # what it lacks is said where it is looked for
    try:
        machines = _machines(settings, session)
        instance = next((each.id for each in machines if not each.is_ended), "")
        url = str(session.client("sqs").get_queue_url(QueueName=settings.queue)["QueueUrl"])
    except Exception:  # noqa: BLE001, S110 - what it lacks is said where it is looked for
        pass
    if "ImageId" not in launch:
        return Sample(instance, {}, url)
    return Sample(instance, launch | {"IamInstanceProfile": {"Name": settings.worker_role}}, url)


def _machines(settings: AwsSettings, session: AwsSession) -> list[Any]:
    filters = [{"Name": f"tag:{tags.CLUSTER}", "Values": [settings.cluster]}]
    pages = session.client("ec2").get_paginator("describe_instances").paginate(Filters=filters)
    return list(called("reading the instances", lambda: machines_of(list(pages))))
