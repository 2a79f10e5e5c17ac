"""What the request path of one model says of itself, as metrics. Reads what was counted; touches no request."""

from __future__ import annotations

from typing import Final

from mark._core import BreakerState, BurstVerdict, DispatchReason, Outcome, Statistics
from mark.live.burst_loop import BurstLoop
from mark.protocol.metric_families import MetricFamilies

__all__ = ["SHED", "HighWaterMarks", "add_burst_metrics", "add_request_metrics"]

_BEGUN = {Outcome.ANSWERED, Outcome.LATE, Outcome.CANCELLED, Outcome.WORKER_LOST, Outcome.MODEL_ERROR}

SHED: Final = tuple(outcome for outcome in Outcome if outcome not in _BEGUN)
"""How a request ends that was turned away uncomputed."""


class HighWaterMarks:
    """Keeps counters from going back.

    A request that was refused and that a function then takes has not ended yet, so a count of ended requests may fall
    by a few. Whoever scrapes takes that for a new process, and counts all that came before a second time.

    Thread safety: none.
    """

    def __init__(self) -> None:
        """Begin at zero."""
        self._highest: dict[tuple[str, Outcome], int] = {}

    def ended(self, model: str, statistics: Statistics, outcome: Outcome) -> int:
        """How many requests of a model ended so, or the most that was ever said."""
        highest = max(self._highest.get((model, outcome), 0), statistics.ended(outcome))
        self._highest[model, outcome] = highest
        return highest


def add_request_metrics(to: MetricFamilies, model: str, counted: Statistics, marks: HighWaterMarks) -> None:
    """Requests, batches and workers of one model."""
    to.add("mark_requests_submitted_total", counted.submitted_requests, model)
    to.add("mark_requests_admitted_total", counted.admitted_requests, model)
    to.add("mark_requests_retried_total", counted.retried_requests, model)
    to.add("mark_rows_submitted_total", counted.submitted_rows, model)
    for outcome in Outcome:
        to.add("mark_requests_total", marks.ended(model, counted, outcome), model, outcome.name.lower())
    for outcome in SHED:
        to.add("mark_requests_shed_total", marks.ended(model, counted, outcome), model, outcome.name.lower())
    to.add_distribution("mark_request_latency_seconds", counted.latency_s, model)
    to.add_distribution("mark_queue_wait_seconds", counted.queue_wait_s, model)
    to.add("mark_queued_requests", counted.queued_requests, model)
    to.add("mark_queued_bytes", counted.queued_bytes, model)
    to.add("mark_in_flight_requests", counted.in_flight_requests, model)
    for reason in DispatchReason:
        to.add("mark_batches_total", counted.dispatched(reason), model, reason.name.lower())
    to.add("mark_batches_overtaking_total", counted.overtaking_batches, model)
    to.add_distribution("mark_batch_rows", counted.batch_rows, model)
    to.add("mark_rows_padded_total", counted.padded_rows, model)
    to.add_distribution("mark_batch_slack_seconds", counted.slack_s, model)
    to.add_distribution("mark_batch_predicted_over_observed_ratio", counted.predicted_over_observed, model)
    to.add("mark_workers_ready", counted.ready_workers, model)
    to.add("mark_workers_ejected", sum(worker.ejected for worker in counted.workers), model)
    to.add("mark_worker_ejections_total", counted.ejections, model)
    to.add("mark_worker_probes_total", counted.probes, model)


def add_burst_metrics(to: MetricFamilies, model: str, bursts: BurstLoop) -> None:
    """The functions of one model."""
    counted, use = bursts.statistics(), bursts.use()
    for verdict in BurstVerdict:
        to.add("mark_bursts_total", counted.decided(verdict), model, verdict.name.lower())
    to.add("mark_bursts_in_flight", counted.in_flight, model)
    to.add("mark_functions", use.warm, model, "warm")
    to.add("mark_functions", use.alive - use.warm, model, "starting")
    to.add("mark_function_cold_starts_total", use.cold_starts, model)
    for state in BreakerState:
        to.add("mark_function_breaker", float(bursts.breaker is state), model, state.name.lower())
