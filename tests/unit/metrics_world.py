"""A router's parts as its metrics see them, with numbers that are known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from prometheus_client.parser import text_string_to_metric_families

from mark._core import (
    BreakerState,
    BurstLedger,
    BurstVerdict,
    Dispatcher,
    DispatcherParams,
    LatencyHistogram,
    LatencyProfile,
    Statistics,
    WorkerSpec,
    request_id,
    with_bursts,
)
from mark.controlplane.error_budget import ErrorBudget
from mark.controlplane.record_counts import RecordCounts
from mark.domain.api_counts import ApiCounts
from mark.domain.bill import Bill, BillLine
from mark.domain.fleet import Instance, InstanceId, InstanceState
from mark.domain.forecast import Forecast
from mark.domain.functions import FunctionUse
from mark.domain.offering import Market, Offering
from mark.domain.plan import Launch
from mark.domain.record import Record, RecordKind, RecordSnapshot
from mark.domain.slo import Slo
from mark.live.metrics import Measured, RouterMetrics
from mark.live.recorder import MemoryRecorder
from mark.live.request_path import attained
from mark.live.server import ServedModel
from mark.ports import Cloud
from mark.testing import ManualClock

__all__ = ["MS", "MetricsWorld", "parsed", "record"]

MS = 1_000_000
SPOT = Offering("spot", Market.SPOT, 0.03, boot_s=10, max_count=9)
STEADY = Offering("steady", Market.ON_DEMAND, 0.1, boot_s=10, max_count=9)
INGRESS = {
    "connections": 3,
    "connections_open": 2,
    "connections_refused": 0,
    "connections_hostile": 1,
    "connections_too_slow": 4,
    "calls": 20,
    "calls_passed_on": 5,
    "calls_cancelled": 6,
    "messages_refused": 7,
    "bytes_read": 800,
    "bytes_written": 900,
}
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parsed(exposition: bytes) -> Samples:
    """The samples of an exposition by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposition.decode())
        for sample in family.samples
    }


def record(kind: RecordKind, *actions: Launch, minute: int = 0, load_per_s: float = 0.0, model: str = "m") -> Record:
    """A record whose forecast is 100 rows per second at the most, and 60 in half of all cases."""
    forecast = Forecast(60.0, (100.0, 120.0), "made", (0.5,), ((60.0,),))
    seen = RecordSnapshot(load_per_s=load_per_s, capacity_per_s=150.0, forecast=forecast)
    at_ns = minute * 60 * 1_000_000_000
    return Record(f"m-{minute}", at_ns, minute * 60.0, model, kind, "because", actions, snapshot=seen)


class FakePath:
    """A request path with one worker that takes 10 ms, in virtual time, and what functions took over from it."""

    def __init__(self) -> None:
        self.dispatcher = Dispatcher(DispatcherParams(100 * MS, priority_levels=2))
        self.dispatcher.worker_up(1, WorkerSpec(LatencyProfile([1], [10 * MS])), 0)
        self.ledger = BurstLedger(0)
        self.now_ns = 0
        self._next = 0

    def answer(self, took_ns: int = 10 * MS) -> None:
        self.dispatcher.submit(request_id(self._next, 1), self.now_ns + 100 * MS, self.now_ns)
        self._next += 1
        (batch,) = self.dispatcher.poll(self.now_ns).dispatches
        self.now_ns += took_ns
        self.dispatcher.complete(batch.batch, self.now_ns)

    def refuse(self) -> None:
        self.dispatcher.submit(request_id(self._next, 1), self.now_ns + MS, self.now_ns)
        self._next += 1

    def statistics(self) -> Statistics:
        return with_bursts(self.dispatcher.statistics(), self.ledger.statistics())

    def attained(self) -> tuple[int, int]:
        return attained(self.statistics())


class FakeCloud:
    def __init__(self) -> None:
        self.leads_now = True

    def offerings(self) -> list[Offering]:
        return [SPOT, STEADY]

    def api_counts(self) -> ApiCounts:
        return ApiCounts({("ec2", "RunInstances"): 3}, {("ec2", "RunInstances", "Throttling"): 1})

    def leads(self) -> bool:
        return self.leads_now

    def check_leads(self) -> None: ...


def instance(number: int, offering: str, state: InstanceState, taken_at_ns: int | None = None) -> Instance:
    return Instance(InstanceId(f"i-{number}"), offering, "m", state, 0, taken_at_ns=taken_at_ns)


class MetricsWorld:
    """One model "m" with a fleet and functions, and a foreign one "f" with neither."""

    def __init__(self) -> None:
        self.path, self.foreign = FakePath(), FakePath()
        self.recorder = MemoryRecorder()
        self.clock = ManualClock()
        self.cloud = FakeCloud()
        self.draining = False
        self.planning = LatencyHistogram()
        self.planning.record(2 * MS)
        slo = Slo(100.0, 0.98)
        models = {
            "m": ServedModel(cast("Any", None), slo, cast("Any", self.path), self._control(), self._bursts()),
            "f": ServedModel(cast("Any", None), slo, cast("Any", self.foreign), None),
        }
        self.budgets = {name: ErrorBudget(slo.sl_min) for name in models}
        self.counts = {name: RecordCounts() for name in models}
        self._seen = 0
        self.bill = Bill.of([BillLine(0, "m", "spot", "spot", 0.5), BillLine(3600, "m", "serverless", "f", 0.25)])
        self.metrics = RouterMetrics(
            Measured(
                models=models,
                cloud=cast("Cloud", self.cloud),
                recorder=self.recorder,
                budgets=self.budgets,
                record_counts=self.counts,
                bill=lambda: self.bill,
                draining=lambda: self.draining,
                ingress_counts=lambda: INGRESS,
                records_lost=lambda: 8,
            )
        )

    def look(self) -> None:
        """What a router does once a second, whether or not anybody scrapes."""
        for name, path in (("m", self.path), ("f", self.foreign)):
            self.budgets[name].observe(self.clock.now_ns(), *path.attained())
        self._seen, records = self.recorder.since(self._seen)
        for each in records:
            self.counts.setdefault(each.model, RecordCounts()).count(each)

    def samples(self) -> Samples:
        return parsed(self.metrics.exposition())

    def value(self, name: str, **labels: str) -> float:
        return self.samples()[name, tuple(sorted(labels.items()))]

    def _control(self) -> Any:
        return SimpleNamespace(
            instances=[
                instance(1, "spot", InstanceState.READY),
                instance(2, "spot", InstanceState.READY, taken_at_ns=5),
                instance(3, "spot", InstanceState.GONE, taken_at_ns=4),
                instance(4, "steady", InstanceState.PENDING),
            ],
            draining=frozenset({InstanceId("i-2")}),
            capacities={"spot": 40.0, "steady": 90.0},
            planning_s=self.planning.distribution_s(),
        )

    def _bursts(self) -> Any:
        self.path.ledger.decided(BurstVerdict.SEND)
        return SimpleNamespace(
            statistics=self.path.ledger.statistics,
            use=lambda: FunctionUse(alive=3, warm=2, cold_starts=4, usd=0.25),
            breaker=BreakerState.HALF_OPEN,
            spent_usd=0.2,
            functions=None,
        )
