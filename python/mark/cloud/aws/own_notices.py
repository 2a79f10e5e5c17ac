"""Notices that an instance finds about itself, and sends to the cluster's queue."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from mark.cloud.aws.errors import AWS_ERRORS, code_of, translated
from mark.cloud.aws.instance_metadata import InstanceMetadata
from mark.cloud.aws.session import Client
from mark.errors import CloudError

__all__ = ["OwnNotices"]

_log = logging.getLogger(__name__)

_INTERRUPTION = "EC2 Spot Instance Interruption Warning"
_REBALANCE = "EC2 Instance Rebalance Recommendation"
_ACTION_PATH = "spot/instance-action"
_REBALANCE_PATH = "events/recommendations/rebalance"
_NO_QUEUE = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


class OwnNotices:
    """Finds notices in the instance's metadata, and sends each once, in the shape that EventBridge sends them in.

    Thread safety: belongs to one thread.

    Invariants: what could not be sent is tried again at the next poll; what was sent is not sent again.
    """

    def __init__(
        self, metadata: InstanceMetadata, sqs: Client, queue: str, now: Callable[[], datetime] = _utc_now
    ) -> None:
        """Know none yet.

        Args:
            metadata: of this instance.
            sqs: client of SQS.
            queue: name of the cluster's queue.
            now: the time, with a time zone.
        """
        self._metadata = metadata
        self._sqs = sqs
        self._queue = queue
        self._now = now
        self._url = ""
        self._instance = ""
        self._sent: set[str] = set()

    def poll(self) -> int:
        """Look once, and send what is new; how many were sent.

        Raises:
            CloudError: the metadata or the queue do not answer.
        """
        sent = 0
        for event in (self._interruption(), self._rebalance()):
            key = "" if event is None else json.dumps([event["detail-type"], event["detail"]])
            if event is None or key in self._sent:
                continue
            self._send(event)
            self._sent.add(key)
            sent += 1
            _log.warning("EC2 says of this instance: %s", event["detail-type"])
        return sent

    def _interruption(self) -> dict[str, Any] | None:
        found = self._found(_ACTION_PATH)
        if found is None:
            return None
        detail = {"instance-action": str(found.get("action", "terminate"))}
        if "time" in found:
            detail["time"] = str(found["time"])
        return self._event(_INTERRUPTION, detail, self._now())

    def _rebalance(self) -> dict[str, Any] | None:
        found = self._found(_REBALANCE_PATH)
        if found is None:
            return None
        return self._event(_REBALANCE, {"noticeTime": str(found.get("noticeTime", ""))}, self._now())

    def _found(self, path: str) -> dict[str, Any] | None:
        text = self._metadata.get(path)
        if text is None:
            return None
        try:
            found = json.loads(text)
        except json.JSONDecodeError:
            found = None
        # Whatever EC2 writes there, that it is there means that the instance is at risk.
        return found if isinstance(found, dict) else {}

    def _event(self, kind: str, detail: dict[str, str], at: datetime) -> dict[str, Any]:
        self._instance = self._instance or self._metadata.need("instance-id")
        return {
            "source": "aws.ec2",
            "detail-type": kind,
            "time": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "detail": {"instance-id": self._instance, **detail},
        }

    def _send(self, event: dict[str, Any]) -> None:
        try:
            self._url = self._url or str(self._sqs.get_queue_url(QueueName=self._queue)["QueueUrl"])
            self._sqs.send_message(QueueUrl=self._url, MessageBody=json.dumps(event))
        except AWS_ERRORS as error:
            self._url = ""
            if code_of(error) in _NO_QUEUE:
                raise CloudError(f"there is no queue {self._queue}: `mark aws bootstrap` makes it") from error
            raise translated(error, f"sending a notice to the queue {self._queue}") from error
