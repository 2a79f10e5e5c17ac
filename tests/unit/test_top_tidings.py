"""What a router tells, read into a view."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from unit.top_story import BEGAN_UNIX_S, sample_at, told_records

from mark.cli.top.tidings import points_of, take
from mark.cli.top.view import View
from mark.domain.sample import ModelSample
from mark.errors import ModelNotFound, RequestError
from mark.live.history import History

HELLO = {"version": "1", "models": [{"name": "digits"}, {"name": "bert"}]}


def tell(view: View, kind: str, data: Any) -> None:
    take(view, kind, json.dumps(data, allow_nan=False))


def past_of(samples: list[ModelSample]) -> list[ModelSample]:
    """What comes of samples that a router kept and told."""
    history = History()
    for sample in samples:
        history.add(sample)
    columns = json.loads(json.dumps(history.past().columns(0, len(samples))))
    return list(points_of("digits", columns))


def test_the_past_a_sample_and_records_are_taken() -> None:
    view = View()
    history = History()
    for second in range(5):
        history.add(sample_at(second))

    tell(view, "hello", HELLO)
    tell(view, "history", {"model": "digits", "columns": history.past().columns(0, 5)})
    tell(view, "records", {"records": [record.as_dict() for record in told_records()[:3]]})
    tell(view, "now", {})
    now_of_the_past = view.seen.now
    tell(view, "sample", sample_at(5).as_dict())
    tell(view, "record", told_records()[3].as_dict())

    assert now_of_the_past is None
    assert (view.shown, view.served) == ("digits", ["digits"])
    assert [sample.unix_s - BEGAN_UNIX_S for sample in view.seen.samples] == [0, 1, 2, 3, 4, 5]
    assert view.seen.now == sample_at(5)
    assert list(view.seen.records.values()) == told_records()[:4]


def test_a_point_of_the_past_has_the_numbers_of_its_sample() -> None:
    sample = sample_at(430)

    (point,) = past_of([sample])

    assert point.forecast is None
    for name in ("unix_s", "queued", "in_flight", "capacity_ready_per_s", "usd_total"):
        assert getattr(point, name) == getattr(sample, name)
    assert point.load_per_s == pytest.approx(sample.load_per_s, rel=1e-5)
    assert point.latency_ms == pytest.approx(sample.latency_ms)
    assert point.foreseen_per_s == pytest.approx(sample.foreseen_per_s, rel=1e-5)  # "0.5" has a dot of its own
    assert point.attainment == pytest.approx(sample.attainment)
    assert {market: sum(states.values()) for market, states in point.instances.items()} == {
        "on_demand": 3,
        "spot": 10,
        "burstable": 1,
    }


def test_what_was_nothing_is_nothing() -> None:
    nothing = replace(sample_at(0), instances={}, latency_ms={}, requests_per_s={}, usd_peak_sized=None)

    first, second = past_of([nothing, replace(sample_at(1), usd_total=0.0)])

    assert (first.instances, first.latency_ms, first.usd_peak_sized) == ({}, {}, None)
    assert second.instances["spot"] == {"ready": 6}


def test_kinds_of_a_later_version_are_passed_over() -> None:
    view = View()
    tell(view, "weather", {"rain": True})
    assert view.models == {}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("sample", "{"),
        ("sample", "{}"),
        ("sample", "[]"),
        ("record", '{"id": "x"}'),
        ("records", "{}"),
        ("hello", '{"models": [1]}'),
        ("history", '{"model": "m", "columns": {"unix_s": [1, 2], "load_per_s": [1]}}'),
        ("history", '{"model": "m", "columns": {"no.such": [1]}}'),
    ],
)
def test_what_is_not_understood_is_named(kind: str, text: str) -> None:
    with pytest.raises(RequestError, match=f"does not understand; are their versions the same\\? {kind}: "):
        take(View(), kind, text)


def test_a_model_that_was_asked_for_and_is_not_served_is_no_question_of_versions() -> None:
    with pytest.raises(ModelNotFound, match="unknown model 'gpt'"):
        tell(View("gpt"), "hello", HELLO)
