"""What a router exports: every metric of the table, each with the number that its part counted."""

from __future__ import annotations

import math

import pytest
from unit.metrics_world import MS, MetricsWorld, record

from mark._core import BurstVerdict, LatencyHistogram, Outcome
from mark.domain.plan import Launch
from mark.domain.record import RecordKind
from mark.errors import CloudError
from mark.live.metric_table import ROUTER_METRICS
from mark.protocol.metric_families import MetricFamilies
from mark.protocol.metric_info import MetricInfo, MetricKind
from mark.worker.metric_table import WORKER_METRICS

LAUNCH = Launch("spot", "t", "cheapest")


def exported(world: MetricsWorld) -> set[str]:
    """Names as in the table."""
    parts = {
        f"{info.name}_{part}": info.name
        for info in ROUTER_METRICS
        if info.kind is MetricKind.HISTOGRAM
        for part in ("bucket", "sum", "count")
    }
    return {parts.get(name, name) for name, _ in world.samples() if name.startswith("mark_")}


def test_a_router_that_has_everything_exports_every_metric_of_the_table_and_no_other() -> None:
    world = MetricsWorld()
    world.path.answer()
    world.recorder.record(record(RecordKind.PLAN, LAUNCH))
    world.recorder.record(record(RecordKind.PLAN, minute=1, load_per_s=70.0))
    world.look()

    assert exported(world) == {info.name for info in ROUTER_METRICS}


def test_what_any_process_says_of_itself_is_there_too() -> None:
    names = {name for name, _ in MetricsWorld().samples()}

    assert {"process_cpu_seconds_total", "process_resident_memory_bytes", "python_gc_collections_total"} <= names


def test_requests_are_counted_by_outcome_and_those_turned_away_by_why() -> None:
    world = MetricsWorld()
    world.path.answer()
    world.path.answer()
    world.path.refuse()

    assert world.value("mark_requests_submitted_total", model="m") == 3
    assert world.value("mark_requests_admitted_total", model="m") == 2
    assert world.value("mark_requests_total", model="m", outcome="answered") == 2
    assert world.value("mark_requests_total", model="m", outcome="predicted_miss") == 1
    assert world.value("mark_requests_shed_total", model="m", reason="predicted_miss") == 1
    assert world.value("mark_requests_shed_total", model="m", reason="queue_full") == 0
    assert world.value("mark_requests_submitted_total", model="f") == 0


def test_histograms_are_cumulative_and_agree_with_their_count() -> None:
    world = MetricsWorld()
    for took_ms in (10, 10, 40):
        world.path.answer(took_ms * MS)

    samples = world.samples()

    latency = {
        float(dict(labels)["le"]): value
        for (name, labels), value in samples.items()
        if name == "mark_request_latency_seconds_bucket" and ("model", "m") in labels
    }
    assert list(latency.values()) == sorted(latency.values())
    assert latency[0.008192] == 0
    assert latency[0.012288] == 2
    assert latency[math.inf] == 3 == world.value("mark_request_latency_seconds_count", model="m")
    assert world.value("mark_request_latency_seconds_sum", model="m") == pytest.approx(0.06)
    assert world.value("mark_batch_rows_bucket", model="m", le="1.0") == 3
    assert world.value("mark_batch_slack_seconds_sum", model="m") == pytest.approx(0.27)
    assert world.value("mark_batch_predicted_over_observed_ratio_bucket", model="m", le="0.5") == 1
    assert world.value("mark_queue_wait_seconds_count", model="m") == 3
    assert world.value("mark_planner_duration_seconds_count", model="m") == 1


def test_a_counter_never_goes_back_though_a_function_takes_what_had_been_refused() -> None:
    world = MetricsWorld()
    world.path.refuse()
    world.path.refuse()
    assert world.value("mark_requests_total", model="m", outcome="predicted_miss") == 2

    world.path.ledger.decided(BurstVerdict.SEND)
    world.path.ledger.sent(Outcome.PREDICTED_MISS)

    assert world.path.statistics().ended(Outcome.PREDICTED_MISS) == 1
    assert world.value("mark_requests_total", model="m", outcome="predicted_miss") == 2
    assert world.value("mark_requests_shed_total", model="m", reason="predicted_miss") == 2
    world.path.refuse()
    world.path.refuse()
    assert world.value("mark_requests_total", model="m", outcome="predicted_miss") == 3


def test_the_promise_is_told_by_window() -> None:
    world = MetricsWorld()
    world.look()
    for _ in range(19):
        world.path.answer()
    world.path.refuse()
    world.clock.advance_s(1.0)
    world.look()

    assert world.value("mark_slo_latency_max_seconds", model="m") == 0.1
    assert world.value("mark_slo_target_ratio", model="m") == 0.98
    for window in ("1m", "5m", "30m", "1h", "6h"):
        assert world.value("mark_slo_attainment_ratio", model="m", window=window) == pytest.approx(0.95)
        assert world.value("mark_slo_burn_rate_ratio", model="m", window=window) == pytest.approx(2.5)
    assert world.value("mark_slo_error_budget_left_ratio", model="m") == pytest.approx(-1.5)


def test_what_was_decided_is_counted_and_its_forecasts_are_held_against_the_load() -> None:
    world = MetricsWorld()
    world.recorder.record(record(RecordKind.PLAN, LAUNCH, LAUNCH))
    world.recorder.record(record(RecordKind.BRIDGE, LAUNCH))
    world.recorder.record(record(RecordKind.PLAN, minute=1, load_per_s=70.0))
    world.look()
    world.look()

    assert world.value("mark_records_total", model="m", kind="plan") == 2
    assert world.value("mark_records_total", model="m", kind="loss") == 0
    assert world.value("mark_actions_total", model="m", action="launch", reason="plan") == 2
    assert world.value("mark_actions_total", model="m", action="launch", reason="bridge") == 1
    assert world.value("mark_load_rows_per_second", model="m") == 70.0
    assert world.value("mark_forecast_rows_per_second", model="m", level="bound") == 100.0
    assert world.value("mark_forecast_rows_per_second", model="m", level="0.5") == 60.0
    assert world.value("mark_forecast_coverage_ratio", model="m", level="bound") == 1.0
    assert world.value("mark_forecast_coverage_ratio", model="m", level="0.5") == 0.0
    assert world.value("mark_capacity_planned_rows_per_second", model="m") == 150.0


def test_a_record_of_no_model_that_is_served_is_counted_all_the_same() -> None:
    world = MetricsWorld()
    world.recorder.record(record(RecordKind.BUDGET, model=""))
    world.look()

    assert world.value("mark_records_total", model="", kind="budget") == 1
    assert world.value("mark_records_lost_total") == 8


def test_the_fleet_is_told_by_offering_market_and_state() -> None:
    world = MetricsWorld()

    states = {
        state: world.value("mark_instances", model="m", offering="spot", market="spot", state=state)
        for state in ("pending", "ready", "draining")
    }
    assert states == {"pending": 0, "ready": 1, "draining": 1}
    assert world.value("mark_instances", model="m", offering="steady", market="on_demand", state="pending") == 1
    assert world.value("mark_instances_launched_total", model="m", offering="spot", market="spot") == 3
    assert world.value("mark_interruptions_total", model="m", offering="spot", market="spot") == 2
    assert world.value("mark_capacity_ready_rows_per_second", model="m") == 40.0
    assert world.value("mark_capacity_rows_per_second", model="m", offering="steady") == 90.0


def test_dollars_are_those_of_the_bill() -> None:
    world = MetricsWorld()
    for _ in range(4):
        world.path.answer()

    assert world.value("mark_cost_usd", model="m", market="spot") == 0.5
    assert world.value("mark_cost_usd", model="m", market="serverless") == 0.25
    assert world.value("mark_cost_usd_per_thousand_requests", model="m") == pytest.approx(187.5)
    assert world.value("mark_cost_usd_per_hour", model="m", market="spot") == pytest.approx(0.06)
    assert world.value("mark_cost_usd_per_hour", model="m", market="on_demand") == pytest.approx(0.1)
    assert world.value("mark_cost_usd_per_hour", model="m", market="serverless") == 0.2
    assert world.value("mark_offering_price_usd_per_hour", offering="spot", market="spot") == 0.03


def test_functions_are_told_with_what_the_bouncer_decided() -> None:
    world = MetricsWorld()

    assert world.value("mark_bursts_total", model="m", verdict="send") == 1
    assert world.value("mark_functions", model="m", state="warm") == 2
    assert world.value("mark_functions", model="m", state="starting") == 1
    assert world.value("mark_function_cold_starts_total", model="m") == 4
    assert world.value("mark_function_breaker", model="m", state="half_open") == 1
    assert world.value("mark_function_breaker", model="m", state="closed") == 0


def test_the_router_tells_whether_it_leads_and_drains_and_what_it_asked_of_the_cloud() -> None:
    world = MetricsWorld()
    assert world.value("mark_router_leads") == 1
    assert world.value("mark_router_draining") == 0
    assert world.value("mark_cloud_api_calls_total", service="ec2", operation="RunInstances") == 3
    assert world.value("mark_cloud_api_faults_total", service="ec2", operation="RunInstances", code="Throttling") == 1

    world.cloud.leads_now, world.draining = False, True

    assert world.value("mark_router_leads") == 0
    assert world.value("mark_router_draining") == 1


def test_a_lead_that_was_lost_is_no_error_of_a_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    world = MetricsWorld()

    def lost() -> bool:
        raise CloudError("another router leads")

    monkeypatch.setattr(world.cloud, "leads", lost)

    assert world.value("mark_router_leads") == 0


def test_the_ingress_is_told_by_what_it_counted() -> None:
    world = MetricsWorld()

    assert world.value("mark_ingress_connections_open") == 2
    assert world.value("mark_ingress_connections_cut_total", reason="hostile") == 1
    assert world.value("mark_ingress_connections_cut_total", reason="too_slow") == 4
    assert world.value("mark_ingress_received_bytes_total") == 800
    assert world.value("mark_ingress_calls_passed_on_total") == 5


@pytest.mark.parametrize("info", [*ROUTER_METRICS, *WORKER_METRICS], ids=lambda info: info.name)
def test_names_units_and_words_are_prometheus_s(info: MetricInfo) -> None:
    assert info.name.startswith("mark_")
    assert info.name.endswith("_total") == (info.kind is MetricKind.COUNTER)
    assert not any(part in info.name for part in ("_ms", "_ns", "milli", "percent"))
    assert not info.name.endswith(("_bucket", "_sum", "_count"))
    assert info.meaning[0].isupper() or info.meaning[0].isdigit()
    assert info.meaning.endswith(".")
    assert "le" not in info.labels


def test_a_metric_that_is_in_no_table_cannot_be_exported() -> None:
    families = MetricFamilies(ROUTER_METRICS)

    with pytest.raises(KeyError):
        families.add("mark_made_up_total", 1)
    with pytest.raises(ValueError, match="mark_requests_total has the labels model, outcome, not 1"):
        families.add("mark_requests_total", 1, "m")
    with pytest.raises(ValueError, match="not 0"):
        families.add_distribution("mark_queue_wait_seconds", LatencyHistogram().distribution_s())
