"""One look at a model: what is counted, what is planned, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from mark._core import Outcome, latency_bucket_edges_ns
from mark.domain.fleet import Instance, InstanceId, InstanceState
from mark.domain.forecast import Forecast
from mark.domain.offering import Market, Offering
from mark.domain.record import Record, RecordKind, RecordSnapshot
from mark.domain.sample import ModelSample
from mark.domain.signature import ModelSignature, TensorSpec
from mark.domain.slo import Slo
from mark.live.peak_so_far import PeakSoFar
from mark.live.recent_latency import RecentLatency
from mark.live.recorder import MemoryRecorder
from mark.live.sampler import Moment, Sampler
from mark.live.server import ServedModel
from mark.policies.peak_sized import on_demand_for_peak

S = 1_000_000_000
SMALL = Offering("small", Market.ON_DEMAND, price_usd_per_hour=0.1, boot_s=1.0, max_count=4)
SPOT = Offering("spot", Market.SPOT, price_usd_per_hour=0.03, boot_s=1.0, max_count=4)
OFFERINGS = (SMALL, SPOT)
CAPACITIES = {"small": 50.0, "spot": 50.0}
SIGNATURE = ModelSignature("m", "1", (TensorSpec("x", "FP32", (-1,)),), (TensorSpec("y", "FP32", (-1,)),), 8)


class Counts:
    """As much of the core's statistics as a look reads; the test counts."""

    def __init__(self) -> None:
        self.submitted_rows = 0
        self.queued_requests = 0
        self.in_flight_requests = 0
        self.by_outcome = dict.fromkeys(Outcome, 0)
        self.buckets = np.zeros(len(latency_bucket_edges_ns()), dtype=np.uint64)

    def ended(self, outcome: Outcome) -> int:
        return self.by_outcome[outcome]

    def latency_buckets(self) -> Any:
        return self.buckets.copy()

    def answer(self, count: int, latency_ms: float, outcome: Outcome = Outcome.ANSWERED) -> None:
        self.submitted_rows += count
        self.by_outcome[outcome] += count
        self.buckets[np.searchsorted(latency_bucket_edges_ns(), latency_ms * 1e6)] += np.uint64(count)


class World:
    """A model whose counts, instances and plans the test sets; time passes by hand."""

    def __init__(self, bursts: Any = None, *, controlled: bool = True) -> None:
        self.counts = Counts()
        self.instances: list[Instance] = []
        self.draining: frozenset[InstanceId] = frozenset()
        self.recorder = MemoryRecorder()
        self.now_s = 1000.0
        dispatch = SimpleNamespace(statistics=lambda: self.counts)
        model = ServedModel(
            SIGNATURE, Slo(300.0, 0.98), cast(Any, dispatch), cast(Any, self) if controlled else None, bursts
        )
        peak = PeakSoFar(CAPACITIES, window_s=1.0, headroom=1.5) if controlled else None
        self.sampler = Sampler(model, self.recorder, peak)

    @property
    def capacities(self) -> Mapping[str, float]:
        return CAPACITIES

    def look(self, after_s: float = 1.0, offerings: Sequence[Offering] = OFFERINGS) -> ModelSample:
        self.now_s += after_s
        return self.sampler.sample(Moment(round(self.now_s * S), 1e9 + self.now_s, offerings, {"m": 0.25}))

    def plan(self, *rates_per_s: float, kind: RecordKind = RecordKind.PLAN, capacity_per_s: float = 0.0) -> None:
        forecast = Forecast(10.0, rates_per_s, "linear", (0.5, 0.9), (rates_per_s, tuple(2 * r for r in rates_per_s)))
        snapshot = RecordSnapshot(capacity_per_s=capacity_per_s, forecast=forecast)
        self.recorder.record(Record("id", 0, 1e9 + self.now_s, "m", kind, "because", snapshot=snapshot))

    def rent(self, name: str, offering: str, state: InstanceState = InstanceState.READY, **about: Any) -> None:
        self.instances.append(Instance(InstanceId(name), offering, "m", state, 0, **about))


class TestLoad:
    def test_rates_are_those_since_the_last_look(self) -> None:
        world = World()
        world.counts.answer(100, 10.0)
        world.look()
        world.counts.answer(60, 10.0)
        world.counts.answer(20, 10.0, Outcome.LATE)

        sample = world.look(2.0)

        assert sample.load_per_s == 40
        assert sample.requests_per_s == {"answered": 30, "late": 10}

    def test_the_first_look_knows_no_rate(self) -> None:
        world = World()
        world.counts.answer(100, 10.0)

        sample = world.look()

        assert (sample.load_per_s, sample.requests_per_s) == (0, {"answered": 0})

    def test_a_request_that_a_function_takes_back_is_no_negative_rate(self) -> None:
        world = World()
        world.counts.by_outcome[Outcome.PREDICTED_MISS] = 5
        world.look()
        world.counts.by_outcome[Outcome.PREDICTED_MISS] = 4

        assert world.look().requests_per_s["predicted_miss"] == 0


class TestForecast:
    def test_it_is_that_of_the_last_plan(self) -> None:
        world = World()
        assert world.look().forecast is None

        world.plan(10.0, 20.0, capacity_per_s=50.0)
        sample = world.look()

        assert sample.forecast is not None
        assert sample.forecast.rates_per_s == (10.0, 20.0)
        assert sample.forecast_unix_s == 1e9 + 1001
        assert sample.capacity_planned_per_s == 50.0

    def test_what_was_foreseen_is_from_the_plan_before(self) -> None:
        world = World()
        world.plan(10.0, 20.0, 30.0)
        assert world.look().foreseen_per_s == {}
        world.look(8.0)
        world.now_s += 1.0
        world.plan(90.0, 91.0)

        assert world.look().foreseen_per_s == {"bound": 20.0, "0.5": 20.0, "0.9": 40.0}
        assert world.look(10.0).foreseen_per_s == {"bound": 30.0, "0.5": 30.0, "0.9": 60.0}
        assert world.look(10.0).foreseen_per_s == {}

    def test_capacity_is_planned_by_what_is_added_between_plans_too(self) -> None:
        world = World()
        world.plan(10.0, capacity_per_s=50.0)
        world.plan(10.0, kind=RecordKind.ADDITION, capacity_per_s=150.0)
        world.plan(10.0, kind=RecordKind.INTERRUPTION, capacity_per_s=7.0)

        assert world.look().capacity_planned_per_s == 150.0


class TestFleet:
    def test_it_is_counted_by_market_and_state(self) -> None:
        world = World()
        world.rent("a", "small")
        world.rent("b", "spot")
        world.rent("c", "spot")
        world.rent("d", "spot", InstanceState.PENDING)
        world.rent("e", "small", InstanceState.GONE, ended_at_ns=1)
        world.draining = frozenset({InstanceId("c")})

        sample = world.look()

        assert sample.instances == {
            "on_demand": {"ready": 1},
            "spot": {"ready": 1, "draining": 1, "pending": 1},
        }
        assert sample.capacity_ready_per_s == 100
        assert sample.usd_per_hour == pytest.approx({"on_demand": 0.1, "spot": 0.09})

    def test_functions_are_a_market(self) -> None:
        use = SimpleNamespace(alive=3, warm=2)
        sample = World(SimpleNamespace(use=lambda: use, spent_usd=0.004)).look()

        assert sample.instances == {"serverless": {"ready": 2, "pending": 1}}
        assert sample.usd_per_hour == {"serverless": 0.004}

    def test_a_model_of_foreign_workers_has_none(self) -> None:
        sample = World(controlled=False).look()

        assert (sample.instances, sample.usd_per_hour, sample.usd_peak_sized) == ({}, {}, None)


class TestPromise:
    def test_it_is_told_in_every_window(self) -> None:
        world = World()
        world.look()
        world.counts.answer(99, 10.0)
        world.counts.answer(1, 400.0, Outcome.LATE)

        sample = world.look()

        assert sample.attainment == pytest.approx(dict.fromkeys((60, 300, 1800, 3600, 21600), 0.99))
        assert sample.burn_rate[60] == pytest.approx(0.5)
        assert sample.error_budget_left == pytest.approx(0.5)

    def test_a_request_that_a_function_takes_over_breaks_nothing(self) -> None:
        world = World()
        world.look()
        world.counts.by_outcome |= {Outcome.ANSWERED: 9, Outcome.PREDICTED_MISS: 1}  # refused ...
        assert world.look().attainment[60] == 0.9
        world.counts.by_outcome[Outcome.PREDICTED_MISS] = 0  # ... with a function now ...
        assert world.look().attainment[60] == 1.0
        world.counts.by_outcome[Outcome.ANSWERED] = 10  # ... and answered

        assert world.look().attainment[60] == 1.0

    def test_what_the_budget_does_not_pay_for_breaks_it_what_its_caller_gave_up_does_not(self) -> None:
        world = World()
        world.look()
        world.counts.by_outcome |= {Outcome.ANSWERED: 8, Outcome.SHED: 2, Outcome.CANCELLED: 30}

        assert world.look().attainment[60] == 0.8


class TestLatency:
    def test_it_is_of_the_last_seconds(self) -> None:
        world = World()
        world.look()
        world.counts.answer(100, 200.0)
        assert world.look().latency_ms["p50"] == pytest.approx(200, rel=0.04)
        world.counts.answer(100, 10.0)
        world.look()
        for _ in range(5):
            sample = world.look()

        assert sample.latency_ms == {}

    def test_quantiles_are_those_that_the_core_reads(self) -> None:
        counts, recent = Counts(), RecentLatency()
        recent.look(0, counts.latency_buckets())
        for latency_ms in range(1, 101):
            counts.answer(1, float(latency_ms))

        latency_ms_by_name = recent.look(S, counts.latency_buckets())

        assert latency_ms_by_name == pytest.approx({"p50": 50, "p98": 98, "p99": 99}, rel=0.033)
        assert all(latency_ms_by_name[name] >= wanted for name, wanted in {"p50": 50, "p98": 98, "p99": 99}.items())


class TestDollars:
    def test_the_total_is_that_of_the_bill(self) -> None:
        assert World().look().usd_total == 0.25

    def test_a_fleet_for_the_peak_is_paid_from_the_first_look_on(self) -> None:
        world = World()
        world.look()
        world.counts.answer(60, 10.0)  # with head-room 90 rows/s: two small ones
        world.look()
        world.counts.answer(10, 10.0)

        assert world.look(3599.0).usd_peak_sized == pytest.approx(0.2)

    def test_it_follows_the_price(self) -> None:
        world = World()
        world.look()
        world.counts.answer(60, 10.0)
        world.look()

        dearer = (replace(SMALL, price_usd_per_hour=1.0), SPOT)

        assert world.look(3599.0, dearer).usd_peak_sized == pytest.approx(2.0)

    def test_there_is_none_where_no_fleet_carries_it(self) -> None:
        world = World()
        world.look()
        world.counts.answer(1000, 10.0)

        assert world.look().usd_peak_sized is None


def test_what_is_sized_for_the_peak_is_on_demand() -> None:
    fleet = on_demand_for_peak(OFFERINGS, CAPACITIES, 120.0)

    assert fleet is not None
    assert fleet.counts == {"small": 3}
    assert fleet.usd(1800.0) == pytest.approx(0.15)
    assert on_demand_for_peak([SPOT], CAPACITIES, 1.0) is None
