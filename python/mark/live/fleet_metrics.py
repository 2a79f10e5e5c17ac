"""What is promised, expected, rented and paid for one model, as metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from mark.controlplane.coverage import BOUND
from mark.controlplane.error_budget import WINDOWS_S, ErrorBudget
from mark.controlplane.record_counts import RecordCounts
from mark.domain.fleet import Instance, InstanceState, capacity_ready_per_s
from mark.domain.offering import Offering
from mark.domain.record import Record, RecordKind
from mark.domain.slo import Slo
from mark.live.control_loop import ControlLoop
from mark.protocol.metric_families import MetricFamilies

__all__ = ["add_fleet_metrics", "add_record_metrics", "add_slo_metrics", "level_label", "window_label"]

_STATES = ("pending", "ready", "draining")


def add_slo_metrics(to: MetricFamilies, model: str, slo: Slo, budget: ErrorBudget) -> None:
    """The promise, and how it is kept."""
    to.add("mark_slo_latency_max_seconds", slo.rt_max_ms / 1e3, model)
    to.add("mark_slo_target_ratio", slo.sl_min, model)
    for window_s in WINDOWS_S:
        to.add("mark_slo_attainment_ratio", budget.attainment(window_s), model, window_label(window_s))
        to.add("mark_slo_burn_rate_ratio", budget.burn_rate(window_s), model, window_label(window_s))
    to.add("mark_slo_error_budget_left_ratio", budget.left(), model)


def add_record_metrics(to: MetricFamilies, model: str, counts: RecordCounts, decision: Record | None) -> None:
    """What was decided, what it was decided for, and how often such a forecast held.

    Args:
        to: where they go.
        model: the model's name.
        counts: of its records.
        decision: the last of its decisions; None before the first.
    """
    for kind in RecordKind:
        to.add("mark_records_total", counts.kinds[kind], model, kind.value)
    for (action, kind), count in sorted(counts.actions.items(), key=lambda item: (item[0][0], item[0][1].value)):
        to.add("mark_actions_total", count, model, action, kind.value)
    for level in counts.coverage.levels():
        to.add("mark_forecast_coverage_ratio", counts.coverage.share(level), model, level_label(level))
    if decision is None:
        return
    seen = decision.snapshot
    to.add("mark_load_rows_per_second", seen.load_per_s, model)
    to.add("mark_capacity_planned_rows_per_second", seen.capacity_per_s, model)
    if seen.forecast is not None and seen.forecast.rates_per_s:
        to.add("mark_forecast_rows_per_second", seen.forecast.rates_per_s[0], model, level_label(BOUND))
        for level, rates in zip(seen.forecast.levels, seen.forecast.quantiles_per_s, strict=True):
            if rates:
                to.add("mark_forecast_rows_per_second", rates[0], model, level_label(level))


def add_fleet_metrics(to: MetricFamilies, model: str, control: ControlLoop, offerings: Mapping[str, Offering]) -> None:
    """What is rented, what it serves, and what came and went."""
    instances, draining, capacities = control.instances, control.draining, control.capacities
    alive = [each for each in instances if each.state is not InstanceState.GONE]
    to.add("mark_capacity_ready_rows_per_second", capacity_ready_per_s(alive, draining, capacities), model)
    for offering, rate_per_s in capacities.items():
        to.add("mark_capacity_rows_per_second", rate_per_s, model, offering)
    states = Counter((each.offering, "draining" if each.id in draining else each.state.value) for each in alive)
    launched = _by_offering(instances)
    noticed = _by_offering(each for each in instances if each.taken_at_ns is not None)
    for name, count in launched.items():
        market = offerings[name].market.value
        for state in _STATES:
            to.add("mark_instances", states[name, state], model, name, market, state)
        to.add("mark_instances_launched_total", count, model, name, market)
        to.add("mark_interruptions_total", noticed[name], model, name, market)
    to.add_distribution("mark_planner_duration_seconds", control.planning_s, model)


def window_label(window_s: int) -> str:
    """A window as Prometheus writes durations: "5m", "1h"."""
    return f"{window_s // 3600}h" if window_s % 3600 == 0 else f"{window_s // 60}m"


def level_label(level: float) -> str:
    """A level as a label."""
    return "bound" if level == BOUND else f"{level:g}"


def _by_offering(instances: Iterable[Instance]) -> Counter[str]:
    return Counter(each.offering for each in instances)
