"""Everything that carries a cluster's tag, of whatever service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from moto.backends import get_backend
from moto.core.resource_tagging import iter_taggable_backends

from mark.testing.aws.ec2_state import ACCOUNT, Ec2State
from mark.testing.aws.machine import State

__all__ = ["tagged", "tags_by_arn"]


def tagged(state: Ec2State, key: str, value: str) -> list[str]:
    """ARNs of what is there and carries a tag, sorted; an instant fleet counts while an instance of it is alive."""
    with state.machines.lock:
        found = {arn for arn, tags in _every(state) if tags.get(key) == value}
    return sorted(found)


def tags_by_arn(state: Ec2State, *, ended: bool = False) -> dict[str, dict[str, str]]:
    """The tags of everything that is there; of instances that have ended, too, as long as EC2 lists them."""
    with state.machines.lock:
        return dict(_every(state, ended=ended))


def _every(state: Ec2State, *, ended: bool = False) -> Iterator[tuple[str, dict[str, str]]]:
    region = state.params.region
    stem = f"arn:aws:ec2:{region}:{ACCOUNT}"
    alive = set()
    for machine in state.machines.all():
        if machine.state is State.TERMINATED:
            if ended:
                yield f"{stem}:instance/{machine.id}", machine.tags
            continue
        alive.add(machine.id)
        yield f"{stem}:instance/{machine.id}", machine.tags
        for volume, tags in machine.volumes.items():
            yield f"{stem}:volume/{volume}", tags
    for fleet, (ids, tags) in state.fleets.items():
        if alive & set(ids):
            yield f"{stem}:fleet/{fleet}", tags
    for template in list(state.moto.launch_templates.values()):
        yield f"{stem}:launch-template/{template.id}", _plain(template.get_tags())
    for backend in iter_taggable_backends(ACCOUNT, region):
        for resource in backend.iter_tagged_resources():
            yield resource.arn, dict(resource.tags)
    yield from _rules(region)
    yield from _identities()


def _rules(region: str) -> Iterator[tuple[str, dict[str, str]]]:
    events = get_backend("events")[ACCOUNT][region]
    for bus in list(events.event_buses.values()):
        for rule in list(bus.rules.values()):
            yield rule.arn, dict(events.tagger.get_tag_dict_for_resource(rule.arn))


def _identities() -> Iterator[tuple[str, dict[str, str]]]:
    iam = get_backend("iam")[ACCOUNT]["aws"]
    own = [policy for policy in list(iam.managed_policies.values()) if ":iam::aws:" not in policy.arn]
    for identity in [*list(iam.roles.values()), *list(iam.instance_profiles.values()), *own]:
        yield identity.arn, _plain(identity.tags)


def _plain(tags: Any) -> dict[str, str]:
    """Tags as a mapping, from moto's several ways to hold them."""
    listed = tags.values() if isinstance(tags, Mapping) else tags or []
    return {tag.get("Key", tag.get("key")): tag.get("Value", tag.get("value")) for tag in listed}
