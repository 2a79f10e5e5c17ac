"""The calls of EC2 about instances, their volumes and their tags."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from mark.testing.aws.ec2_state import Ec2State
from mark.testing.aws.machine import Machine, State, aws_time
from mark.testing.aws.wire import AwsError, Call

__all__ = ["Instances", "tags_for"]

_PAGE_MAX = 1000

_FIELDS: Mapping[str, Callable[[Machine], str]] = {
    "instance-id": lambda machine: machine.id,
    "instance-state-name": lambda machine: machine.state.value[0],
    "instance-state-code": lambda machine: str(machine.state.value[1]),
    "instance-type": lambda machine: machine.spec.instance_type,
    "instance-lifecycle": lambda machine: "spot" if machine.spec.market == "spot" else "",
    "availability-zone": lambda machine: machine.spec.zone,
    "subnet-id": lambda machine: machine.spec.subnet_id,
    "vpc-id": lambda machine: machine.spec.vpc_id,
    "image-id": lambda machine: str(machine.spec.settings.get("ImageId", "")),
    "client-token": lambda machine: machine.spec.client_token,
    "private-ip-address": lambda machine: machine.address,
    "reservation-id": lambda machine: machine.reservation_id,
    "spot-instance-request-id": lambda machine: machine.spot_request_id,
}


def tags_for(params: Mapping[str, Any], kind: str) -> dict[str, str]:
    """The tags that TagSpecifications ask for on one kind of resource."""
    return {
        tag["Key"]: tag.get("Value", "")
        for specification in params.get("TagSpecifications") or []
        if specification.get("ResourceType") == kind
        for tag in specification.get("Tags", [])
    }


class Instances:
    """Thread safety: every method may be called from any thread."""

    def __init__(self, state: Ec2State, check_start: Callable[[Call, Sequence[Machine]], None]) -> None:
        self._state = state
        self._check_start = check_start

    def describe_instances(self, call: Call) -> dict[str, Any]:
        """DescribeInstances, page by page."""
        chosen, following = self._page(call, self._chosen(call))
        with self._state.machines.lock:
            reservations = [
                self._state.reservation(list(group)) for _, group in groupby(chosen, lambda each: each.reservation_id)
            ]
        return {"Reservations": reservations, **following}

    def describe_instance_status(self, call: Call) -> dict[str, Any]:
        """DescribeInstanceStatus."""
        everything = call.params.get("IncludeAllInstances", False)
        chosen = [machine for machine in self._chosen(call) if everything or machine.state is State.RUNNING]
        page, following = self._page(call, chosen)
        return {"InstanceStatuses": [_status(machine) for machine in page], **following}

    def start_instances(self, call: Call) -> dict[str, Any]:
        """StartInstances."""
        with self._state.machines.lock:
            machines = self._state.machines.named(call.params["InstanceIds"])
            stopped = [machine for machine in machines if machine.state is State.STOPPED]
            self._check_start(call, stopped)
            return {"StartingInstances": _changes(self._state.machines.start(machines))}

    def stop_instances(self, call: Call) -> dict[str, Any]:
        """StopInstances."""
        with self._state.machines.lock:
            machines = self._state.machines.named(call.params["InstanceIds"])
            return {"StoppingInstances": _changes(self._state.machines.stop(machines))}

    def terminate_instances(self, call: Call) -> dict[str, Any]:
        """TerminateInstances."""
        with self._state.machines.lock:
            machines = self._state.machines.named(call.params["InstanceIds"])
            return {"TerminatingInstances": _changes(self._state.machines.terminate(machines))}

    def describe_volumes(self, call: Call) -> dict[str, Any]:
        """DescribeVolumes: of the instances, which are all that there are."""
        wanted = set(call.params.get("VolumeIds") or [])
        volumes = [
            volume
            for machine in self._state.machines.all()
            if machine.state is not State.TERMINATED
            for volume in _volumes(machine)
            if not wanted or volume["VolumeId"] in wanted
        ]
        filters = call.params.get("Filters") or []
        return {"Volumes": [volume for volume in volumes if _volume_matches(volume, filters)]}

    def describe_fleets(self, call: Call) -> dict[str, Any]:
        """DescribeFleets."""
        wanted = set(call.params.get("FleetIds") or self._state.fleets)
        alive = {machine.id for machine in self._state.machines.all() if machine.alive}
        fleets = [
            {
                "FleetId": fleet,
                "FleetState": "active" if alive & set(ids) else "deleted",
                "Type": "instant",
                "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
            }
            for fleet, (ids, tags) in self._state.fleets.items()
            if fleet in wanted
        ]
        return {"Fleets": fleets}

    def delete_fleets(self, call: Call) -> dict[str, Any]:
        """DeleteFleets: an instant fleet is deleted with its instances only, as on AWS."""
        done, failed = [], []
        with self._state.machines.lock:
            for fleet in call.params.get("FleetIds") or []:
                if fleet not in self._state.fleets or not call.params.get("TerminateInstances"):
                    code = "fleetIdDoesNotExist" if fleet not in self._state.fleets else "unexpectedError"
                    failed.append({"FleetId": fleet, "Error": {"Code": code, "Message": fleet}})
                    continue
                self._state.machines.terminate(self._state.machines.named(self._state.fleets[fleet][0]))
                states = {"PreviousFleetState": "active", "CurrentFleetState": "deleted_terminating"}
                done.append({"FleetId": fleet, **states})
        return {"SuccessfulFleetDeletions": done, "UnsuccessfulFleetDeletions": failed}

    def delete_volume(self, call: Call) -> dict[str, Any]:
        """DeleteVolume: every volume is of an instance, and ends with it."""
        name = call.params["VolumeId"]
        for machine in self._state.machines.all():
            if name in machine.volumes and machine.state is not State.TERMINATED:
                raise AwsError("VolumeInUse", f"Volume {name} is currently attached to {machine.id}")
        raise AwsError("InvalidVolume.NotFound", f"The volume '{name}' does not exist.")

    def retag(self, call: Call, names: Iterable[str]) -> None:
        """CreateTags and DeleteTags of instances and volumes."""
        for name in names:
            tags = self._tags(name)
            for tag in call.params.get("Tags") or []:
                if call.operation == "CreateTags":
                    tags[tag["Key"]] = tag.get("Value", "")
                elif tag.get("Value") in {None, tags.get(tag["Key"])}:
                    tags.pop(tag["Key"], None)

    def owns(self, name: str) -> bool:
        """Whether a resource is an instance or a volume."""
        return name.startswith(("i-", "vol-"))

    def groups_in_use(self) -> set[str]:
        """Security groups that instances are in."""
        return {
            group
            for machine in self._state.machines.all()
            if machine.state is not State.TERMINATED
            for group in machine.spec.security_groups
        }

    def _tags(self, name: str) -> dict[str, str]:
        if name.startswith("i-"):
            return self._state.machines.get(name).tags
        for machine in self._state.machines.all():
            if name in machine.volumes:
                return machine.volumes[name]
        raise AwsError("InvalidVolume.NotFound", f"The volume '{name}' does not exist.")

    def _chosen(self, call: Call) -> list[Machine]:
        with self._state.machines.lock:
            named = call.params.get("InstanceIds")
            machines = self._state.machines.named(named) if named else self._state.machines.all()
            filters = call.params.get("Filters") or []
            return [machine for machine in machines if all(_matches(machine, wanted) for wanted in filters)]

    def _page(self, call: Call, chosen: list[Machine]) -> tuple[list[Machine], dict[str, str]]:
        if call.params.get("InstanceIds"):
            if call.params.get("MaxResults"):
                message = "The parameter instancesSet cannot be used with the parameter maxResults"
                raise AwsError("InvalidParameterCombination", message)
            return chosen, {}
        size = int(call.params.get("MaxResults") or _PAGE_MAX)
        token = call.params.get("NextToken")
        # The id of the last one shown: what ends meanwhile moves nobody to another page.
        at = [machine.id for machine in self._state.machines.all()]
        if token and token not in at:
            raise AwsError("InvalidPaginationToken", f"Unable to parse pagination token '{token}'")
        rank = {name: number for number, name in enumerate(at)}
        rest = [machine for machine in chosen if not token or rank[machine.id] > rank[token]]
        following = {"NextToken": rest[size - 1].id} if len(rest) > size else {}
        return rest[:size], following


def _changes(before: Sequence[tuple[Machine, State]]) -> list[dict[str, Any]]:
    return [
        {
            "InstanceId": machine.id,
            "CurrentState": machine.state.described,
            "PreviousState": state.described,
        }
        for machine, state in before
    ]


def _matches(machine: Machine, wanted: Mapping[str, Any]) -> bool:
    name, values = wanted["Name"], wanted.get("Values", [])
    if name == "tag-key":
        return any(_like(key, values) for key in machine.tags)
    if name.startswith("tag:"):
        return name[4:] in machine.tags and _like(machine.tags[name[4:]], values)
    if name not in _FIELDS:
        raise AwsError("InvalidParameterValue", f"The filter '{name}' is invalid")
    return _like(_FIELDS[name](machine), values)


def _like(value: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(value, pattern) for pattern in patterns)


def _status(machine: Machine) -> dict[str, Any]:
    status = "ok" if machine.state is State.RUNNING else "not-applicable"
    return {
        "InstanceId": machine.id,
        "AvailabilityZone": machine.spec.zone,
        "InstanceState": machine.state.described,
        "InstanceStatus": {"Status": status},
        "SystemStatus": {"Status": status},
    }


def _volumes(machine: Machine) -> Iterable[dict[str, Any]]:
    mappings = machine.spec.settings.get("BlockDeviceMappings") or [{}]
    disk = mappings[0].get("Ebs", {})
    for name, tags in machine.volumes.items():
        yield {
            "VolumeId": name,
            "AvailabilityZone": machine.spec.zone,
            "State": "in-use",
            "Encrypted": bool(disk.get("Encrypted", False)),
            "VolumeType": disk.get("VolumeType", "gp3"),
            "Size": int(disk.get("VolumeSize", 8)),
            "CreateTime": aws_time(machine.spans[0].begun_s),
            "Attachments": [{"InstanceId": machine.id, "Device": "/dev/xvda", "State": "attached"}],
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        }


def _volume_matches(volume: Mapping[str, Any], filters: Iterable[Mapping[str, Any]]) -> bool:
    tags = {tag["Key"]: tag["Value"] for tag in volume["Tags"]}
    for wanted in filters:
        name, values = wanted["Name"], wanted.get("Values", [])
        if name.startswith("tag:"):
            found = tags.get(name[4:])
        elif name == "attachment.instance-id":
            found = volume["Attachments"][0]["InstanceId"]
        elif name == "status":
            found = volume["State"]
        else:
            raise AwsError("InvalidParameterValue", f"The filter '{name}' is invalid")
        if found is None or not _like(found, values):
            return False
    return True
