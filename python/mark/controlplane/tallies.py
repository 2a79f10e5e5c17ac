"""What a request path has done so far, and what of it is worth a record: bursts of refusals, and what stood in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mark.controlplane.chronicle import Chronicle, Entry, Scene
from mark.domain.forecast import Forecast
from mark.domain.record import RecordKind

__all__ = ["Refusals", "RefusedBurst", "Tallies", "Tally"]

_SAMPLE_NS = 1_000_000_000  # finer than that nobody needs to know the load again
_SAMPLES_MAX = 720
_BREAKER_CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Tally:
    """What a request path has done so far. Counts never decrease.

    Attributes:
        rows: that were submitted, refused ones included.
        ended: requests that ended and that the promise is about.
        in_time: how many of them were answered in time.
        usd: what instances and functions have cost.
        shed: requests that were turned away or given up, by why.
        functions_refused: requests that functions were not asked for, by why.
        breaker: "closed", "open" or "half_open"; "closed" where there are no functions.
    """

    rows: int = 0
    ended: int = 0
    in_time: int = 0
    usd: float = 0.0
    shed: Mapping[str, int] = field(default_factory=dict)
    functions_refused: Mapping[str, int] = field(default_factory=dict)
    breaker: str = _BREAKER_CLOSED


@dataclass(frozen=True, slots=True)
class RefusedBurst:
    """Refusals with no pause between them.

    Attributes:
        began_ns: the last instant without any, before the first.
        ended_ns: when the last one was seen.
        by_reason: how many there were, by why; only what there was.
    """

    began_ns: int
    ended_ns: int
    by_reason: Mapping[str, int]

    @property
    def requests(self) -> int:
        """How many there were."""
        return sum(self.by_reason.values())


class Refusals:
    """Turns counts of refusals into bursts: one ends when `quiet_s` have passed without any.

    Thread safety: none.

    Invariant: `_open` counts every refusal since the last burst that was handed out.
    """

    def __init__(self, quiet_s: float) -> None:
        self._quiet_ns = round(quiet_s * 1e9)
        self._seen: tuple[int, dict[str, int]] | None = None  # when it was looked last, and the counts
        self._open: RefusedBurst | None = None

    def look(self, now_ns: int, counts: Mapping[str, int]) -> RefusedBurst | None:
        """Take note of the counts so far; the burst that is over, if one is.

        The first look only says where counting begins.
        """
        before_ns, before = self._seen or (now_ns, dict(counts))
        self._seen = (now_ns, dict(counts))
        new = {why: more for why, count in counts.items() if (more := count - before.get(why, 0)) > 0}
        if new:
            open_ = self._open or RefusedBurst(before_ns, now_ns, {})
            whys = dict.fromkeys((*open_.by_reason, *new))
            together = {why: open_.by_reason.get(why, 0) + new.get(why, 0) for why in whys}
            self._open = RefusedBurst(open_.began_ns, now_ns, together)
            return None
        if self._open is not None and now_ns - self._open.ended_ns >= self._quiet_ns:
            return self.end()
        return None

    def end(self) -> RefusedBurst | None:
        """The burst that is not over yet, if one is not: it is over now."""
        ended, self._open = self._open, None
        return ended


class Tallies:
    """Keeps the tally of one model, and writes down what in it is worth a record. Knows no clock.

    Thread safety: none.
    """

    def __init__(self, chronicle: Chronicle, quiet_s: float) -> None:
        self._chronicle = chronicle
        self._tally = Tally()
        self._arrivals: list[tuple[int, int]] = []  # instants, and rows in all until then
        self._latest: tuple[int, int] | None = None  # whether it is a sample or not
        self._shed, self._functions = Refusals(quiet_s), Refusals(quiet_s)
        self._fallback = ""

    def observe(self, now_ns: int, rows: int) -> None:
        """Take note of the offered load: rows submitted in all until now."""
        self._latest = (now_ns, rows)
        if not self._arrivals or now_ns - self._arrivals[-1][0] >= _SAMPLE_NS:
            self._arrivals.append((now_ns, rows))
        if len(self._arrivals) > _SAMPLES_MAX:
            del self._arrivals[1:-1:2]  # totals until then: what is between two of them may be left out

    def look(self, tally: Tally, scene: Scene) -> None:
        """Take note of what the request path has done until now."""
        now_ns, before = scene.snapshot.now_ns, self._tally
        self._tally = tally
        self.observe(now_ns, tally.rows)
        shed = self._shed.look(now_ns, tally.shed)
        if shed is not None:
            self._write_burst(RecordKind.SHED, shed, scene)
        functions = self._functions.look(now_ns, tally.functions_refused)
        if functions is not None:
            self._write_burst(RecordKind.FALLBACK, functions, scene)
        if before.breaker == _BREAKER_CLOSED and tally.breaker != _BREAKER_CLOSED:
            reason = "functions failed one after the other: the circuit breaker is open, and none is asked for a while"
            self._chronicle.write(Entry(RecordKind.FALLBACK, reason, details={"what": "breaker"}), scene)

    def planned_for(self, forecast: Forecast, scene: Scene) -> None:
        """Take note of the forecast of a plan: whether another forecaster stands in is written when it begins."""
        before, self._fallback = self._fallback, forecast.fallback
        if self._fallback and not before:
            reason = f"the forecast is by {forecast.forecaster}: {forecast.fallback}"
            self._chronicle.write(Entry(RecordKind.FALLBACK, reason, details={"what": "forecaster"}), scene)

    def end(self, scene: Scene) -> None:
        """Write down the bursts that are not over."""
        for kind, refusals in ((RecordKind.SHED, self._shed), (RecordKind.FALLBACK, self._functions)):
            burst = refusals.end()
            if burst is not None:
                self._write_burst(kind, burst, scene)

    def details(self) -> dict[str, Any]:
        """What a plan's record says of the request path: totals, and what arrived since the record before."""
        if self._latest is not None and self._latest != self._arrivals[-1]:
            self._arrivals.append(self._latest)
        arrivals, self._arrivals = self._arrivals, self._arrivals[-1:]
        return {"tally": asdict(self._tally), "arrivals": [[at_ns, rows] for at_ns, rows in arrivals]}

    def _write_burst(self, kind: RecordKind, burst: RefusedBurst, scene: Scene) -> None:
        whys = ", ".join(f"{count} {why.replace('_', ' ')}" for why, count in burst.by_reason.items())
        lasted_s = (burst.ended_ns - burst.began_ns) / 1e9
        if kind is RecordKind.SHED:
            what, reason = "requests", f"{burst.requests} requests were not answered in {lasted_s:.1f} s: {whys}"
        else:
            what = "functions"
            reason = f"functions were not asked for {burst.requests} requests in {lasted_s:.1f} s: {whys}"
        details = {
            "what": what,
            "began_at_ns": burst.began_ns,
            "ended_at_ns": burst.ended_ns,
            "requests": burst.requests,
            "by_reason": dict(burst.by_reason),
        }
        self._chronicle.write(Entry(kind, reason, details=details), scene)
