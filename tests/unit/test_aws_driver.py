"""The AWS driver over the fake AWS: launches, restarts, standbys, notices, faults and what it all costs in calls."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
from contract.aws_world import QUICK, aws_cloud, aws_settings, lay_ground, running_aws, tiny_user_data
from contract.cloud_world import ARTIFACT
from unit.aws_driver_world import ALL, LAPSING, ONE, kill, states, wait_until

from mark.cloud.aws import tags
from mark.cloud.aws.cloud import AwsCloud, AwsParts
from mark.cloud.aws.lease import LeaseLost
from mark.cloud.aws.prices import PresentPrices
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsSettings, Rhythm
from mark.cloud.aws.standby import Phase
from mark.domain.fleet import TAKEN_AWAY, Instance, InstanceState
from mark.errors import CloudError, InsufficientCapacity, QuotaExceeded
from mark.live.clock import SteadyClock
from mark.ports import Led, SecuresLinks, Wholesale
from mark.testing.aws import FakeAws


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    with running_aws(tmp_path, monkeypatch, boots=False) as fake:
        lay_ground(aws_settings(fake, ALL))
        yield fake


@pytest.fixture
def cloud(aws: FakeAws) -> Iterator[AwsCloud]:
    # What EC2 has refused is left alone for longer than a test takes.
    opened = aws_cloud(aws_settings(aws, ALL, replace(QUICK, unavailable_s=60.0, unavailable_max_s=60.0)))
    opened.open()
    yield opened
    opened.close()


def test_it_is_all_four_ports(cloud: AwsCloud) -> None:
    assert isinstance(cloud, Wholesale)
    assert isinstance(cloud, SecuresLinks)
    assert isinstance(cloud, Led)
    with pytest.raises(CloudError, match="not encrypted"):
        cloud.link_tls()


def test_two_hundred_instances_are_one_call(aws: FakeAws, cloud: AwsCloud) -> None:
    tokens = [f"t/{number}" for number in range(200)]

    found = cloud.launch_many("many", ARTIFACT, tokens)
    again = cloud.launch_many("many", ARTIFACT, tokens)

    assert all(isinstance(each, Instance) for each in found)
    assert [each.id for each in found if isinstance(each, Instance)] == [
        each.id for each in again if isinstance(each, Instance)
    ]
    assert aws.calls["ec2:CreateFleet"] == 1
    assert len(aws.instances()) == 200
    carried = tags.tags_of(aws.instances()[0]["Tags"])
    assert (carried[tags.CLUSTER], carried[tags.OFFERING], carried[tags.DECISION]) == ("test", "many", "t/0")


def test_one_exact_thing_is_run_with_imdsv2_alone(aws: FakeAws, cloud: AwsCloud) -> None:
    cloud.launch("one", ARTIFACT, "t")

    assert (aws.calls["ec2:RunInstances"], aws.calls["ec2:CreateFleet"]) == (1, 0)
    (described,) = aws.instances()
    assert (described["MetadataOptions"]["HttpTokens"], described["Placement"]["AvailabilityZone"]) == (
        "required", "us-east-1a",
    )  # fmt: skip


def test_what_is_terminated_together_is_one_call_or_few(aws: FakeAws, cloud: AwsCloud) -> None:
    found = cloud.launch_many("many", ARTIFACT, [str(number) for number in range(30)])
    threads = [threading.Thread(target=cloud.terminate, args=[each.id]) for each in found if isinstance(each, Instance)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert aws.calls["ec2:TerminateInstances"] < 30
    assert {each.state for each in cloud.list_instances()} == {InstanceState.GONE}


def test_what_is_sold_out_is_not_asked_for_again_at_once(aws: FakeAws, cloud: AwsCloud) -> None:
    aws.sell_out("m5.large", "us-east-1a", 0)
    with pytest.raises(InsufficientCapacity):
        cloud.launch("one", ARTIFACT, "a")
    calls = aws.calls["ec2:RunInstances"]

    with pytest.raises(InsufficientCapacity, match="tried again in"):
        cloud.launch("one", ARTIFACT, "b")

    assert aws.calls["ec2:RunInstances"] == calls


def test_what_there_is_comes_and_the_rest_says_why(aws: FakeAws, cloud: AwsCloud) -> None:
    aws.sell_out("c5a.large")
    aws.sell_out("c5.large", available=3)

    found = cloud.launch_many("many", ARTIFACT, ["a", "b", "c", "d", "e"])

    assert [isinstance(each, Instance) for each in found] == [True, True, True, False, False]
    assert isinstance(found[4], InsufficientCapacity)


def test_max_count_is_refused_before_any_call_and_counts_what_comes(aws: FakeAws, cloud: AwsCloud) -> None:
    found = cloud.launch_many("one", ARTIFACT, [str(number) for number in range(10)])

    assert [isinstance(each, QuotaExceeded) for each in found] == [False] * 8 + [True] * 2
    calls = aws.calls["ec2:CreateFleet"] + aws.calls["ec2:RunInstances"]
    with pytest.raises(QuotaExceeded, match="max_count 8 is reached"):
        cloud.launch("one", ARTIFACT, "more")
    assert aws.calls["ec2:CreateFleet"] + aws.calls["ec2:RunInstances"] == calls


def test_a_launch_whose_answer_was_lost_buys_once(aws: FakeAws, cloud: AwsCloud) -> None:
    aws.fail("ec2:RunInstances", "InternalError", times=3, after=True)
    with pytest.raises(CloudError, match="InternalError"):
        cloud.launch("one", ARTIFACT, "a")

    wait_until(cloud, lambda: len(cloud.list_instances()) == 1)
    assert cloud.launch("one", ARTIFACT, "a").id == cloud.list_instances()[0].id
    assert len(aws.instances()) == 1


def test_a_restarted_router_adopts_what_runs_and_finishes_what_was_begun(aws: FakeAws) -> None:
    settings = aws_settings(aws, ALL, LAPSING)
    first = aws_cloud(settings)
    first.open()
    launched = first.launch("one", ARTIFACT, "a")
    kill(first)
    first._renew()  # so that it leads for as long as it can when it begins the next launch
    aws.fail("ec2:CreateFleet", "InternalError", times=3)
    with pytest.raises(CloudError):
        first.launch("many", ARTIFACT, "b")

    second = aws_cloud(settings)
    second.open()

    wait_until(second, lambda: len(second.list_instances()) == 2)
    assert launched.id in {each.id for each in second.list_instances()}
    assert len(aws.instances()) == 2
    with pytest.raises(CloudError):
        wait_until(first, lambda: first._renew() < 0)  # it has lost its lease, and says so
    with pytest.raises(LeaseLost):
        first.launch("one", ARTIFACT, "c")
    second.close()
    assert set(states(aws).values()) <= {"shutting-down", "terminated"}


def test_nothing_is_left_of_the_journal_once_ec2_lists_what_was_bought(aws: FakeAws, cloud: AwsCloud) -> None:
    cloud.launch_many("many", ARTIFACT, ["a", "b"])
    settings = aws_settings(aws, ALL)
    session = AwsSession(settings)

    def is_empty() -> bool:
        answer = session.client("s3").list_objects_v2(Bucket=settings.bucket(session.account), Prefix="intents/")
        return int(answer["KeyCount"]) == 0

    wait_until(cloud, is_empty)


def test_orphans_are_ended_and_what_carries_other_tags_is_not(aws: FakeAws) -> None:
    old = aws_cloud(
        replace(aws_settings(aws, (replace(ONE, offering=replace(ONE.offering, name="old")),)), keep_on_stop=True)
    )
    old.open()
    orphan = old.launch("old", ARTIFACT, "a")
    old.close()
    other = replace(aws_settings(aws, ALL), cluster="other")
    lay_ground(other)
    neighbour = aws_cloud(replace(other, keep_on_stop=True))
    neighbour.open()
    kept = neighbour.launch("one", ARTIFACT, "a")
    neighbour.close()
    cloud = aws_cloud(aws_settings(aws, ALL))
    cloud.open()

    wait_until(cloud, lambda: states(aws)[str(orphan.id)] in {"shutting-down", "terminated"})

    assert states(aws)[str(kept.id)] in {"pending", "running"}
    assert cloud.list_instances() == ()
    cloud.close()


def test_a_fleet_that_is_kept_is_adopted_by_the_next_router_at_once(aws: FakeAws) -> None:
    settings = replace(aws_settings(aws, ALL), keep_on_stop=True)
    first = aws_cloud(settings)
    first.open()
    launched = first.launch("one", ARTIFACT, "a")
    first.close()
    second = aws_cloud(replace(settings, keep_on_stop=False))

    second.open()

    assert second.leads()  # the lease was given up: `open` waits for none
    assert [each.id for each in second.list_instances()] == [launched.id]
    second.close()


def test_one_that_never_answers_is_given_back(aws: FakeAws) -> None:
    settings = aws_settings(aws, (replace(ONE, offering=replace(ONE.offering, boot_s=0.0)),))
    cloud = aws_cloud(replace(settings, rhythm=replace(QUICK, boot_max_s=0.5)))
    cloud.open()
    cloud.launch("one", ARTIFACT, "a")

    wait_until(cloud, lambda: cloud.list_instances()[0].state is InstanceState.GONE)

    assert cloud.list_instances()[0].detail == "not ready 0.5 s after its boot time"
    cloud.close()


def test_a_throttled_watcher_goes_on_with_what_it_saw(aws: FakeAws, cloud: AwsCloud) -> None:
    launched = cloud.launch("one", ARTIFACT, "a")
    before = aws.calls["ec2:DescribeInstances"]
    aws.fail("ec2:DescribeInstances", "RequestLimitExceeded", times=6)
    wait_until(cloud, lambda: aws.calls["ec2:DescribeInstances"] > before + 6)

    assert [each.id for each in cloud.list_instances()] == [launched.id]
    assert cloud.list_instances()[0].state is InstanceState.PENDING


def send(aws: FakeAws, settings: AwsSettings, *bodies: str) -> None:
    sqs = AwsSession(settings).client("sqs")
    url = sqs.get_queue_url(QueueName=settings.queue)["QueueUrl"]
    for body in bodies:
        sqs.send_message(QueueUrl=url, MessageBody=body)


def event(kind: str, instance: str) -> str:
    now = datetime.now(timezone.utc).isoformat()
    return json.dumps({"detail-type": kind, "time": now, "detail": {"instance-id": instance}})


def test_a_notice_is_told_and_closes_the_pool_and_nonsense_is_dropped(aws: FakeAws, cloud: AwsCloud) -> None:
    settings = aws_settings(aws, ALL)
    launched = cloud.launch("many", ARTIFACT, "a")
    kind = "EC2 Spot Instance Interruption Warning"

    send(
        aws,
        settings,
        "nonsense",
        event(kind, "i-unknown"),
        event(kind, str(launched.id)),
        event(kind, str(launched.id)),
    )

    wait_until(cloud, lambda: cloud.list_instances()[0].taken_at_ns is not None)
    noticed = cloud.list_instances()[0]
    assert noticed.taken_at_ns is not None
    assert 115e9 < noticed.taken_at_ns - noticed.launched_at_ns < 135e9
    cloud.launch("many", ARTIFACT, "b")
    kinds = [(each["InstanceType"], each["Placement"]["AvailabilityZone"]) for each in aws.instances()]
    assert kinds[0] != kinds[1]


def test_a_notice_that_a_killed_router_had_read_is_known_to_the_next(aws: FakeAws) -> None:
    settings = aws_settings(aws, ALL, LAPSING)
    first = aws_cloud(settings)
    first.open()
    spared, taken = (first.launch("many", ARTIFACT, token) for token in "ab")
    send(aws, settings, event("EC2 Spot Instance Interruption Warning", str(taken.id)))
    wait_until(first, lambda: aws.calls["sqs:DeleteMessageBatch"] + aws.calls["sqs:DeleteMessage"] > 0)
    kill(first)

    second = aws_cloud(settings)
    second.open()

    seen = {each.id: each.taken_at_ns for each in second.list_instances()}
    assert seen[spared.id] is None
    assert seen[taken.id] is not None
    second.close()
    first.close()


def test_a_notice_that_cannot_be_written_down_is_acted_on_and_stays_in_the_queue(
    aws: FakeAws, cloud: AwsCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals: list[int] = []

    def refuse(_: object) -> None:
        refusals.append(1)
        raise CloudError("no room")

    monkeypatch.setattr(cloud._noticing._notes, "write", refuse)
    launched = cloud.launch("many", ARTIFACT, "a")
    send(aws, aws_settings(aws, ALL), event("EC2 Spot Instance Interruption Warning", str(launched.id)))

    wait_until(cloud, lambda: bool(refusals))

    assert cloud.list_instances()[0].taken_at_ns is not None
    assert aws.calls["sqs:DeleteMessageBatch"] == 0


def test_a_recommendation_is_followed_only_if_it_is_asked_for(aws: FakeAws, cloud: AwsCloud) -> None:
    settings = replace(aws_settings(aws, ALL), rebalances_per_hour=1)
    cloud.close()
    following = aws_cloud(settings)
    following.open()
    ids = [str(following.launch("many", ARTIFACT, token).id) for token in "ab"]
    kind = "EC2 Instance Rebalance Recommendation"

    send(aws, settings, *[event(kind, each) for each in ids])

    wait_until(following, lambda: any(each.taken_at_ns for each in following.list_instances()))
    taken = [each for each in following.list_instances() if each.taken_at_ns is not None]
    assert len(taken) == 1
    assert taken[0].taken_at_ns is not None
    assert taken[0].taken_at_ns - taken[0].launched_at_ns > 590e9
    following.close()


@pytest.fixture
def booting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    with running_aws(tmp_path, monkeypatch) as fake:
        lay_ground(aws_settings(fake, ALL))
        yield fake


def are_stopped(cloud: AwsCloud) -> bool:
    """The driver knows of a standby, and has seen it stopped."""
    return [each.phase for each in cloud._state.standbys.all] == [Phase.STOPPED]


def test_a_standby_is_loaded_stopped_started_and_stopped_again(booting: FakeAws) -> None:
    cloud = aws_cloud(aws_settings(booting, ALL))
    cloud.open()
    cloud.prepare(ARTIFACT)
    wait_until(cloud, lambda: are_stopped(cloud))
    assert cloud.list_instances() == ()

    first = cloud.launch("kept", ARTIFACT, "a")
    wait_until(cloud, lambda: cloud.list_instances()[0].state is InstanceState.READY)
    cloud.terminate(first.id)
    assert cloud.list_instances()[0].state is InstanceState.GONE
    wait_until(cloud, lambda: are_stopped(cloud))
    second = cloud.launch("kept", ARTIFACT, "b")

    assert str(first.id).partition("@")[0] == str(second.id).partition("@")[0] == booting.instances()[0]["InstanceId"]
    assert first.id != second.id
    assert (booting.calls["ec2:RunInstances"], booting.calls["ec2:StartInstances"]) == (1, 2)
    cloud.close()
    assert set(states(booting).values()) <= {"shutting-down", "terminated"}


def test_a_standby_that_ec2_does_not_start_is_bought_anew(booting: FakeAws) -> None:
    cloud = aws_cloud(aws_settings(booting, ALL))
    cloud.open()
    cloud.prepare(ARTIFACT)
    wait_until(cloud, lambda: are_stopped(cloud))
    booting.fail("ec2:StartInstances", "InsufficientInstanceCapacity")

    launched = cloud.launch("kept", ARTIFACT, "a")

    assert "@" not in str(launched.id)
    assert sorted(states(booting).values())[-1] == "stopped"
    cloud.close()
    assert set(states(booting).values()) <= {"shutting-down", "terminated"}


def test_a_steady_fleet_of_a_thousand_costs_below_thirty_calls_a_minute(aws: FakeAws) -> None:
    settings = aws_settings(aws, ALL, Rhythm())
    cloud = aws_cloud(settings)
    cloud.open()
    found = cloud.launch_many("many", ARTIFACT, [str(number) for number in range(1000)])
    assert sum(isinstance(each, Instance) for each in found) == 1000
    assert aws.calls["ec2:CreateFleet"] == 1
    wait_until(cloud, lambda: all(each["State"]["Name"] == "running" for each in aws.instances()))
    kill(cloud)  # no thread asks anything while this is counted
    pause_s = cloud._watching.look(leads=True)
    before = sum(aws.calls.values())

    cloud._watching.look(leads=True)
    calls_of_a_look = sum(aws.calls.values()) - before

    rhythm = settings.rhythm
    assert (calls_of_a_look, pause_s) == (1, rhythm.describe_soon_s)
    for pause_s in (rhythm.describe_s, rhythm.describe_soon_s):
        looks, renewals, polls = calls_of_a_look * 60 / pause_s, 60 / (rhythm.lease_s / 3), 60 / 20
        prices = len({kind for each in ALL for kind in each.types}) * 60 / rhythm.prices_s
        assert looks + renewals + polls + prices < 30
    cloud.close()
    assert aws.calls["ec2:TerminateInstances"] <= 4


def test_what_bootstrap_makes_is_named_when_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_aws(tmp_path, monkeypatch, boots=False) as aws:
        settings = aws_settings(aws, ALL)
        with pytest.raises(CloudError, match=r"no bucket .*mark aws bootstrap"):
            aws_cloud(settings).open()
        lay_ground(settings)
        session = AwsSession(settings)
        url = session.client("sqs").get_queue_url(QueueName=settings.queue)["QueueUrl"]
        session.client("sqs").delete_queue(QueueUrl=url)
        with pytest.raises(CloudError, match=r"no queue mark-test-notices: .*mark aws bootstrap"):
            aws_cloud(settings).open()


def test_the_bill_is_that_of_ec2s_own_record(booting: FakeAws) -> None:
    settings = aws_settings(booting, ALL)
    session = AwsSession(settings)
    prices = PresentPrices(settings, session)
    prices.refresh()
    cloud = AwsCloud(settings, SteadyClock(), AwsParts(session, tiny_user_data, prices=prices))
    cloud.open()
    cloud.prepare(ARTIFACT)
    taken = cloud.launch("many", ARTIFACT, "a")
    cloud.launch_many("many", ARTIFACT, ["b", "c", "d"])
    cloud.launch("one", ARTIFACT, "e")
    wait_until(cloud, lambda: are_stopped(cloud))
    standby = cloud.launch("kept", ARTIFACT, "f")
    booting.interrupt([str(taken.id)], 0.1)
    wait_until(cloud, lambda: TAKEN_AWAY in [each.detail for each in cloud.list_instances()])
    wait_until(cloud, lambda: all(each.state is not InstanceState.PENDING for each in cloud.list_instances()))
    cloud.terminate(standby.id)

    cloud.close()

    assert cloud.spent_usd() == pytest.approx(booting.record().usd, abs=0.0001)
    assert cloud.spent_usd() > 0.0
