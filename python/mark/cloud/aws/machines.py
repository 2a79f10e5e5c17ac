"""What EC2 says of one machine, as a value. Pure.

Fields: Amazon EC2 API Reference, DescribeInstances.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from mark.cloud.aws import tags
from mark.cloud.aws.pools import Pool
from mark.domain.fleet import TAKEN_AWAY
from mark.domain.offering import Market

__all__ = ["Machine", "machine_of", "machines_of"]

_TAKEN_CODES = {"Server.SpotInstanceTermination", "Server.SpotInstanceShutdown"}
_REASON_TIME = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)")


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine of the cluster.

    Attributes:
        id: EC2's.
        state: EC2's word: pending, running, shutting-down, terminated, stopping or stopped.
        pool: its type, zone and market.
        tags: all of them.
        launched_at_s: when it was started last, in seconds since the epoch; whole ones, as EC2 tells.
        changed_at_s: when it ended or stopped, if EC2 says so.
        address: private IP address; empty while it has none.
        detail: why it ended or stopped; empty while it runs.
    """

    id: str
    state: str
    pool: Pool
    tags: Mapping[str, str]
    launched_at_s: float
    changed_at_s: float | None = None
    address: str = ""
    detail: str = ""

    @property
    def offering(self) -> str:
        """The offering that it was bought for; empty where the tag is missing."""
        return self.tags.get(tags.OFFERING, "")

    @property
    def model(self) -> str:
        """The model that it was bought for; empty where the tag is missing."""
        return self.tags.get(tags.MODEL, "")

    @property
    def is_standby(self) -> bool:
        """It is kept stopped between uses."""
        return self.tags.get(tags.ROLE) == tags.STANDBY

    @property
    def is_up(self) -> bool:
        """It boots or runs."""
        return self.state in {"pending", "running"}

    @property
    def is_ended(self) -> bool:
        """It never comes back."""
        return self.state in {"shutting-down", "terminated"}


def machines_of(pages: Iterable[Mapping[str, Any]]) -> list[Machine]:
    """Every machine of the pages of DescribeInstances."""
    return [
        machine_of(each)
        for page in pages
        for reservation in page.get("Reservations", ())
        for each in reservation.get("Instances", ())
    ]


def machine_of(described: Mapping[str, Any]) -> Machine:
    """One entry of DescribeInstances."""
    carried = tags.tags_of(described.get("Tags", ()))
    market = Market.SPOT if described.get("InstanceLifecycle") == "spot" else Market.ON_DEMAND
    launched: datetime = described["LaunchTime"]
    state = described["State"]["Name"]
    return Machine(
        id=described["InstanceId"],
        state=state,
        pool=Pool(described["InstanceType"], described.get("Placement", {}).get("AvailabilityZone", ""), market),
        tags=carried,
        launched_at_s=launched.timestamp(),
        changed_at_s=_time_of(described.get("StateTransitionReason", "")),
        address=described.get("PrivateIpAddress", ""),
        detail="" if state in {"pending", "running"} else _why(described),
    )


def _time_of(reason: str) -> float | None:
    found = _REASON_TIME.search(reason)
    if found is None:
        return None
    return datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc).timestamp()


def _why(described: Mapping[str, Any]) -> str:
    reason = described.get("StateReason", {})
    if reason.get("Code") in _TAKEN_CODES:
        return TAKEN_AWAY
    words = reason.get("Message") or described.get("StateTransitionReason") or "EC2 does not say why"
    return " ".join(str(words).split())
