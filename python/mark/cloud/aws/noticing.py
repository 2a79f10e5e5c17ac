"""What follows from a notice, and the note in S3 by which the next router knows of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from mark.cloud.aws.cluster_state import ClusterState
from mark.cloud.aws.errors import code_of, translated
from mark.cloud.aws.notices import News, Notice, NoticeKind, NoticeQueue
from mark.cloud.aws.session import Client
from mark.cloud.aws.watching import Watching
from mark.errors import CloudError

__all__ = ["NOTICES_KEY", "NoticeNotes", "Noticing"]

NOTICES_KEY = "notices.json"
_REBALANCE_S = 600.0
_ABSENT = {"NoSuchKey", "404", "NotFound"}


class NoticeNotes:
    """One object: which machines are under notice, and until when.

    Thread safety: every method may be called from any thread.
    """

    def __init__(self, client: Callable[[], Client], bucket: Callable[[], str]) -> None:
        """Keep it in a bucket; both are looked up on first use."""
        self._client = client
        self._bucket = bucket

    def write(self, notices: Sequence[Notice]) -> None:
        """Write all of them down, in place of what was there.

        Raises:
            CloudError: it is not written.
        """
        body = json.dumps([{"kind": each.kind.value, "machine": each.machine, "at_s": each.at_s} for each in notices])
        try:
            self._client().put_object(Bucket=self._bucket(), Key=NOTICES_KEY, Body=body.encode())
        except Exception as error:
            raise translated(error, "writing down which instances are under notice") from error

    def read(self) -> list[Notice]:
        """What was written last.

        Raises:
            CloudError: S3 does not say, or it is no such note.
        """
        try:
            body = self._client().get_object(Bucket=self._bucket(), Key=NOTICES_KEY)["Body"].read()
        except Exception as error:
            if code_of(error) in _ABSENT:
                return []
            raise translated(error, "reading which instances are under notice") from error
        try:
            return [_notice_of(each) for each in json.loads(body)]
        except (KeyError, TypeError, ValueError) as error:
            place = f"s3://{self._bucket()}/{NOTICES_KEY}"
            raise CloudError(f"{place} does not say which instances are under notice: {error!r}; delete it") from error


def _notice_of(data: Any) -> Notice:
    return Notice(NoticeKind(data["kind"]), str(data["machine"]), float(data["at_s"]))


class Noticing:
    """Acts on notices. A message is deleted once what it says is done and written down.

    Thread safety: `receive` from one thread at a time; `recall` from any.

    Invariant: `_standing` holds the notices of machines that lived when it was last written, with the time at which
    each is taken away or given back; touched with the state's lock held.
    """

    def __init__(
        self,
        state: ClusterState,
        watching: Watching,
        queue: NoticeQueue,
        notes: NoticeNotes,
        rebalances_per_hour: int,
    ) -> None:
        """Know of none yet."""
        self._state = state
        self._watching = watching
        self._queue = queue
        self._notes = notes
        self._news = News(rebalances_per_hour)
        self._standing: dict[str, Notice] = {}
        self._unwritten = False

    def check(self) -> None:
        """Look whether the queue is there.

        Raises:
            CloudError: it is not, or cannot be asked.
        """
        self._queue.check()

    def receive(self, on_change_of_state: Callable[[], None]) -> None:
        """Wait for messages, do what follows, and write it down.

        Raises:
            CloudError: the queue cannot be read, or nothing be written: then the messages come again.
        """

        def act(notices: Sequence[Notice]) -> None:
            with self._state.lock:
                for notice in notices:
                    if notice.kind is NoticeKind.STATE_CHANGE:
                        if self._news.is_news(notice):
                            on_change_of_state()
                    else:
                        self._act(notice)
            self._write()

        self._queue.receive(act, lambda: self._state.closed)

    def recall(self) -> None:
        """Act on what an earlier router wrote down.

        Raises:
            CloudError: S3 does not say.
        """
        found = self._notes.read()
        with self._state.lock:
            for notice in found:
                if self._state.fleet.of_machine(notice.machine) is None:
                    continue
                self._news.is_news(notice)  # the queue may have it, too
                if notice.kind is NoticeKind.REBALANCE:
                    self._news.may_rebalance(self._state.present_ns())  # it counts, whoever followed it
                self._stand(notice)

    def _act(self, notice: Notice) -> None:
        state = self._state
        instance = state.fleet.of_machine(notice.machine)
        # One that is not known yet, or whose message could not be deleted, comes again.
        if instance is None or not self._news.is_news(notice):
            return
        if notice.kind is NoticeKind.REBALANCE:
            now_ns = state.present_ns()
            if instance.taken_at_ns is not None or not self._news.may_rebalance(now_ns):
                return
            at_s = (now_ns - state.clock_ns(0.0)) / 1e9 + _REBALANCE_S
            notice = Notice(notice.kind, notice.machine, at_s)
        self._stand(notice)
        self._unwritten = True

    def _stand(self, notice: Notice) -> None:
        """From now on the instance is under notice; `at_s` is when it ends."""
        state = self._state
        at_ns, pool = state.clock_ns(notice.at_s), state.pool_of.get(notice.machine)
        if notice.kind is NoticeKind.REBALANCE:
            self._watching.rebalance(notice.machine, at_ns)
        elif pool is not None:
            state.pools.refused(pool, state.present_ns())
        self._standing[notice.machine] = notice
        if state.fleet.noticed(notice.machine, at_ns) is not None:
            state.announce()

    def _write(self) -> None:
        with self._state.lock:
            if not self._unwritten:
                return
            fleet = self._state.fleet
            self._standing = {key: each for key, each in self._standing.items() if fleet.of_machine(key) is not None}
            standing = list(self._standing.values())
        self._notes.write(standing)
        with self._state.lock:
            self._unwritten = False  # only the thread that receives sets it
