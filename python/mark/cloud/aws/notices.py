"""Notices of EC2 from the cluster's queue: what they say, and which are news.

Shape: Amazon EC2 User Guide, "EC2 Spot Instance interruption notices" and "EC2 instance rebalance recommendations":
events of EventBridge. The agents on the instances send the same.
"""

from __future__ import annotations

import enum
import json
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from mark.cloud.aws.errors import code_of, translated
from mark.cloud.aws.session import Client
from mark.errors import CloudError

__all__ = ["News", "Notice", "NoticeKind", "NoticeQueue", "read_notice"]

_log = logging.getLogger(__name__)

_WAIT_S = 20
_MESSAGES_MAX = 10
_NOTICE_S = 120.0
_REMEMBERED_MAX = 10_000
_NO_QUEUE = {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"}


class NoticeKind(enum.Enum):
    """What EC2 tells of."""

    INTERRUPTION = "EC2 Spot Instance Interruption Warning"
    REBALANCE = "EC2 Instance Rebalance Recommendation"
    STATE_CHANGE = "EC2 Instance State-change Notification"


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice.

    Attributes:
        kind: what it is.
        machine: EC2's id of the instance.
        at_s: when the instance is taken away, or when the notice was made; seconds since the epoch.
        state: the new state, of a change of state.
    """

    kind: NoticeKind
    machine: str
    at_s: float
    state: str = ""


def read_notice(body: str) -> Notice:
    """Read the body of a message.

    Raises:
        ValueError: it is not a notice; the message says why.
    """
    data = json.loads(body)
    if not isinstance(data, dict) or not isinstance(data.get("detail"), dict):
        raise ValueError("it is not an event with a detail")
    try:
        kind = NoticeKind(data.get("detail-type"))
        detail: Mapping[str, Any] = data["detail"]
        machine = detail["instance-id"]
        at_s = _seconds(data["time"])
        if kind is NoticeKind.INTERRUPTION:
            at_s = _seconds(detail["time"]) if "time" in detail else at_s + _NOTICE_S
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it lacks something: {error!r}") from error
    if not isinstance(machine, str):
        raise ValueError("instance-id is not text")
    return Notice(kind, machine, at_s, str(detail.get("state", "")))


def _seconds(text: str) -> float:
    at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (at if at.tzinfo else at.replace(tzinfo=timezone.utc)).timestamp()


class News:
    """Tells which notices are news: queue and agents both send them, and queues deliver twice. Passive.

    Thread safety: none.
    """

    def __init__(self, rebalances_per_hour: int) -> None:
        """Know none yet; follow so many recommendations an hour."""
        self._rebalances_per_hour = rebalances_per_hour
        self._known: OrderedDict[tuple[str, NoticeKind, str], None] = OrderedDict()
        self._rebalanced_ns: deque[int] = deque()

    def is_news(self, notice: Notice) -> bool:
        """Whether nobody has told this before."""
        key = (notice.machine, notice.kind, notice.state)
        if key in self._known:
            return False
        self._known[key] = None
        if len(self._known) > _REMEMBERED_MAX:
            self._known.popitem(last=False)
        return True

    def may_rebalance(self, now_ns: int) -> bool:
        """Whether another recommendation may be followed now; if so, it counts."""
        while self._rebalanced_ns and now_ns - self._rebalanced_ns[0] >= 3600 * 1_000_000_000:
            self._rebalanced_ns.popleft()
        if len(self._rebalanced_ns) >= self._rebalances_per_hour:
            return False
        self._rebalanced_ns.append(now_ns)
        return True


class NoticeQueue:
    """Reads the cluster's queue.

    Thread safety: belongs to one thread at a time.
    """

    def __init__(self, client: Callable[[], Client], name: str, wait_s: int = _WAIT_S) -> None:
        """Read nothing yet."""
        self._client = client
        self._name = name
        self._wait_s = wait_s
        self._url = ""

    def check(self) -> None:
        """Find the queue.

        Raises:
            CloudError: there is none.
        """
        try:
            self._url = str(self._client().get_queue_url(QueueName=self._name)["QueueUrl"])
        except Exception as error:
            if code_of(error) in _NO_QUEUE:
                raise CloudError(f"there is no queue {self._name}: `mark aws bootstrap` makes it") from error
            raise translated(error, f"looking for the queue {self._name}") from error

    def receive(self, act: Callable[[Sequence[Notice]], None], is_over: Callable[[], bool] = lambda: False) -> int:
        """Wait for messages, act on them, and then delete them: what was not acted upon comes again.

        What arrives once `is_over` is left for the router that comes next.

        Returns:
            How many messages came.

        Raises:
            CloudError: the queue cannot be read, or `act` has failed.
        """
        if not self._url:
            self.check()
        client = self._client()
        try:
            answer = client.receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=_MESSAGES_MAX, WaitTimeSeconds=self._wait_s
            )
            messages = () if is_over() else answer.get("Messages", ())
            if messages:
                act([each for message in messages if (each := self._read(message["Body"])) is not None])
                entries = [{"Id": str(i), "ReceiptHandle": each["ReceiptHandle"]} for i, each in enumerate(messages)]
                client.delete_message_batch(QueueUrl=self._url, Entries=entries)
        except CloudError:
            raise
        except Exception as error:
            if code_of(error) in _NO_QUEUE:
                self._url = ""
            raise translated(error, f"reading the queue {self._name}") from error
        return len(messages)

    def _read(self, body: str) -> Notice | None:
        try:
            return read_notice(body)
        except ValueError as error:
            _log.error("a message of the queue %s is dropped: %s", self._name, error)
            return None
