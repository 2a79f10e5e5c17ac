"""GetResources of the tagging API, and EC2's DescribeTags: moto's do not know the fake's own instances."""

from __future__ import annotations

from typing import Any

from mark.testing.aws.ec2_state import Ec2State
from mark.testing.aws.tagged import tags_by_arn
from mark.testing.aws.wire import AwsError, Call

__all__ = ["TagSearch"]

_PAGE_MAX = 100
_EC2_PAGE_MAX = 1000


class TagSearch:
    """Thread safety: every method may be called from any thread."""

    def __init__(self, state: Ec2State) -> None:
        self._state = state

    def get_resources(self, call: Call) -> dict[str, Any]:
        """GetResources: by tags and kinds of resources; roles and instance profiles are not its business, as on AWS."""
        wanted = call.params.get("TagFilters") or []
        kinds = call.params.get("ResourceTypeFilters") or []
        found = [
            {"ResourceARN": arn, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
            for arn, tags in sorted(tags_by_arn(self._state).items())
            if tags
            and ":iam:" not in arn
            and all(
                each["Key"] in tags and tags[each["Key"]] in (each.get("Values") or tags.values()) for each in wanted
            )
            and (not kinds or any(_is_kind(arn, kind) for kind in kinds))
        ]
        at = _offset(call.params.get("PaginationToken"))
        size = int(call.params.get("ResourcesPerPage") or _PAGE_MAX)
        following = str(at + size) if at + size < len(found) else ""
        return {"ResourceTagMappingList": found[at : at + size], "PaginationToken": following}

    def describe_tags(self, call: Call) -> dict[str, Any]:
        """DescribeTags of everything in EC2."""
        found = [
            {"ResourceId": name, "ResourceType": kind, "Key": key, "Value": value}
            for arn, tags in sorted(tags_by_arn(self._state).items())
            if ":ec2:" in arn
            for kind, _, name in [arn.split(":", 5)[5].partition("/")]
            for key, value in tags.items()
        ]
        for wanted in call.params.get("Filters") or []:
            found = [tag for tag in found if _field(tag, wanted["Name"]) in wanted.get("Values", [])]
        at = _offset(call.params.get("NextToken"))
        size = int(call.params.get("MaxResults") or _EC2_PAGE_MAX)
        following = {"NextToken": str(at + size)} if at + size < len(found) else {}
        return {"Tags": found[at : at + size], **following}


def _offset(token: str | None) -> int:
    if token and not token.isdigit():
        raise AwsError("PaginationTokenExpiredException", f"no page has the token {token!r}")
    return int(token or 0)


def _has(tags: dict[str, str], key: str, values: list[str] | None) -> bool:
    return key in tags and (not values or tags[key] in values)


def _is_kind(arn: str, kind: str) -> bool:
    """Whether an ARN is of a kind such as "ec2:instance", or of a service such as "sqs"."""
    service, _, resource = kind.partition(":")
    parts = arn.split(":", 5)
    return parts[2] == service and (not resource or parts[5].startswith(f"{resource}/") or "/" not in parts[5])


def _field(tag: dict[str, str], name: str) -> str:
    names = {"resource-id": "ResourceId", "resource-type": "ResourceType", "key": "Key", "value": "Value"}
    if name.startswith("tag:"):
        return tag["Value"] if tag["Key"] == name[4:] else ""
    if name not in names:
        raise AwsError("InvalidParameterValue", f"The filter '{name}' is invalid")
    return tag[names[name]]
