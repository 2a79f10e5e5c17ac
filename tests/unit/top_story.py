"""A made-up day of a model, as a router would tell it: for tests of what `mark top` and `mark status` draw."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from mark.cli.top.view import View
from mark.domain.fleet import InstanceId
from mark.domain.forecast import Forecast
from mark.domain.plan import Alternative, Launch, Retire
from mark.domain.record import Record, RecordedInstance, RecordKind, RecordSnapshot
from mark.domain.sample import ModelSample

__all__ = ["BEGAN_UNIX_S", "sample_at", "story", "told_records", "viewed"]

BEGAN_UNIX_S = 1_790_000_000.0
SHED_S = (400, 460)  # when the load is beyond the capacity


def sample_at(second: int, model: str = "digits") -> ModelSample:
    """One second of the day: the load swings between 20 and 100 rows a second, and jumps once."""
    load = 60 + 40 * math.sin(second / 60)
    sheds = SHED_S[0] <= second < SHED_S[1]
    load += 80 if sheds else 0
    ready = 80.0 if second < 300 else 120.0 if second < SHED_S[1] else 200.0
    step = 60
    rates = tuple(round(70 + 45 * math.sin((second + 60 * number) / 60), 1) for number in range(6))
    return ModelSample(
        unix_s=BEGAN_UNIX_S + second,
        model=model,
        load_per_s=load,
        requests_per_s={"answered": min(load, ready), "late": 3.0 if sheds else 0.0, "queue_full": 20.0 * sheds},
        forecast=Forecast(
            step_s=step,
            rates_per_s=rates,
            forecaster="lstm",
            levels=(0.5, 0.9),
            quantiles_per_s=(tuple(0.6 * each for each in rates), tuple(0.8 * each for each in rates)),
        ),
        forecast_unix_s=BEGAN_UNIX_S + second // step * step,
        foreseen_per_s={"bound": 70 + 45 * math.sin(second / 60), "0.5": 42.0},
        capacity_planned_per_s=ready + 20,
        capacity_ready_per_s=ready,
        instances={
            "on_demand": {"ready": 2, "pending": 1},
            "spot": {"ready": 6, "draining": 4 if sheds else 0},
            "burstable": {"ready": 1 if sheds else 0},
        },
        latency_ms={"p50": 12.34, "p98": 310.0 if sheds else 88.0 + load / 3, "p99": 350.0 if sheds else 140.5},
        rt_max_ms=300.0,
        sl_min=0.98,
        attainment={60: 0.9995, 300: 0.992, 1800: 0.971, 3600: 0.985, 21600: 0.991},
        burn_rate={60: 0.03, 300: 0.4, 1800: 1.45, 3600: 0.75, 21600: 0.45},
        error_budget_left=0.55,
        queued=3,
        in_flight=17,
        usd_per_hour={"on_demand": 0.3, "spot": 0.1234, "burstable": 0.0, "serverless": 0.0021},
        usd_total=0.004321 * second / 10,
        usd_peak_sized=0.006789 * second / 10,
    )


def _record(number: int, second: int, kind: RecordKind, reason: str, **others: object) -> Record:
    record = Record(
        id=f"digits/7f3a/{number}",
        at_ns=second * 1_000_000_000,
        unix_s=BEGAN_UNIX_S + second,
        model="digits",
        kind=kind,
        reason=reason,
        usd_per_hour=0.4234,
        snapshot=_SNAPSHOT,
    )
    return replace(record, **others)  # type: ignore[arg-type]


_SPOT = RecordedInstance(InstanceId("i-1"), "small-spot", "spot", "ready", 290.0, 0.0206)
_SNAPSHOT = RecordSnapshot(
    load_per_s=88.2,
    capacity_per_s=200.0,
    forecast=sample_at(400).forecast,
    instances=(_SPOT, replace(_SPOT, id=InstanceId("i-2")), replace(_SPOT, offering="large", market="on_demand")),
    draining=(replace(_SPOT, id=InstanceId("i-3"), state="draining", taken_in_s=14.0),),
    unavailable_s={"small-spot": 42.5},
    prices_usd_per_hour={"small-spot": 0.0206, "large": 0.15},
    capacities_per_s={"small-spot": 20.0, "large": 60.0},
)


def told_records() -> list[Record]:
    """What was decided in ten minutes."""
    launch = Launch("large", "token-1", "the cheapest for 120 rows/s from step 2 on")
    return [
        _record(1, 0, RecordKind.START, "digits version 1 is served"),
        _record(2, 60, RecordKind.PLAN, "8 instances carry what is expected"),
        _record(3, 120, RecordKind.PLAN, "load rises to 115 rows/s", actions=(launch, replace(launch, token="other"))),
        _record(4, 300, RecordKind.PLAN, "less is expected", actions=(Retire(InstanceId("i-9"), "not planned with"),)),
        _record(
            5, 400, RecordKind.INTERRUPTION, "the cloud takes 4 of 10 spot instances away in 15 s",
            details={"instances": ["i-3", "i-4", "i-5", "i-6"], "notice_s": 15.0, "offerings": {"small-spot": 4}},
        ),
        _record(
            6, 401, RecordKind.BRIDGE, "1 standby takes over what small-spot carried, until a large one has booted",
            actions=(Launch("standby", "token-3", "boots in 2 s"), Launch("large", "token-4", "replaces 4 small-spot")),
            alternatives=(
                Alternative("4 small-spot again", -0.0123, "sold out for 42 s"),
                Alternative("3 medium", 0.0311, "costs more for the same load"),
                Alternative("2 huge", None, "not to be had: quota"),
            ),
        ),
        _record(7, 402, RecordKind.SHED, "1,380 requests were refused in 60 s: the queue was full",
                details={"refused": 1380, "by_reason": {"queue_full": 1380}, "lasted_s": 60.0}),
        _record(8, 480, RecordKind.FALLBACK, "the moving maximum forecasts: the LSTM has seen too little"),
    ]  # fmt: skip


def story(seconds: int = 600, model: str = "digits") -> Iterator[ModelSample | Record]:
    """Samples and records in the order of time."""
    records = told_records() if model == "digits" else []
    for second in range(seconds):
        yield sample_at(second, model)
        yield from (record for record in records if record.unix_s == BEGAN_UNIX_S + second)


def viewed(seconds: int = 600, *models: str) -> View:
    """The view of who watched all of it."""
    view = View()
    for model in models or ("digits",):
        for each in story(seconds, model):
            if isinstance(each, Record):
                view.take_record(each)
            else:
                view.take_sample(each)
    return view
