"""What follows from EC2's notices."""

from __future__ import annotations

from collections.abc import Callable

from mark.cloud.aws.cluster_state import ClusterState
from mark.cloud.aws.notices import News, Notice, NoticeKind, NoticeQueue
from mark.cloud.aws.watching import Watching

__all__ = ["Heeding"]

_REBALANCE_S = 600.0


class Heeding:
    """Reads notices, and acts on each once.

    Thread safety: `receive` from one thread at a time.
    """

    def __init__(
        self, state: ClusterState, queue: NoticeQueue, news: News, watching: Watching, look_soon: Callable[[], None]
    ) -> None:
        """Heed nothing yet; `look_soon` has EC2 asked what runs."""
        self.queue = queue
        self.news = news
        self._state = state
        self._watching = watching
        self._look_soon = look_soon

    def receive(self) -> float:
        """Wait for notices and act on them; returns how long to wait before the next time.

        Raises:
            CloudError: the queue cannot be read.
        """
        self.queue.receive(self._act, lambda: self._state.closed)
        return 0.0

    def _act(self, notice: Notice) -> None:
        state = self._state
        with state.lock:
            if not self.news.is_news(notice):
                return
            now_ns = state.present_ns()
            instance = state.fleet.of_machine(notice.machine)
            if notice.kind is NoticeKind.STATE_CHANGE:
                self._look_soon()
                return
            pool = state.pool_of.get(notice.machine)
            if instance is None or pool is None:
                return
            if notice.kind is NoticeKind.INTERRUPTION:
                taken_at_ns = state.clock_ns(notice.at_s)
                state.pools.refused(pool, now_ns)
            elif instance.taken_at_ns is not None or not self.news.may_rebalance(now_ns):
                return
            else:
                taken_at_ns = now_ns + round(_REBALANCE_S * 1e9)
                self._watching.rebalance(notice.machine, taken_at_ns)
            if state.fleet.noticed(notice.machine, taken_at_ns) is not None:
                state.announce()
