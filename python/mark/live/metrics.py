"""The metrics of a router, in Prometheus's text format, read from what its parts count anyway."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from mark import __version__
from mark._core import Outcome
from mark.controlplane.error_budget import ErrorBudget
from mark.controlplane.record_counts import RecordCounts
from mark.domain.api_counts import ApiCounts
from mark.domain.bill import Bill
from mark.domain.cost import usd_per_hour_by_market
from mark.domain.offering import Offering
from mark.domain.record import RecordKind
from mark.errors import CloudError
from mark.live.fleet_metrics import add_fleet_metrics, add_record_metrics, add_slo_metrics
from mark.live.metric_table import ROUTER_METRICS
from mark.live.recorder import MemoryRecorder
from mark.live.request_metrics import HighWaterMarks, add_burst_metrics, add_request_metrics
from mark.live.server import ServedModel
from mark.ports import Cloud, CountsCalls, Led
from mark.protocol.metric_families import MetricFamilies

__all__ = ["Measured", "RouterMetrics"]

_DECISIONS = (RecordKind.PLAN, RecordKind.ADDITION)
# As the ingress counts, and as it is exported; those that are no counters, and those that differ in a label, apart.
_INGRESS = {
    "connections": "mark_ingress_connections_total",
    "calls": "mark_ingress_calls_total",
    "calls_passed_on": "mark_ingress_calls_passed_on_total",
    "calls_cancelled": "mark_ingress_calls_cancelled_total",
    "messages_refused": "mark_ingress_messages_refused_total",
    "bytes_read": "mark_ingress_received_bytes_total",
    "bytes_written": "mark_ingress_sent_bytes_total",
    "connections_open": "mark_ingress_connections_open",
}
_CUT = ("refused", "hostile", "too_slow")


@dataclass(frozen=True, slots=True)
class Measured:
    """What is measured.

    Attributes:
        models: that are served.
        cloud: that they run on.
        recorder: has their decisions.
        budgets: what is left of each model's error budget.
        record_counts: what the records of each model add up to.
        bill: says what was spent.
        draining: says whether the router stops.
        ingress_counts: says what the ingress counted; nothing where it counts nothing.
        records_lost: says how many records the decision log could not write.
    """

    models: Mapping[str, ServedModel]
    cloud: Cloud
    recorder: MemoryRecorder
    budgets: Mapping[str, ErrorBudget]
    record_counts: Mapping[str, RecordCounts]
    bill: Callable[[], Bill]
    draining: Callable[[], bool]
    ingress_counts: Callable[[], Mapping[str, int]] = dict
    records_lost: Callable[[], int] = int


class RouterMetrics(Collector):
    """Everything of `ROUTER_METRICS` that there is, and what every process says of itself.

    Thread safety: belongs to the router's event loop.
    """

    def __init__(self, measured: Measured) -> None:
        """Measure nothing yet."""
        self._measured = measured
        self._marks = HighWaterMarks()
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._registry.register(self)

    def exposition(self) -> bytes:
        """All metrics as they are now, in Prometheus's text format 0.0.4."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are the table's, and a scrape at construction would find half a router."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The metrics of now."""
        families, measured = MetricFamilies(ROUTER_METRICS), self._measured
        offerings = {offering.name: offering for offering in measured.cloud.offerings()}
        for name, model in measured.models.items():
            self._add_model(families, name, model)
            _add_rates(families, name, model, offerings)
        for name, counts in measured.record_counts.items():
            add_record_metrics(families, name, counts, measured.recorder.last(name, _DECISIONS))
        self._add_bill(families, measured.bill())
        for offering in offerings.values():
            families.add(
                "mark_offering_price_usd_per_hour", offering.price_usd_per_hour, offering.name, offering.market.value
            )
        self._add_router(families)
        self._add_ingress(families)
        return iter(families)

    def _add_model(self, families: MetricFamilies, name: str, model: ServedModel) -> None:
        add_request_metrics(families, name, model.dispatch.statistics(), self._marks)
        add_slo_metrics(families, name, model.slo, self._measured.budgets[name])
        if model.bursts is not None:
            add_burst_metrics(families, name, model.bursts)

    def _add_bill(self, families: MetricFamilies, bill: Bill) -> None:
        for (name, market), usd in bill.by("model", "market").items():
            families.add("mark_cost_usd", usd, str(name), str(market))
        for model, usd in bill.by_model().items():
            served = self._measured.models.get(model)
            answered = 0 if served is None else served.dispatch.statistics().ended(Outcome.ANSWERED)
            if answered:
                families.add("mark_cost_usd_per_thousand_requests", 1000 * usd / answered, model)

    def _add_router(self, families: MetricFamilies) -> None:
        families.add("mark_build_info", 1, __version__)
        families.add("mark_router_leads", float(_leads(self._measured.cloud)))
        families.add("mark_router_draining", float(self._measured.draining()))
        families.add("mark_records_lost_total", self._measured.records_lost())
        counts = self._api_counts()
        for (service, operation), count in counts.calls.items():
            families.add("mark_cloud_api_calls_total", count, service, operation)
        for (service, operation, code), count in counts.faults.items():
            families.add("mark_cloud_api_faults_total", count, service, operation, code)

    def _add_ingress(self, families: MetricFamilies) -> None:
        counts = self._measured.ingress_counts()
        for counted, name in _INGRESS.items():
            if counted in counts:
                families.add(name, counts[counted])
        for reason in _CUT:
            if f"connections_{reason}" in counts:
                families.add("mark_ingress_connections_cut_total", counts[f"connections_{reason}"], reason)

    def _api_counts(self) -> ApiCounts:
        bursts = (model.bursts for model in self._measured.models.values())
        callers = [self._measured.cloud, *(each.functions for each in bursts if each is not None)]
        return reduce(add, (each.api_counts() for each in callers if isinstance(each, CountsCalls)), ApiCounts())


def _add_rates(families: MetricFamilies, name: str, model: ServedModel, offerings: Mapping[str, Offering]) -> None:
    if model.control is not None:
        add_fleet_metrics(families, name, model.control, offerings)
        for market, usd_per_hour in usd_per_hour_by_market(model.control.instances, offerings).items():
            families.add("mark_cost_usd_per_hour", usd_per_hour, name, market)
    if model.bursts is not None:
        families.add("mark_cost_usd_per_hour", model.bursts.spent_usd, name, "serverless")


def _leads(cloud: Cloud) -> bool:
    try:
        return not isinstance(cloud, Led) or cloud.leads()
    except CloudError:  # it has lost the lead: the control loops end the router, and say why
        return False
