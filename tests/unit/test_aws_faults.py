"""Every fault of AWS times what the driver does: what is raised, that nothing hangs, and how often AWS is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from contract.aws_world import aws_cloud, aws_settings, lay_ground, running_aws
from contract.cloud_world import ARTIFACT

from mark.cloud.aws.cloud import AwsCloud
from mark.cloud.aws.settings import AwsOffering
from mark.domain.fleet import InstanceState
from mark.domain.offering import Market, Offering
from mark.errors import CloudError, InsufficientCapacity, QuotaExceeded, Throttled
from mark.testing.aws import FakeAws

MANY = AwsOffering(Offering("many", Market.SPOT, 0.04, 10.0, 2000), ("c5.large", "c5a.large"))
ONE = AwsOffering(Offering("one", Market.ON_DEMAND, 0.1, 10.0, 8), ("m5.large",), ("us-east-1a",))
LAUNCHES = [("one", "ec2:RunInstances"), ("many", "ec2:CreateFleet")]
CODES: list[tuple[str, type[CloudError]]] = [
    ("RequestLimitExceeded", Throttled),
    ("InsufficientInstanceCapacity", InsufficientCapacity),
    ("VcpuLimitExceeded", QuotaExceeded),
    ("MaxSpotInstanceCountExceeded", QuotaExceeded),
    ("UnauthorizedOperation", CloudError),
    ("InternalError", CloudError),
]


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    with running_aws(tmp_path, monkeypatch, boots=False) as fake:
        lay_ground(aws_settings(fake, (MANY, ONE)))
        yield fake


@pytest.fixture
def cloud(aws: FakeAws) -> Iterator[AwsCloud]:
    opened = aws_cloud(aws_settings(aws, (MANY, ONE)))
    opened.open()
    yield opened
    aws.clear_faults()
    opened.close()
    alive = [each for each in aws.instances() if each["State"]["Name"] not in {"shutting-down", "terminated"}]
    assert alive == []


@pytest.mark.parametrize(("code", "error"), CODES)
@pytest.mark.parametrize(("offering", "operation"), LAUNCHES)
def test_a_launch_that_fails(
    aws: FakeAws, cloud: AwsCloud, offering: str, operation: str, code: str, error: type[CloudError]
) -> None:
    aws.fail(operation, code, times=None)

    with pytest.raises(error, match=code):
        cloud.launch(offering, ARTIFACT, "a")

    assert aws.calls[operation] <= 3
    assert aws.instances() == []


@pytest.mark.parametrize("code", ["RequestLimitExceeded", "UnauthorizedOperation", "InternalError"])
def test_a_termination_that_fails_is_told_and_may_be_repeated(aws: FakeAws, cloud: AwsCloud, code: str) -> None:
    launched = cloud.launch("one", ARTIFACT, "a")
    aws.fail("ec2:TerminateInstances", code, times=3)

    with pytest.raises(CloudError):
        cloud.terminate(launched.id)

    assert cloud.list_instances()[0].state is not InstanceState.GONE
    aws.clear_faults()
    cloud.terminate(launched.id)
    assert cloud.list_instances()[0].state is InstanceState.GONE


@pytest.mark.parametrize("operation", ["s3:PutObject", "ec2:DescribeSubnets", "ec2:CreateLaunchTemplate"])
def test_what_a_launch_needs_fails_before_anything_is_bought(aws: FakeAws, cloud: AwsCloud, operation: str) -> None:
    aws.fail(operation, "AccessDenied", times=None)

    with pytest.raises(CloudError):
        cloud.launch("one", ARTIFACT, "a")

    assert aws.calls["ec2:RunInstances"] == 0


def test_a_template_that_somebody_deleted_is_made_again(aws: FakeAws, cloud: AwsCloud) -> None:
    cloud.launch("one", ARTIFACT, "a")
    aws.fail("ec2:RunInstances", "InvalidLaunchTemplateName.NotFoundException")
    with pytest.raises(CloudError, match="NotFound"):
        cloud.launch("one", ARTIFACT, "b")

    cloud.launch("one", ARTIFACT, "c")

    assert aws.calls["ec2:CreateLaunchTemplate"] == 2
