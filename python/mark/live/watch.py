"""Watches all models of a router: a sample of each once a second, and each record as it comes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from mark.domain.sample import ModelSample
from mark.live.accounts import Accounts
from mark.live.clock import SteadyClock
from mark.live.feed import Feed
from mark.live.history import History
from mark.live.recorder import MemoryRecorder
from mark.live.sampler import Moment, Sampler

__all__ = ["Watch", "next_look_ns"]

_log = logging.getLogger(__name__)

_LOOK_NS: Final = 1_000_000_000
_RECORDS_S: Final = 0.2
_BILL_PAUSE: Final = 100  # times as long as the last bill took: a hundredth of the loop's time at most


def next_look_ns(due_ns: int, now_ns: int) -> int:
    """When to look again after a look that was due and has ended.

    Whoever was held up looks once, not once for each second that went by, and not again at once: the rates of a moment
    say nothing.
    """
    return max(due_ns + _LOOK_NS, now_ns + _LOOK_NS // 2)


class Watch:
    """Fills a feed and the histories of the models.

    Thread safety: belongs to the router's event loop.
    """

    def __init__(
        self, samplers: Mapping[str, Sampler], recorder: MemoryRecorder, clock: SteadyClock, accounts: Accounts
    ) -> None:
        """Make it.

        Args:
            samplers: by model.
            recorder: keeps the records.
            clock: when.
            accounts: what everything has cost so far, and the cloud whose offerings have prices.
        """
        self._samplers = dict(samplers)
        self._recorder = recorder
        self._clock = clock
        self._accounts = accounts
        self._trouble = ""
        self._records_seen = 0
        self._usd_by_model: Mapping[str, float] = {}
        self._bill_due_ns = 0
        self.feed = Feed()
        """Every sample and record."""
        self.histories = {name: History() for name in samplers}
        """What was sampled so far, by model."""
        self.last: dict[str, ModelSample] = {}
        """What was sampled last, by model."""

    async def run(self) -> None:
        """Watch until cancelled. What cannot be seen is told in the log, once, and looked for again."""
        due_ns = self._clock.now_ns()
        while True:
            self._tell_records()
            if self._clock.now_ns() >= due_ns:
                try:
                    self._look()
                    self._trouble = ""
                except Exception as error:  # noqa: BLE001 - whoever looks on is no reason to stop serving
                    if str(error) != self._trouble:
                        _log.exception("page and top show nothing new")
                    self._trouble = str(error)
                due_ns = next_look_ns(due_ns, self._clock.now_ns())
            await asyncio.sleep(min(_RECORDS_S, max(0.0, (due_ns - self._clock.now_ns()) / 1e9)))

    def _look(self) -> None:
        now_ns = self._clock.now_ns()
        moment = Moment(
            now_ns=now_ns,
            unix_s=self._clock.unix_s(now_ns),
            offerings=self._accounts.cloud.offerings(),
            usd_by_model=self._dollars(now_ns),
        )
        for name, sampler in self._samplers.items():
            sample = sampler.sample(moment)
            self.last[name] = sample
            self.histories[name].add(sample)
            self.feed.publish("sample", sample.as_dict())

    def _dollars(self, now_ns: int) -> Mapping[str, float]:
        """What each model has cost; as of a while ago where reckoning takes long, as after weeks of instances."""
        if now_ns >= self._bill_due_ns:
            self._usd_by_model = self._accounts.bill().by_model()
            self._bill_due_ns = now_ns + _BILL_PAUSE * (self._clock.now_ns() - now_ns)
        return self._usd_by_model

    def _tell_records(self) -> None:
        self._records_seen, records = self._recorder.since(self._records_seen)
        for record in records:
            self.feed.publish("record", record.as_dict())
