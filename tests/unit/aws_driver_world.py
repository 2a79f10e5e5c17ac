"""What tests of the AWS driver share: what it may rent, and how a router dies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from contract.aws_world import QUICK

from mark.cloud.aws.cloud import AwsCloud
from mark.cloud.aws.settings import AwsOffering
from mark.domain.offering import Market, Offering
from mark.testing.aws import FakeAws

__all__ = ["ALL", "KEPT", "LAPSING", "MANY", "ONE", "kill", "states", "wait_until"]

MANY = AwsOffering(Offering("many", Market.SPOT, 0.04, 10.0, 2000), ("c5.large", "c5a.large"))
ONE = AwsOffering(Offering("one", Market.ON_DEMAND, 0.1, 10.0, 8), ("m5.large",), ("us-east-1a",))
KEPT = AwsOffering(Offering("kept", Market.BURSTABLE, 0.05, 10.0, 2, stopped=1), ("t3.medium",))
ALL = (MANY, ONE, KEPT)
LAPSING = replace(QUICK, lease_s=3.0)  # for those who wait until a dead router's lease is over


def wait_until(cloud: AwsCloud, holds: Callable[[], bool], rounds: int = 600) -> None:
    changes = -1
    for _ in range(rounds):
        if holds():
            return
        changes = cloud.wait_for_change(changes, 0.1)
    pytest.fail(f"it does not come about; {cloud.list_instances()}")


def states(aws: FakeAws) -> dict[str, str]:
    return {each["InstanceId"]: each["State"]["Name"] for each in aws.instances()}


def kill(cloud: AwsCloud) -> None:
    """End a router's threads as SIGKILL would: nothing is given back, the lease is not given up."""
    for each in cloud._rounds:
        each.tell_end()
    for each in cloud._rounds:
        if each is not cloud._notices and each._thread.is_alive():
            each._thread.join()
