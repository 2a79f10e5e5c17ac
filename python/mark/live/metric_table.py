"""Every metric that a router exports: its name, kind, labels and meaning.

Names and units are Prometheus's conventions: base units, the unit last, `_total` after what only grows. The exporter
can export nothing else, and documentation, dashboard and alerts are checked against this table.
"""

from __future__ import annotations

from typing import Final

from mark.protocol.metric_info import MetricInfo, MetricKind

__all__ = ["ROUTER_METRICS"]

_C, _G, _H = MetricKind.COUNTER, MetricKind.GAUGE, MetricKind.HISTOGRAM
_MODEL = ("model",)

_REQUESTS = (
    MetricInfo("mark_requests_submitted_total", _C, "Requests that were offered, refused ones included.", _MODEL),
    MetricInfo("mark_requests_admitted_total", _C, "Requests that were let in at the door.", _MODEL),
    MetricInfo("mark_requests_total", _C, "Requests that ended, by how they did.", ("model", "outcome")),
    MetricInfo("mark_requests_shed_total", _C, "Requests that were turned away, by why.", ("model", "reason")),
    MetricInfo("mark_requests_retried_total", _C, "Requests that were tried a second time.", _MODEL),
    MetricInfo("mark_rows_submitted_total", _C, "Rows that were offered: what load is counted in.", _MODEL),
    MetricInfo("mark_request_latency_seconds", _H, "From arrival to answer, of answered and late requests.", _MODEL),
    MetricInfo("mark_queue_wait_seconds", _H, "From arrival until the batch of a request was launched.", _MODEL),
    MetricInfo("mark_queued_requests", _G, "Requests that wait.", _MODEL),
    MetricInfo("mark_queued_bytes", _G, "Payload of the requests that wait.", _MODEL),
    MetricInfo("mark_in_flight_requests", _G, "Requests that are with a worker or a function.", _MODEL),
)

_BATCHES = (
    MetricInfo("mark_batches_total", _C, "Batches, by why they were launched when they were.", ("model", "reason")),
    MetricInfo(
        "mark_batches_overtaking_total",
        _C,
        "Batches that, for their priority, left a request behind that was due sooner.",
        _MODEL,
    ),
    MetricInfo("mark_batch_rows", _H, "Rows of a batch, without padding.", _MODEL),
    MetricInfo("mark_rows_padded_total", _C, "Rows of zeros that were sent to fill batches up.", _MODEL),
    MetricInfo(
        "mark_batch_slack_seconds",
        _H,
        "At launch, from the predicted finish to the earliest deadline; 0 of a batch that is late.",
        _MODEL,
    ),
    MetricInfo(
        "mark_batch_predicted_over_observed_ratio",
        _H,
        "What a batch was predicted to take over what it took; profiles are p99, so it is mostly above 1.",
        _MODEL,
    ),
)

_WORKERS = (
    MetricInfo("mark_workers_ready", _G, "Workers that batches are sent to.", _MODEL),
    MetricInfo("mark_workers_ejected", _G, "Workers that are sick and get nothing but probes.", _MODEL),
    MetricInfo("mark_worker_ejections_total", _C, "How often a worker was ejected.", _MODEL),
    MetricInfo("mark_worker_probes_total", _C, "Copies of batches that were sent to ejected workers.", _MODEL),
)

_SLO = (
    MetricInfo("mark_slo_latency_max_seconds", _G, "The promise: an answer within this time.", _MODEL),
    MetricInfo("mark_slo_target_ratio", _G, "The promise: for at least this share of requests.", _MODEL),
    MetricInfo("mark_slo_attainment_ratio", _G, "Share of requests that were answered in time.", ("model", "window")),
    MetricInfo(
        "mark_slo_burn_rate_ratio",
        _G,
        "Share of misses over the share that the promise allows; 1 uses the error budget up exactly.",
        ("model", "window"),
    ),
    MetricInfo(
        "mark_slo_error_budget_left_ratio",
        _G,
        "Share of the error budget of the last six hours that is left; below 0 it is overdrawn.",
        _MODEL,
    ),
)

_LOAD = (
    MetricInfo("mark_load_rows_per_second", _G, "Highest rate of the last window of planning.", _MODEL),
    MetricInfo(
        "mark_forecast_rows_per_second",
        _G,
        "The load that is expected in the step that runs now, by level; bound is what is planned for.",
        ("model", "level"),
    ),
    MetricInfo(
        "mark_forecast_coverage_ratio",
        _G,
        "Share of the last day's steps whose load stayed within their forecast, by level.",
        ("model", "level"),
    ),
    MetricInfo("mark_capacity_planned_rows_per_second", _G, "What the fleet serves once the plan is done.", _MODEL),
    MetricInfo("mark_capacity_ready_rows_per_second", _G, "What the instances that answer now serve.", _MODEL),
    MetricInfo(
        "mark_capacity_rows_per_second",
        _G,
        "What one instance serves under the SLO, as far as it is known by now.",
        ("model", "offering"),
    ),
)

_FLEET = (
    MetricInfo("mark_instances", _G, "Instances that run or boot.", ("model", "offering", "market", "state")),
    MetricInfo("mark_instances_launched_total", _C, "Instances that were rented.", ("model", "offering", "market")),
    MetricInfo(
        "mark_interruptions_total",
        _C,
        "Instances that the cloud gave notice to take away.",
        ("model", "offering", "market"),
    ),
    MetricInfo(
        "mark_actions_total",
        _C,
        "What was decided to be done with the fleet, by the kind of decision.",
        ("model", "action", "reason"),
    ),
    MetricInfo("mark_records_total", _C, "What happened to the fleet, by kind.", ("model", "kind")),
    MetricInfo("mark_records_lost_total", _C, "Records that could not be written to the decision log."),
    MetricInfo("mark_planner_duration_seconds", _H, "How long a plan took, forecast included.", _MODEL),
)

_MONEY = (
    MetricInfo(
        "mark_cost_usd",
        _G,
        "Dollars that were spent; no counter, for a cloud may take back what it billed.",
        ("model", "market"),
    ),
    MetricInfo("mark_cost_usd_per_hour", _G, "Dollars an hour that are being spent now.", ("model", "market")),
    MetricInfo(
        "mark_cost_usd_per_thousand_requests",
        _G,
        "Dollars for a thousand requests that were answered in time, over all time.",
        _MODEL,
    ),
    MetricInfo(
        "mark_offering_price_usd_per_hour", _G, "What an instance of an offering costs now.", ("offering", "market")
    ),
)

_FUNCTIONS = (
    MetricInfo(
        "mark_bursts_total",
        _C,
        "Requests that instances could not answer in time, by what was decided about sending them to a function.",
        ("model", "verdict"),
    ),
    MetricInfo("mark_bursts_in_flight", _G, "Requests that are with a function.", _MODEL),
    MetricInfo("mark_functions", _G, "Functions that there are.", ("model", "state")),
    MetricInfo("mark_function_cold_starts_total", _C, "Functions that were started.", _MODEL),
    MetricInfo("mark_function_breaker", _G, "1 for the state that the circuit breaker is in.", ("model", "state")),
)

_ROUTER = (
    MetricInfo("mark_build_info", _G, "1, with the version.", ("version",)),
    MetricInfo("mark_router_leads", _G, "1 while this router may change the fleet, 0 while it follows another."),
    MetricInfo("mark_router_draining", _G, "1 while new requests are refused because the router stops."),
    MetricInfo("mark_cloud_api_calls_total", _C, "Calls to the cloud, repeats included.", ("service", "operation")),
    MetricInfo(
        "mark_cloud_api_faults_total",
        _C,
        "Calls to the cloud that failed, by the cloud's own code.",
        ("service", "operation", "code"),
    ),
)

_INGRESS = (
    MetricInfo("mark_ingress_connections_total", _C, "Connections that were accepted."),
    MetricInfo("mark_ingress_connections_open", _G, "Connections that are open."),
    MetricInfo("mark_ingress_connections_cut_total", _C, "Connections that were turned away or cut off.", ("reason",)),
    MetricInfo("mark_ingress_calls_total", _C, "Calls that came, of any method."),
    MetricInfo("mark_ingress_calls_passed_on_total", _C, "Calls that are not inference."),
    MetricInfo("mark_ingress_calls_cancelled_total", _C, "Calls that their clients gave up."),
    MetricInfo("mark_ingress_messages_refused_total", _C, "Messages that were too large or malformed."),
    MetricInfo("mark_ingress_received_bytes_total", _C, "Bytes that were read."),
    MetricInfo("mark_ingress_sent_bytes_total", _C, "Bytes that were written."),
)

ROUTER_METRICS: Final = (
    _REQUESTS + _BATCHES + _WORKERS + _SLO + _LOAD + _FLEET + _MONEY + _FUNCTIONS + _ROUTER + _INGRESS
)
"""What a router exports, but for what every process does (`process_…`, `python_…`)."""
