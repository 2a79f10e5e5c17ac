"""What records add up to."""

from __future__ import annotations

from mark.controlplane.coverage import BOUND
from mark.controlplane.record_counts import RecordCounts
from mark.domain.fleet import InstanceId
from mark.domain.forecast import Forecast
from mark.domain.plan import Launch, Retire
from mark.domain.record import Record, RecordKind, RecordSnapshot

MINUTE_NS = 60 * 1_000_000_000
LAUNCH = Launch("small", "t", "cheapest")
RETIRE = Retire(InstanceId("small-1"), "not needed")


def record(kind: RecordKind, *actions: Launch | Retire, minute: int = 0, load_per_s: float = 0.0) -> Record:
    forecast = Forecast(60.0, (100.0,), "moving maximum")
    return Record(
        id=f"m-run-{minute}",
        at_ns=minute * MINUTE_NS,
        unix_s=minute * 60.0,
        model="m",
        kind=kind,
        reason="because",
        actions=actions,
        snapshot=RecordSnapshot(load_per_s=load_per_s, forecast=forecast),
    )


def test_records_are_counted_by_kind_and_actions_by_the_kind_that_they_are_of() -> None:
    counts = RecordCounts()

    counts.count(record(RecordKind.PLAN, LAUNCH, LAUNCH, RETIRE))
    counts.count(record(RecordKind.PLAN))
    counts.count(record(RecordKind.BRIDGE, LAUNCH))
    counts.count(record(RecordKind.INTERRUPTION))

    assert counts.kinds == {RecordKind.PLAN: 2, RecordKind.BRIDGE: 1, RecordKind.INTERRUPTION: 1}
    assert counts.actions == {
        ("launch", RecordKind.PLAN): 2,
        ("retire", RecordKind.PLAN): 1,
        ("launch", RecordKind.BRIDGE): 1,
    }


def test_only_plans_are_held_against_the_load_of_their_step() -> None:
    counts = RecordCounts()
    counts.count(record(RecordKind.PLAN, minute=0))
    counts.count(record(RecordKind.ADDITION, minute=0, load_per_s=500.0))
    counts.count(record(RecordKind.PLAN, minute=1, load_per_s=90.0))
    counts.count(record(RecordKind.PLAN, minute=2, load_per_s=120.0))

    assert counts.coverage.steps(BOUND) == 2
    assert counts.coverage.share(BOUND) == 0.5
