"""One line of the decision log: written and read again, and what is refused as no record."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from mark.domain.fleet import InstanceId
from mark.domain.forecast import Forecast
from mark.domain.plan import Launch, Retire
from mark.domain.record import Alternative, Record, RecordedInstance, RecordKind, RecordSnapshot

INSTANCE = RecordedInstance(InstanceId("spot-1"), "spot", "spot", "ready", age_s=12.5, usd_per_hour=0.03)
RECORD = Record(
    id="digits-3f2a-7",
    at_ns=5_000_000_000,
    unix_s=1_700_000_000.25,
    model="digits",
    kind=RecordKind.PLAN,
    reason="load 80, forecast 96 rows/s",
    actions=(Launch("small", "c/digits/1/0", "needed"), Retire(InstanceId("spot-1"), "not needed for 300 s")),
    alternatives=(Alternative("2 new large", 0.25, "dearer"), Alternative("1 new spot", None, "sold out")),
    usd_per_hour=0.3,
    snapshot=RecordSnapshot(
        load_per_s=80.0,
        capacity_per_s=200.0,
        forecast=Forecast(
            60.0, (96.0, 97.0), "moving maximum", (0.5, 0.9), ((80.0, 81.0), (90.0, 91.0)), "lstm failed"
        ),
        instances=(INSTANCE,),
        draining=(replace(INSTANCE, id=InstanceId("spot-2"), state="draining", taken_in_s=110.0),),
        unavailable_s={"spot": 25.0},
        prices_usd_per_hour={"small": 0.1},
        capacities_per_s={"small": 100.0},
    ),
    details={"windows": [1.0, 2.0], "why": {"x": None}},
)


def _line() -> Any:
    return json.loads(json.dumps(RECORD.as_dict(), allow_nan=False))


def test_a_record_is_read_as_it_was_written() -> None:
    assert Record.from_dict(_line()) == RECORD


@pytest.mark.parametrize("kind", list(RecordKind))
def test_every_kind_is_written_by_its_value(kind: RecordKind) -> None:
    line = replace(RECORD, kind=kind, snapshot=RecordSnapshot()).as_dict()

    assert line["kind"] == kind.value
    assert Record.from_dict(line).kind is kind


def test_what_a_later_version_added_is_passed_over() -> None:
    line = _line()
    line["new"] = 1
    line["snapshot"]["new"] = line["actions"][0]["new"] = 2

    assert Record.from_dict(line) == RECORD


def test_a_line_has_the_names_that_the_docs_promise() -> None:
    line = _line()

    assert list(line) == [
        "id", "at_ns", "unix_s", "model", "kind", "reason", "actions", "alternatives", "usd_per_hour", "snapshot",
        "details",
    ]  # fmt: skip
    assert line["actions"][0] == {
        "action": "launch", "offering": "small", "token": "c/digits/1/0", "reason": "needed",
    }  # fmt: skip
    assert line["alternatives"][1] == {"what": "1 new spot", "extra_usd": None, "reason": "sold out"}


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (["kind"], "nap", "kind must be one of start, plan"),
        (["kind"], 3, "kind must be a string, not 3"),
        (["at_ns"], True, "at_ns must be a whole number, not True"),
        (["unix_s"], "now", "unix_s must be a number, not 'now'"),
        (["actions", 0, "action"], "paint", r"actions\[0\].action must be launch or retire"),
        (["actions", 1, "instance"], None, r"actions\[1\].instance must be a string"),
        (["snapshot", "instances", 0, "age_s"], None, r"snapshot.instances\[0\].age_s must be a number"),
        (["snapshot", "forecast", "rates_per_s"], [1, "x"], "snapshot.forecast.rates_per_s must be a number"),
        (["snapshot", "prices_usd_per_hour", "small"], [], "snapshot.prices_usd_per_hour.small must be a number"),
        (["snapshot"], [], "snapshot must be an object"),
        (["alternatives"], [1], r"alternatives\[0\] must be an object, not 1"),
    ],
)
def test_what_is_wrong_is_named(path: list[str | int], value: Any, words: str) -> None:
    line = _line()
    place: Any = line
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value

    with pytest.raises(ValueError, match=words):
        Record.from_dict(line)


@pytest.mark.parametrize("name", list(RECORD.as_dict()))
def test_what_is_missing_is_named(name: str) -> None:
    line = _line()
    del line[name]

    with pytest.raises(ValueError, match=f"^{name} is missing"):
        Record.from_dict(line)


def test_what_is_no_object_is_no_record() -> None:
    with pytest.raises(ValueError, match="a record must be an object, not 3"):
        Record.from_dict(3)  # type: ignore[arg-type]
