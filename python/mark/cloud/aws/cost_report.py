"""Reads what `mark aws cost` reports."""

from __future__ import annotations

import time
from dataclasses import dataclass

from mark.cloud.aws import tags
from mark.cloud.aws.cost import CostLine, cost_lines, volumes_usd_per_hour
from mark.cloud.aws.machines import machines_of
from mark.cloud.aws.prices import PresentPrices
from mark.cloud.aws.resources.calls import called
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsSettings

__all__ = ["CostReport", "cost_report"]


@dataclass(frozen=True, slots=True)
class CostReport:
    """What a cluster costs and has cost.

    Attributes:
        lines: of its instances.
        oldest_at_s: when the oldest instance that EC2 tells of was started, in seconds since 1970; None for none.
        volumes: how many there are.
        volumes_usd_per_hour: what they cost.
        prices_age_s: seconds since the oldest price was true.
    """

    lines: tuple[CostLine, ...]
    oldest_at_s: float | None
    volumes: int
    volumes_usd_per_hour: float
    prices_age_s: float

    @property
    def usd_per_hour(self) -> float:
        """All in all."""
        return sum(line.usd_per_hour for line in self.lines) + self.volumes_usd_per_hour

    @property
    def usd(self) -> float:
        """What the instances have cost."""
        return sum(line.usd for line in self.lines)


def cost_report(settings: AwsSettings, session: AwsSession) -> CostReport:
    """Ask AWS; prices that cannot be had are the last known.

    Raises:
        CloudError: EC2 does not say what runs.
    """
    ec2 = session.client("ec2")
    filters = [{"Name": f"tag:{tags.CLUSTER}", "Values": [settings.cluster]}]
    pages = called(
        "reading the instances", lambda: list(ec2.get_paginator("describe_instances").paginate(Filters=filters))
    )
    found = called("reading the volumes", lambda: list(ec2.get_paginator("describe_volumes").paginate(Filters=filters)))
    volumes = [volume for page in found for volume in page["Volumes"]]
    machines = machines_of(pages)
    prices = PresentPrices(settings, session)
    prices.refresh()
    return CostReport(
        lines=tuple(cost_lines(machines, prices, time.time())),
        oldest_at_s=min((each.launched_at_s for each in machines), default=None),
        volumes=len(volumes),
        volumes_usd_per_hour=volumes_usd_per_hour(volumes),
        prices_age_s=prices.age_s,
    )
