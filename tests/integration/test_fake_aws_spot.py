"""Spot on the fake AWS: prices, notices by the metadata service and by queues, and what is taken away."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from integration.fake_aws_world import client, fleet, states, template, wait_until

from mark.testing.aws import FakeAws

A, B = "us-east-1a", "us-east-1b"


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    with FakeAws() as running:
        yield running


def bought(aws: FakeAws, market: str = "spot") -> str:
    answer = fleet(aws, template(aws), 1, ("c5.large", A), market=market)
    wait_until(lambda: states(aws) == ["running"], "running")
    return str(answer["Instances"][0]["InstanceIds"][0])


def ask(aws: FakeAws, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(f"{aws.endpoint_url}/imds/{path}", method=method)
    for name, value in headers.items():
        request.add_header(f"X-aws-ec2-metadata-{name}".replace("_", "-"), value)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def queue_of_notices(aws: FakeAws, *kinds: str) -> str:
    url = client(aws, "sqs").create_queue(QueueName="notices", tags={"mark:cluster": "digits"})["QueueUrl"]
    events = client(aws, "events")
    pattern = json.dumps({"source": ["aws.ec2"], "detail-type": list(kinds)})
    events.put_rule(Name="notices", EventPattern=pattern, Tags=[{"Key": "mark:cluster", "Value": "digits"}])
    arn = "arn:aws:sqs:us-east-1:123456789012:notices"
    events.put_targets(Rule="notices", Targets=[{"Id": "queue", "Arn": arn}])
    return str(url)


def messages(aws: FakeAws, url: str) -> list[Any]:
    answer = client(aws, "sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=5)
    return [json.loads(message["Body"]) for message in answer.get("Messages", [])]


def test_metadata_want_a_token_and_know_their_instance(aws: FakeAws) -> None:
    name = bought(aws)
    assert ask(aws, f"{name}/latest/meta-data/local-ipv4")[0] == 401
    assert ask(aws, f"{name}/latest/api/token", "PUT")[0] == 400
    status, token = ask(aws, f"{name}/latest/api/token", "PUT", token_ttl_seconds="60")
    assert status == 200
    instance = aws.instances()[0]
    for path, found in {
        "local-ipv4": instance["PrivateIpAddress"],
        "placement/availability-zone": A,
        "tags/instance/mark:cluster": "digits",
        "instance-life-cycle": "spot",
    }.items():
        assert ask(aws, f"{name}/latest/meta-data/{path}", token=token) == (200, found)
    assert "local-ipv4" in ask(aws, f"{name}/latest/meta-data/", token=token)[1].splitlines()
    for path in ["meta-data/spot/instance-action", "user-data", "meta-data/events/recommendations/rebalance"]:
        assert ask(aws, f"{name}/latest/{path}", token=token)[0] == 404
    assert ask(aws, f"{name}/latest/meta-data/local-ipv4", token="stolen")[0] == 401
    assert ask(aws, "i-nobody/latest/meta-data/local-ipv4")[0] == 404


def test_an_interruption_is_told_twice_and_then_done(aws: FakeAws) -> None:
    url = queue_of_notices(aws, "EC2 Spot Instance Interruption Warning")
    name = bought(aws)
    aws.interrupt([name], 3.0)  # long enough to look at it meanwhile
    aws.interrupt([name], 3.0)  # it is told once
    _, token = ask(aws, f"{name}/latest/api/token", "PUT", token_ttl_seconds="60")
    status, notice = ask(aws, f"{name}/latest/meta-data/spot/instance-action", token=token)
    assert (status, json.loads(notice)["action"]) == (200, "terminate")
    [message] = messages(aws, url)
    assert message["detail"] == {"instance-id": name, "instance-action": "terminate"}
    assert (message["source"], message["time"][-1]) == ("aws.ec2", "Z")
    assert states(aws) == ["running"]
    wait_until(lambda: states(aws) == ["terminated"], "the end of the notice")
    [ended] = aws.instances()
    assert ended["StateReason"]["Code"] == "Server.SpotInstanceTermination"
    assert aws.record().usd == 0.0  # in its first hour


def test_a_recommendation_takes_nothing(aws: FakeAws) -> None:
    url = queue_of_notices(aws, "EC2 Instance Rebalance Recommendation")
    name = bought(aws)
    aws.recommend_rebalance([name])
    [message] = messages(aws, url)
    assert message["detail"] == {"instance-id": name}
    _, token = ask(aws, f"{name}/latest/api/token", "PUT", token_ttl_seconds="60")
    assert ask(aws, f"{name}/latest/meta-data/events/recommendations/rebalance", token=token)[0] == 200
    assert states(aws) == ["running"]


def test_states_are_told_to_queues(aws: FakeAws) -> None:
    url = queue_of_notices(aws, "EC2 Instance State-change Notification")
    name = bought(aws)
    told: list[Any] = []

    def both() -> bool:
        told.extend(messages(aws, url))
        return len(told) >= 2

    wait_until(both, "two messages")
    assert {(each["detail"]["instance-id"], each["detail"]["state"]) for each in told} == {
        (name, "pending"),
        (name, "running"),
    }


def test_only_spot_is_taken(aws: FakeAws) -> None:
    with pytest.raises(Exception, match="not a spot instance"):
        aws.interrupt([bought(aws, "on-demand")], 1.0)


def test_the_cheapest_spot_pool_is_bought_first(aws: FakeAws) -> None:
    aws.set_spot_price("c5.large", A, 0.08)
    aws.set_spot_price("c5.large", B, 0.03)
    answer = fleet(aws, template(aws), 1, ("c5.large", A), ("c5.large", B), market="spot")
    assert answer["Instances"][0]["AvailabilityZone"] == B


def test_the_price_now_and_its_past_are_told(aws: FakeAws) -> None:
    now = datetime.now(timezone.utc)
    for hours, usd in [(3, 0.05), (1, 0.04)]:
        aws.set_spot_price("c5.large", A, usd, (now - timedelta(hours=hours)).timestamp())
    ec2 = client(aws, "ec2")
    wanted = {
        "InstanceTypes": ["c5.large"],
        "ProductDescriptions": ["Linux/UNIX"],
        "Filters": [{"Name": "availability-zone", "Values": [A]}],
    }
    current = ec2.describe_spot_price_history(StartTime=now, **wanted)["SpotPriceHistory"]
    assert [float(each["SpotPrice"]) for each in current] == [0.04]
    since = ec2.describe_spot_price_history(StartTime=now - timedelta(hours=2), **wanted)["SpotPriceHistory"]
    assert [float(each["SpotPrice"]) for each in since] == [0.04, 0.05]
    pages = ec2.get_paginator("describe_spot_price_history").paginate(
        StartTime=now, InstanceTypes=["c5.large"], PaginationConfig={"PageSize": 2}
    )
    assert {each["AvailabilityZone"] for page in pages for each in page["SpotPriceHistory"]} >= {A, B}


def test_the_bill_counts_each_run_by_the_second_and_at_least_a_minute(aws: FakeAws) -> None:
    name = bought(aws)
    bought_too = client(aws, "ec2").run_instances(
        MinCount=1, MaxCount=1, ImageId="ami-12345678", InstanceType="m5.large"
    )
    assert bought_too["Instances"][0]["InstanceType"] == "m5.large"
    by_resource = {line.resource: line for line in aws.record().lines}
    assert by_resource[name].seconds == 60
    assert by_resource[name].usd == pytest.approx(0.085 * 0.4 / 60)
    assert aws.record().usd == pytest.approx((0.085 * 0.4 + 0.096) / 60)


def test_what_carries_the_tag_is_told_until_it_is_gone(aws: FakeAws) -> None:
    url = queue_of_notices(aws, "EC2 Instance Rebalance Recommendation")
    name = bought(aws)
    iam = client(aws, "iam")
    tags = [{"Key": "mark:cluster", "Value": "digits"}]
    iam.create_role(RoleName="worker", AssumeRolePolicyDocument="{}", Tags=tags)
    iam.create_instance_profile(InstanceProfileName="worker", Tags=tags)
    s3 = client(aws, "s3")
    s3.create_bucket(Bucket="models")
    s3.put_bucket_tagging(Bucket="models", Tagging={"TagSet": tags})
    found = aws.tagged("digits")
    kinds = {arn.split(":")[2] + ":" + arn.split(":")[5].split("/")[0] for arn in found}
    compute = {"ec2:instance", "ec2:volume", "ec2:launch-template"}
    assert kinds == compute | {"sqs:notices", "events:rule", "iam:role", "iam:instance-profile", "s3:models"}
    assert aws.tagged("another") == []
    pages = (
        client(aws, "resourcegroupstaggingapi")
        .get_paginator("get_resources")
        .paginate(TagFilters=[{"Key": "mark:cluster", "Values": ["digits"]}], ResourcesPerPage=2)
    )
    listed = [each["ResourceARN"] for page in pages for each in page["ResourceTagMappingList"]]
    assert listed == [arn for arn in found if ":iam:" not in arn]
    by_kind = client(aws, "resourcegroupstaggingapi").get_resources(ResourceTypeFilters=["ec2:instance"])
    assert [each["ResourceARN"].rpartition("/")[2] for each in by_kind["ResourceTagMappingList"]] == [name]
    filters = [{"Name": "resource-id", "Values": [name]}]
    told = client(aws, "ec2").describe_tags(Filters=filters)["Tags"]
    assert [(tag["ResourceType"], tag["Value"]) for tag in told] == [("instance", "digits")]
    client(aws, "ec2").terminate_instances(InstanceIds=[name])
    client(aws, "ec2").delete_launch_template(LaunchTemplateName="mark-digits-worker")
    iam.delete_role(RoleName="worker")
    iam.delete_instance_profile(InstanceProfileName="worker")
    s3.delete_bucket(Bucket="models")
    client(aws, "sqs").delete_queue(QueueUrl=url)
    client(aws, "events").remove_targets(Rule="notices", Ids=["queue"])
    client(aws, "events").delete_rule(Name="notices")
    wait_until(lambda: aws.tagged("digits") == [], "the end of everything")
