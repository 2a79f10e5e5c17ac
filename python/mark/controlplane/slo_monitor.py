"""The fast loop of control: watches whether the promise is kept, and says when capacity has to be added at once."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from mark.domain.fleet import Instance, InstanceId

__all__ = ["SloMonitor", "SloMonitorParams"]

_ROUNDING = 1e-9  # 1 - 0.98 is a hair's breadth above 0.02


@dataclass(frozen=True, slots=True)
class SloMonitorParams:
    """When the promise counts as broken, and what is done then.

    Attributes:
        sl_min: share of requests that is promised to be answered in time.
        requests: how many of the last requests are looked at: MArk's M.
        every_s: how often.
        cooldown_s: how long after what it added should serve nothing more is added, and that is not retired.
        load_factor_max: a fleet that carries so many times the load gets nothing added: the fault lies elsewhere.
    """

    sl_min: float
    requests: int = 500
    every_s: float = 1.0
    cooldown_s: float = 60.0
    load_factor_max: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.sl_min <= 1 or self.requests < 1:
            raise ValueError("needs 0 < sl_min <= 1 and requests >= 1")
        if not (0 < self.every_s < math.inf and 0 <= self.cooldown_s < math.inf and self.load_factor_max >= 1):
            raise ValueError("needs every_s > 0, cooldown_s >= 0 and load_factor_max >= 1")


class SloMonitor:
    """Watches the last requests, and remembers what was added for them.

    The promise is broken when more of the last `requests` missed it than it allows. That may be known long before so
    many have ended: those that have not are given the benefit of the doubt. Of more traffic than that between two
    looks, all of it is judged.

    While what was added boots, and for `cooldown_s` after that, nothing is judged: what ends then says nothing of
    whether it helps.

    Thread safety: none.

    Invariant: `_window` holds the fewest of the last looks that cover `requests` requests, or all since the cool-down.
    """

    def __init__(self, params: SloMonitorParams) -> None:
        self._params = params
        self._window: deque[tuple[int, int]] = deque()  # (ended, missed) since the look before
        self._seen: tuple[int, int] | None = None  # (ended, in time) in all, at the last look
        self._looked: tuple[int, float] | None = None  # the time and the counter of rows at the last look
        self._load_per_s = 0.0
        self._cool_until_ns: int | None = None
        self._say_again_ns: int | None = None
        self._added: dict[str, tuple[int, int]] = {}  # by offering: launched from when on, kept until when

    @property
    def params(self) -> SloMonitorParams:
        """What it was made with."""
        return self._params

    @property
    def load_per_s(self) -> float:
        """Rows per second that were offered between the last two looks; the planner's windows may not have seen it."""
        return self._load_per_s

    def look(self, now_ns: int, rows: float, ended: int, in_time: int) -> str | None:
        """Judge the last requests; in words how they broke the promise, None when they kept it or it is too early.

        Args:
            now_ns: the time.
            rows: that were offered in all until now.
            ended: requests that ended in all until now and that more capacity could have answered.
            in_time: how many of them were answered in time.
        """
        before_ns, before_rows = self._looked or (now_ns, rows)
        if self._looked is not None and now_ns < before_ns + round(self._params.every_s * 1e9):
            return None
        self._looked = (now_ns, rows)
        self._load_per_s = (rows - before_rows) / ((now_ns - before_ns) / 1e9) if now_ns > before_ns else 0.0
        before_ended, before_in_time = self._seen or (ended, in_time)
        self._seen = (ended, in_time)
        if self._cool_until_ns is not None and now_ns < self._cool_until_ns:
            return None
        more, missed = ended - before_ended, (ended - before_ended) - (in_time - before_in_time)
        if more > 0:
            self._append(more, missed)
        # When nothing of what just ended was missed, whatever it was is over.
        return self._verdict() if missed > 0 else None

    def added(self, now_ns: int, boot_s: Mapping[str, float]) -> None:
        """Take note that instances were launched, and how long those of each offering boot."""
        cooldown_ns = round(self._params.cooldown_s * 1e9)
        until_ns = now_ns + round(max(boot_s.values(), default=0.0) * 1e9) + cooldown_ns
        self._cool_until_ns = until_ns
        self._window.clear()
        self._added |= dict.fromkeys(boot_s, (now_ns, until_ns))

    def nothing_added(self, now_ns: int) -> bool:
        """Take note that nothing was added, which is looked at again at once; whether that is worth saying again."""
        if self._say_again_ns is not None and now_ns < self._say_again_ns:
            return False
        self._say_again_ns = now_ns + round(self._params.cooldown_s * 1e9)
        return True

    def refused(self, offering: str) -> None:
        """An offering was not to be had after all: if it was counted on, something else is looked for at once."""
        added = self._added.get(offering)
        if added is not None and added[1] == self._cool_until_ns:
            self._cool_until_ns = None

    def kept(self, instances: Collection[Instance], now_ns: int) -> list[InstanceId]:
        """Those that were added and whose cool-down is not over: no plan may let them go yet."""
        return [
            instance.id
            for instance in instances
            if (added := self._added.get(instance.offering)) is not None
            and instance.launched_at_ns >= added[0]
            and now_ns < added[1]
        ]

    def _append(self, ended: int, missed: int) -> None:
        self._window.append((ended, missed))
        total = sum(ended for ended, _ in self._window)
        while total - self._window[0][0] >= self._params.requests:
            total -= self._window.popleft()[0]

    def _verdict(self) -> str | None:
        ended, missed = (sum(counts) for counts in zip(*self._window, strict=True))
        judged = max(ended, self._params.requests)
        if missed <= (1 - self._params.sl_min) * judged + _ROUNDING:
            return None
        allowed = math.floor((1 - self._params.sl_min) * judged + _ROUNDING)
        return f"{missed} of the last {ended} requests missed the promise, which allows {allowed} of {judged}"
