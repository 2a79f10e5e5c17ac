"""The queue of notices, and the rule that sends EC2's own ones to it."""

from __future__ import annotations

import json

from mark.cloud.aws import tags
from mark.cloud.aws.permissions import Names
from mark.cloud.aws.resources.bucket import speaks_tls
from mark.cloud.aws.resources.calls import GONE, called, called_unless
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsSettings

__all__ = ["Queue", "Rule"]

_TARGET = "notices"
_KEPT_S = 300  # older news of EC2 is none
_READ_AGAIN_S = 30
_LONG_POLL_S = 20  # SQS's most
_EVENTS = [
    "EC2 Spot Instance Interruption Warning",
    "EC2 Instance Rebalance Recommendation",
    "EC2 Instance State-change Notification",
]


class Queue:
    """Encrypted; EventBridge's rule sends to it, and workers by their own role's policy. Implements `Resource`."""

    kind = "queue"

    def __init__(self, settings: AwsSettings, session: AwsSession) -> None:
        self._settings = settings
        self._session = session
        self.name = settings.queue

    def exists(self) -> bool:
        """Whether it is there."""
        return self._url() is not None

    def create(self) -> None:
        """Make it, and say who may send to it."""
        sqs, what = self._session.client("sqs"), f"making queue {self.name}"
        attributes = {
            "SqsManagedSseEnabled": "true",
            "MessageRetentionPeriod": str(_KEPT_S),
            "VisibilityTimeout": str(_READ_AGAIN_S),
            "ReceiveMessageWaitTimeSeconds": str(_LONG_POLL_S),
            "Policy": json.dumps(self._policy()),
        }
        url = self._url()
        if url is not None:
            called(what, lambda: sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes))
            return
        carried = {tags.CLUSTER: self._settings.cluster}
        called(what, lambda: sqs.create_queue(QueueName=self.name, Attributes=attributes, tags=carried))

    def delete(self) -> None:
        """Delete it with what is in it."""
        url, sqs = self._url(), self._session.client("sqs")
        if url is not None:
            called_unless(GONE, f"deleting queue {self.name}", lambda: sqs.delete_queue(QueueUrl=url))

    def _url(self) -> str | None:
        sqs = self._session.client("sqs")
        found = called_unless(
            GONE, f"looking for queue {self.name}", lambda: sqs.get_queue_url(QueueName=self.name)
        )  # fmt: skip
        return None if found is None else str(found["QueueUrl"])

    def _policy(self) -> dict[str, object]:
        names = Names(self._settings, self._session.account)
        send = {
            "Sid": "NoticesOfTheRule",
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": names.queue,
            "Condition": {"ArnEquals": {"aws:SourceArn": names.rule}},
        }
        tls = {
            "Sid": "OnlyOverTls",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sqs:*",
            "Resource": names.queue,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
        statements = [send, tls] if speaks_tls(self._session.client("sqs")) else [send]
        return {"Version": "2012-10-17", "Statement": statements}


class Rule:
    """EventBridge's rule for what EC2 says of instances, with the queue as its target. Implements `Resource`.

    It matches every instance of the account and region: the router ignores those that are not its own.
    """

    kind = "rule"

    def __init__(self, settings: AwsSettings, session: AwsSession) -> None:
        self._settings = settings
        self._session = session
        self.name = settings.rule

    def exists(self) -> bool:
        """Whether it is there."""
        events = self._session.client("events")
        found = called_unless(GONE, f"looking for rule {self.name}", lambda: events.describe_rule(Name=self.name))
        return found is not None

    def create(self) -> None:
        """Make it, and send what it matches to the queue."""
        events, what = self._session.client("events"), f"making rule {self.name}"
        target = {"Id": _TARGET, "Arn": Names(self._settings, self._session.account).queue}
        # Tags go with a new rule only.
        carried = {} if self.exists() else {"Tags": tags.tag_list({tags.CLUSTER: self._settings.cluster})}
        called(
            what,
            lambda: events.put_rule(
                Name=self.name,
                EventPattern=json.dumps({"source": ["aws.ec2"], "detail-type": _EVENTS}),
                State="ENABLED",
                Description="What EC2 says of instances, for mark's router",
                **carried,
            ),
        )
        called(what, lambda: events.put_targets(Rule=self.name, Targets=[target]))

    def delete(self) -> None:
        """Delete it with its target."""
        events, what = self._session.client("events"), f"deleting rule {self.name}"
        if self.exists():
            called_unless(GONE, what, lambda: events.remove_targets(Rule=self.name, Ids=[_TARGET]))
            called_unless(GONE, what, lambda: events.delete_rule(Name=self.name))
