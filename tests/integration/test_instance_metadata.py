"""The client of the metadata service, over a real socket, and the notices that are found by it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import boto3
import pytest
from integration.metadata_stub import MetadataStub
from moto import mock_aws

from mark.cloud.aws.instance_metadata import InstanceMetadata
from mark.cloud.aws.own_notices import OwnNotices
from mark.errors import CloudError

NOW = datetime(2026, 11, 26, 12, 0, 0, tzinfo=timezone.utc)


@pytest.fixture
def stub() -> Iterator[MetadataStub]:
    with MetadataStub() as started:
        yield started


@pytest.fixture
def metadata(stub: MetadataStub, monkeypatch: pytest.MonkeyPatch) -> InstanceMetadata:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # which must not be asked
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", stub.endpoint + "/")
    return InstanceMetadata(pause_s=0.0)


class TestMetadata:
    def test_what_is_there_is_read_with_one_token(self, stub: MetadataStub, metadata: InstanceMetadata) -> None:
        assert metadata.need("instance-id") == "i-0123"
        assert metadata.get("local-ipv4") == "127.0.0.1"
        assert stub.requests["PUT"] == 1

    def test_that_nothing_is_there_is_normal(self, stub: MetadataStub, metadata: InstanceMetadata) -> None:
        assert metadata.get("spot/instance-action") is None
        assert stub.requests["spot/instance-action"] == 1
        with pytest.raises(CloudError, match="knows no public-ipv4"):
            metadata.need("public-ipv4")

    def test_a_token_that_is_refused_is_replaced(self, stub: MetadataStub, metadata: InstanceMetadata) -> None:
        metadata.need("instance-id")
        stub.token = "token-2"
        assert metadata.need("instance-id") == "i-0123"
        assert stub.requests["PUT"] == 2

    def test_a_token_is_replaced_before_it_ends(self, stub: MetadataStub) -> None:
        time_s = [0.0]
        metadata = InstanceMetadata(stub.endpoint, clock_s=lambda: time_s[0])
        metadata.need("instance-id")
        time_s[0] = 21_539.0
        metadata.need("instance-id")
        assert stub.requests["PUT"] == 1
        time_s[0] = 21_541.0
        metadata.need("instance-id")
        assert stub.requests["PUT"] == 2

    def test_a_failure_is_tried_again_but_not_for_ever(self, stub: MetadataStub, metadata: InstanceMetadata) -> None:
        stub.failures = 2
        assert metadata.need("instance-id") == "i-0123"
        stub.failures = 100
        with pytest.raises(CloudError, match=r"does not give local-ipv4: status 503; this runs on an EC2 instance"):
            metadata.need("local-ipv4")
        assert stub.requests["local-ipv4"] == 3

    def test_nobody_who_answers_is_said(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
            with pytest.raises(CloudError, match="Connection refused"):
                InstanceMetadata(endpoint, pause_s=0.0).get("instance-id")


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        client = boto3.client("sqs", region_name="us-east-1")
        client.create_queue(QueueName="notices")
        yield client


def messages(sqs: Any) -> list[Any]:
    url = sqs.get_queue_url(QueueName="notices")["QueueUrl"]
    received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    return [json.loads(message["Body"]) for message in received]


class Values:
    """Metadata without a socket: moto answers for every address while it mocks."""

    def __init__(self) -> None:
        self.values = {"instance-id": "i-0123"}

    def get(self, path: str) -> str | None:
        return self.values.get(path)

    def need(self, path: str) -> str:
        return self.values[path]


@pytest.fixture
def values() -> Values:
    return Values()


@pytest.fixture
def notices(values: Values, sqs: Any) -> OwnNotices:
    return OwnNotices(values, sqs, "notices", lambda: NOW)  # type: ignore[arg-type]


class TestNotices:
    def test_while_there_are_none_nothing_is_sent(self, notices: OwnNotices, sqs: Any) -> None:
        assert notices.poll() == 0
        assert messages(sqs) == []

    def test_each_is_sent_once_as_eventbridge_sends_it(self, notices: OwnNotices, values: Values, sqs: Any) -> None:
        values.values["spot/instance-action"] = '{"action": "terminate", "time": "2026-11-26T12:02:00Z"}'
        values.values["events/recommendations/rebalance"] = '{"noticeTime": "2026-11-26T11:50:00Z"}'
        assert [notices.poll(), notices.poll()] == [2, 0]
        interruption, rebalance = sorted(messages(sqs), key=lambda event: str(event["detail-type"]), reverse=True)
        assert interruption == {
            "source": "aws.ec2",
            "detail-type": "EC2 Spot Instance Interruption Warning",
            "time": "2026-11-26T12:00:00Z",
            "detail": {"instance-id": "i-0123", "instance-action": "terminate", "time": "2026-11-26T12:02:00Z"},
        }
        assert rebalance["detail-type"] == "EC2 Instance Rebalance Recommendation"
        assert rebalance["detail"] == {"instance-id": "i-0123", "noticeTime": "2026-11-26T11:50:00Z"}

    def test_one_that_cannot_be_read_is_still_one(self, notices: OwnNotices, values: Values, sqs: Any) -> None:
        values.values["spot/instance-action"] = "soon"
        assert [notices.poll(), notices.poll()] == [1, 0]
        assert messages(sqs)[0]["detail"] == {"instance-id": "i-0123", "instance-action": "terminate"}

    def test_one_that_could_not_be_sent_is_sent_when_the_queue_is_there(self, values: Values, sqs: Any) -> None:
        notices = OwnNotices(values, sqs, "later", lambda: NOW)  # type: ignore[arg-type]
        values.values["spot/instance-action"] = '{"action": "stop"}'
        with pytest.raises(CloudError, match="no queue later: `mark aws bootstrap` makes it"):
            notices.poll()
        sqs.create_queue(QueueName="later")
        assert [notices.poll(), notices.poll()] == [1, 0]
