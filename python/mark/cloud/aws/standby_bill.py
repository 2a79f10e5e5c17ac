"""What standbys cost, whether somebody rents them or not: they are billed whenever they run. Passive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from mark.cloud.aws.machines import Machine
from mark.domain.bill import BillLine, spread
from mark.domain.offering import Market

__all__ = ["StandbyBill"]

_BILLED_S_MIN = 60.0


@dataclass(slots=True)
class _Run:
    usd_per_hour: float
    model: str
    offering: str
    ended_at_s: float | None = None


class StandbyBill:
    """Adds up the runs of every standby, from each start to the stop or end after it, by EC2's own times.

    Thread safety: none.

    Invariant: at most the last run of a machine has not ended.
    """

    def __init__(self, usd_per_hour: Callable[[Machine], float], began_at_s: float) -> None:
        """Know of no run.

        Args:
            usd_per_hour: what a machine costs while it runs.
            began_at_s: runs that ended before this are another router's, in seconds since the epoch.
        """
        self._usd_per_hour = usd_per_hour
        self._began_at_s = began_at_s
        self._runs: dict[tuple[str, float], _Run] = {}
        self._open: dict[str, tuple[str, float]] = {}  # machine -> its run that has not ended

    def see(self, machines: Iterable[Machine], now_s: float) -> None:
        """Take note of what EC2 lists; `now_s` in seconds since the epoch."""
        for machine in machines:
            if not machine.is_standby:
                continue
            run = (machine.id, machine.launched_at_s)
            before = self._open.get(machine.id)
            if before is not None and before != run:
                self._end(machine.id, machine.launched_at_s)  # it stopped and started between two looks
            if machine.is_up:
                self._begin(machine, run)
                continue
            ended_at_s = now_s if machine.changed_at_s is None else machine.changed_at_s
            if run not in self._runs and ended_at_s >= self._began_at_s and machine.changed_at_s is not None:
                self._begin(machine, run)
            self._end(machine.id, max(ended_at_s, machine.launched_at_s))

    def end_all(self, now_s: float) -> None:
        """Every standby was terminated, whatever EC2 lists for a while."""
        for machine in list(self._open):
            self._end(machine, now_s)

    def usd(self, now_s: float) -> float:
        """Dollars until now."""
        return sum(line.usd for line in self.lines(now_s))

    def lines(self, now_s: float) -> Iterator[BillLine]:
        """What every run has cost until now, by the hours that it lasted."""
        for (_, launched_at_s), run in self._runs.items():
            ended_at_s = now_s if run.ended_at_s is None else run.ended_at_s
            billed_s = max(_BILLED_S_MIN, ended_at_s - launched_at_s)
            began_ns, ended_ns = round(launched_at_s * 1e9), round((launched_at_s + billed_s) * 1e9)
            for hour_unix_s, usd in spread(began_ns, ended_ns, billed_s / 3600 * run.usd_per_hour):
                yield BillLine(hour_unix_s, run.model, Market.BURSTABLE.value, run.offering, usd)

    def _begin(self, machine: Machine, run: tuple[str, float]) -> None:
        if run not in self._runs:
            self._runs[run] = _Run(self._usd_per_hour(machine), machine.model, machine.offering)
            self._open[machine.id] = run

    def _end(self, machine: str, at_s: float) -> None:
        run = self._open.pop(machine, None)
        if run is not None:
            self._runs[run].ended_at_s = at_s
