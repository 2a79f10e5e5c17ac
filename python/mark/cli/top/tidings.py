"""What a router tells, read into a view."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mark.cli.top.view import View
from mark.domain.record import Record
from mark.domain.sample import ModelSample
from mark.errors import RequestError

__all__ = ["points_of", "take"]

# A point of the past has the numbers of a sample; what is always the same in it, or was nothing, is left out.
_NOTHING: Mapping[str, Any] = {
    "load_per_s": 0.0,
    "requests_per_s": {},
    "forecast": None,
    "forecast_unix_s": 0.0,
    "foreseen_per_s": {},
    "capacity_planned_per_s": 0.0,
    "capacity_ready_per_s": 0.0,
    "instances": {},
    "latency_ms": {},
    "rt_max_ms": 0.0,
    "sl_min": 0.0,
    "attainment": {},
    "burn_rate": {},
    "error_budget_left": 1.0,
    "queued": 0,
    "in_flight": 0,
    "usd_per_hour": {},
    "usd_total": 0.0,
    "usd_peak_sized": None,
}


def take(view: View, kind: str, text: str) -> None:
    """Take one event of a router's Watch; kinds that a later version added are passed over.

    Raises:
        RequestError: the event is not what it should be.
        ModelNotFound: see `View.take_models`.
    """
    try:
        data = json.loads(text)
        if kind == "hello":
            view.take_models([model["name"] for model in data["models"]])
        elif kind == "sample":
            view.take_sample(ModelSample.from_dict(data))
        elif kind == "record":
            view.take_record(Record.from_dict(data))
        elif kind == "records":
            for record in data["records"]:
                view.take_record(Record.from_dict(record))
        elif kind == "history":
            for sample in points_of(data["model"], data["columns"]):
                view.take_past(sample)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RequestError(
            f"the router tells what this mark does not understand; are their versions the same? {kind}: {error}"
        ) from error


def points_of(model: str, columns: Mapping[str, Sequence[float | None]]) -> Iterator[ModelSample]:
    """The points of a part of a model's past: columns of numbers, named by their path in a sample."""
    for values in zip(*columns.values(), strict=True):
        data: dict[str, Any] = {
            name: dict(value) if isinstance(value, dict) else value for name, value in _NOTHING.items()
        }
        data["model"] = model
        for path, value in zip(columns, values, strict=True):
            if value is not None:
                _set(data, path, value)
        yield ModelSample.from_dict(data)


def _set(data: dict[str, Any], path: str, value: float) -> None:
    """Set what a path names. Only the first two dots part names: a level of a forecast, "0.9", has one of its own."""
    outer, _, rest = path.partition(".")
    if not rest:
        data[outer] = value
        return
    if outer not in _NESTED_TWICE:
        data[outer][rest] = value
        return
    middle, _, inner = rest.rpartition(".")
    data[outer].setdefault(middle, {})[inner] = int(value)


_NESTED_TWICE = frozenset({"instances"})
