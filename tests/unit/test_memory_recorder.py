"""What is kept of records in memory, and what a stream of them is given."""

from __future__ import annotations

import threading
from dataclasses import replace

from mark.domain.forecast import Forecast
from mark.domain.record import Record, RecordKind, RecordSnapshot
from mark.live.recorder import MemoryRecorder


def record(number: int, model: str = "m", kind: RecordKind = RecordKind.PLAN) -> Record:
    return Record(id=f"{model}-{number}", at_ns=number, unix_s=0.0, model=model, kind=kind, reason="why")


def ids(records: list[Record]) -> list[str]:
    return [each.id for each in records]


def test_the_newest_of_each_model_are_kept_oldest_first() -> None:
    recorder = MemoryRecorder(records_max=2)
    for number in range(4):
        recorder.record(record(number))
    recorder.record(record(0, "other"))

    assert ids(recorder.records("m")) == ["m-2", "m-3"]
    assert ids(recorder.records("other")) == ["other-0"]
    assert recorder.records("unknown") == []


def test_the_last_is_the_newest_of_the_kinds_that_are_asked_for() -> None:
    recorder = MemoryRecorder()
    recorder.record(record(1))
    recorder.record(record(2, kind=RecordKind.SHED))

    assert recorder.last("m") == record(2, kind=RecordKind.SHED)
    assert recorder.last("m", {RecordKind.PLAN}) == record(1)
    assert recorder.last("m", {RecordKind.STOP}) is None
    assert recorder.last("unknown") is None


def test_a_stream_gets_what_is_new_of_all_models_in_order() -> None:
    recorder = MemoryRecorder()
    recorder.record(record(1, "a"))
    recorder.record(record(2, "b"))
    seen, first = recorder.since(0)
    recorder.record(record(3, "b"))
    recorder.record(record(4, "a"))

    assert ids(first) == ["a-1", "b-2"]
    assert (seen, ids(recorder.since(seen)[1])) == (2, ["b-3", "a-4"])
    assert recorder.since(4) == (4, [])


def test_a_stream_that_fell_behind_gets_what_is_still_kept() -> None:
    recorder = MemoryRecorder(records_max=2)
    for number in range(5):
        recorder.record(record(number))

    assert recorder.since(1) == (5, [record(3), record(4)])


def test_records_of_several_threads_all_arrive() -> None:
    recorder = MemoryRecorder(records_max=100_000)

    def many(model: str) -> None:
        for number in range(2_000):
            recorder.record(replace(record(number), model=model))

    threads = [threading.Thread(target=many, args=(f"m{each}",)) for each in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    seen, new = recorder.since(0)
    assert seen == len(new) == 8_000


def test_only_from_the_last_plan_on_the_whole_fan_is_kept() -> None:
    fan = Forecast(60.0, (5.0, 6.0), "lstm", (0.5, 0.9), ((1.0, 2.0), (3.0, 4.0)))
    recorder = MemoryRecorder()
    kinds = [RecordKind.PLAN, RecordKind.SHED, RecordKind.PLAN, RecordKind.LOSS]
    for number, kind in enumerate(kinds):
        recorder.record(replace(record(number, kind=kind), snapshot=RecordSnapshot(forecast=fan)))

    kept = [each.snapshot.forecast for each in recorder.records("m")]
    assert [each.quantiles_per_s for each in kept if each is not None] == [
        ((1.0,), (3.0,)), ((1.0,), (3.0,)), ((1.0, 2.0), (3.0, 4.0)), ((1.0, 2.0), (3.0, 4.0)),
    ]  # fmt: skip
    assert all(each is not None and each.rates_per_s == (5.0, 6.0) for each in kept)


def test_each_record_is_passed_on() -> None:
    other = MemoryRecorder()
    recorder = MemoryRecorder(then=other)
    recorder.record(record(1))

    assert other.records("m") == [record(1)]
