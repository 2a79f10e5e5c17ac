"""Reads what a live request path has done so far."""

from __future__ import annotations

from mark._core import BurstVerdict, Outcome
from mark.controlplane.tallies import Tally
from mark.live.request_path import RequestPath, promised

__all__ = ["tally_of"]

# Why requests were turned away or given up, in the words of a record.
_SHED = {
    Outcome.QUEUE_FULL: "queue_full",
    Outcome.PREDICTED_MISS: "predicted_miss",
    Outcome.EXPIRED: "expired",
    Outcome.SHED: "beyond_the_budget",
}
# Not too_late, which is the request's fault, nor broken, which the breaker says once.
_REFUSED = (BurstVerdict.AT_LIMIT, BurstVerdict.OVER_BUDGET)


def tally_of(path: RequestPath, instances_usd: float) -> Tally:
    """The tally of a request path whose instances have cost so much."""
    statistics, bursts = path.statistics(), path.bursts
    ended, in_time = promised(statistics)
    shed = {why: statistics.ended(outcome) for outcome, why in _SHED.items()}
    if bursts is None:
        return Tally(statistics.submitted_rows, ended, in_time, instances_usd, shed)
    decided = bursts.statistics()
    return Tally(
        rows=statistics.submitted_rows,
        ended=ended,
        in_time=in_time,
        usd=instances_usd + bursts.use().usd,
        shed=shed,
        functions_refused={verdict.name.lower(): decided.decided(verdict) for verdict in _REFUSED},
        breaker=bursts.breaker.name.lower(),
    )
