"""Which router may change a cluster on AWS: the lease, who waits for it, who follows, and who ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from contract.aws_world import aws_cloud, aws_settings, lay_ground, running_aws
from contract.cloud_world import ARTIFACT
from unit.aws_driver_world import ALL, LAPSING, kill, states, wait_until

from mark.cloud.aws.cloud import AwsCloud
from mark.cloud.aws.lease import LEASE_KEY, Lease, LeaseLost
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsSettings
from mark.errors import CloudError
from mark.testing.aws import FakeAws


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    with running_aws(tmp_path, monkeypatch, boots=False) as fake:
        lay_ground(aws_settings(fake, ALL))
        yield fake


def test_until_the_lease_is_its_own_a_router_sees_what_runs_and_changes_nothing(aws: FakeAws) -> None:
    settings = aws_settings(aws, ALL, LAPSING)
    first = aws_cloud(settings)
    first.open()
    launched = first.launch("one", ARTIFACT, "a")

    second = aws_cloud(settings)
    second.open()

    assert [each.id for each in second.list_instances()] == [launched.id]
    assert not second.leads()
    with pytest.raises(LeaseLost, match="changes nothing before"):
        second.launch("one", ARTIFACT, "b")
    assert len(aws.instances()) == 1
    kill(first)  # not before: however slowly the second one looks, the lease is not over by then
    wait_until(second, second.leads)
    second.launch("one", ARTIFACT, "b")
    with pytest.raises(LeaseLost, match="this one is to end"):
        wait_until(first, lambda: renewal_fails(first) and first.leads())
    first.close()
    assert set(states(aws).values()) <= {"pending", "running"}  # they are the second's
    second.close()
    assert set(states(aws).values()) <= {"shutting-down", "terminated"}


def renewal_fails(cloud: AwsCloud) -> bool:
    try:
        cloud._renew()
    except LeaseLost:
        return True
    return False


def test_what_a_living_router_leads_is_left_to_it_and_what_a_dead_one_led_is_given_back(aws: FakeAws) -> None:
    settings = aws_settings(aws, ALL, replace(LAPSING, lease_s=6.0))  # not over before the third one has opened
    first = aws_cloud(settings)
    first.open()
    first.launch("one", ARTIFACT, "a")
    second = aws_cloud(settings)
    second.open()
    second.close()
    assert set(states(aws).values()) <= {"pending", "running"}
    kill(first)
    third = aws_cloud(settings)
    third.open()
    assert not third.leads()

    third.close()

    assert set(states(aws).values()) <= {"shutting-down", "terminated"}


def lease_of(settings: AwsSettings, lease_s: float) -> Lease:
    session = AwsSession(settings)
    return Lease(lambda: session.client("s3"), lambda: settings.bucket(session.account), lease_s)


def test_a_lease_is_waited_for_and_taken_when_its_holder_is_silent(aws: FakeAws) -> None:
    settings = aws_settings(aws, ALL)
    first, second = lease_of(settings, 0.6), lease_of(settings, 6.0)  # that of the second one must hold until the end
    first.take()
    first.renew()
    began_s = time.monotonic()

    second.take()

    assert 0.5 < time.monotonic() - began_s < 30
    assert second.fencing == first.fencing + 1
    second.check()
    with pytest.raises(LeaseLost):
        first.renew()
    with pytest.raises(LeaseLost):
        first.check()


def test_a_lease_that_is_given_up_is_there_at_once_and_waiting_can_be_ended(aws: FakeAws) -> None:
    settings = aws_settings(aws, ALL)
    first, second, third = (lease_of(settings, 30.0) for _ in range(3))
    first.take()
    first.release()
    second.take()
    ended: list[Exception] = []

    def wait() -> None:
        try:
            third.take()
        except CloudError as error:
            ended.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    third.release()
    waiting.join(60)

    assert [str(each) for each in ended] == ["the cloud is closed: it waited for the lease of another router"]
    second.check()


def test_a_renewal_whose_answer_was_lost_is_none_of_anothers(aws: FakeAws) -> None:
    settings = aws_settings(aws, ALL)
    lease = lease_of(settings, 30.0)
    lease.take()
    lease._etag = '"of an earlier write"'

    lease.renew()

    lease.check()


def test_garbage_for_a_lease_is_told(aws: FakeAws) -> None:
    settings = aws_settings(aws, ALL)
    session = AwsSession(settings)
    session.client("s3").put_object(Bucket=settings.bucket(session.account), Key=LEASE_KEY, Body=b"7")

    with pytest.raises(CloudError, match="is not a lease"):
        lease_of(settings, 30.0).take()


def test_a_router_that_stops_terminates_nothing_that_has_ended_before_it_saw(
    aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = aws_cloud(aws_settings(aws, ALL))
    cloud.open()
    gone, other = (cloud.launch("one", ARTIFACT, token).id for token in "ab")
    cloud._watcher.end()
    AwsSession(aws_settings(aws, ALL)).client("ec2").terminate_instances(InstanceIds=[str(gone)])
    wait_until(cloud, lambda: states(aws)[str(gone)] == "terminated")
    asked: list[str] = []
    terminate = cloud._giving_back.terminate

    def noted(machines: Iterable[str]) -> None:
        found = list(machines)
        asked.extend(found)
        terminate(found)

    monkeypatch.setattr(cloud._giving_back, "terminate", noted)

    cloud.close()

    assert str(gone) not in asked
    assert str(other) in asked
    assert states(aws)[str(other)] in {"shutting-down", "terminated"}
