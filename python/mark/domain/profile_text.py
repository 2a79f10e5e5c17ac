"""The text of a file of measured profiles: written by `mark profile`, read by a configuration that names it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mark.domain.measured_profile import BatchMeasurement, MeasuredModel, MeasuredProfile, WorkerKind

__all__ = ["measured_model_from_json", "measured_model_to_json"]

_FORMAT = "mark-profile"
_FORMAT_VERSION = 1
_NUMBER_MAX = 86_400_000.0  # a day in milliseconds: no batch is worth more


def measured_model_to_json(measured: MeasuredModel) -> str:
    """Write what `measured_model_from_json` reads, for a person to read, too."""
    text = {
        "format": _FORMAT,
        "format_version": _FORMAT_VERSION,
        "model": {"name": measured.name, "version": measured.version, "signature_hash": measured.signature_hash},
        "measured_at": measured.measured_at,
        "machine": measured.machine,
        "workers": [_worker_as_dict(profile) for profile in measured.profiles],
    }
    return json.dumps(text, indent=2) + "\n"


def _worker_as_dict(measured: MeasuredProfile) -> dict[str, Any]:
    worker = measured.worker
    return {
        "device": worker.device,
        "threads": worker.threads,
        "cpu_share": worker.cpu_share,
        "batches": [
            {
                "rows": batch.rows,
                "runs": batch.runs,
                "p50_ms": batch.p50_ms,
                "p95_ms": batch.p95_ms,
                "p99_ms": batch.p99_ms,
                "p99_low_ms": batch.p99_low_ms,
                "p99_high_ms": batch.p99_high_ms,
                "latency_ms": point.latency_ms,
            }
            for batch, point in zip(measured.batches, measured.profile.points, strict=True)
        ],
    }


def measured_model_from_json(text: str) -> MeasuredModel:
    """Read a file of measured profiles.

    Raises:
        ValueError: the text is none, is of another format version, or contradicts itself; the message names the place.
    """
    try:
        data = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"is no profile: it is not JSON: {error}") from error
    if not isinstance(data, dict) or data.get("format") != _FORMAT:
        raise ValueError(f'is no profile: it has no "format": "{_FORMAT}"')
    if data.get("format_version") != _FORMAT_VERSION:
        raise ValueError(
            f"is written in version {json.dumps(data.get('format_version'))} of the format; this mark reads version "
            f"{_FORMAT_VERSION}"
        )
    model = _Fields(data, "").inner("model")
    fields = _Fields(data, "")
    return MeasuredModel(
        name=model.text("name"),
        version=model.text("version"),
        signature_hash=model.text("signature_hash"),
        measured_at=fields.text("measured_at"),
        machine=fields.text("machine"),
        profiles=tuple(_profile_of(worker) for worker in fields.several("workers")),
    )


def _profile_of(worker: _Fields) -> MeasuredProfile:
    batches = worker.several("batches")
    kind = WorkerKind(worker.text("device"), worker.whole("threads"), worker.number("cpu_share"))
    measured = MeasuredProfile(kind, tuple(_batch_of(batch) for batch in batches))
    for batch, fitted in zip(batches, measured.profile.points, strict=True):
        # Written for the reader; one that was changed by hand would be believed, and not be what is served by.
        written_ms = batch.number("latency_ms")
        if not math.isclose(written_ms, fitted.latency_ms, rel_tol=1e-6, abs_tol=2e-6):
            raise ValueError(
                f"{batch.place}latency_ms is {written_ms:g}, but the measured p99_ms up to {fitted.rows} rows make it "
                f"{fitted.latency_ms:g}: a larger batch is never faster"
            )
    return measured


def _batch_of(batch: _Fields) -> BatchMeasurement:
    high_ms = None if batch.data.get("p99_high_ms", 0) is None else batch.number("p99_high_ms")
    return BatchMeasurement(
        rows=batch.whole("rows"),
        runs=batch.whole("runs"),
        p50_ms=batch.number("p50_ms"),
        p95_ms=batch.number("p95_ms"),
        p99_ms=batch.number("p99_ms"),
        p99_low_ms=batch.number("p99_low_ms"),
        p99_high_ms=high_ms,
    )


@dataclass(frozen=True, slots=True)
class _Fields:
    """An object of the file, and what to say before the names of its fields."""

    data: Mapping[str, Any]
    place: str

    def text(self, name: str) -> str:
        value = self._field(name)
        if not isinstance(value, str):
            raise ValueError(f"{self.place}{name} must be a string, not {value!r:.60}")
        return value

    def whole(self, name: str) -> int:
        value = self._field(name)
        if type(value) is not int:  # to isinstance, true is a whole number
            raise ValueError(f"{self.place}{name} must be a whole number, not {value!r:.60}")
        return value

    def number(self, name: str) -> float:
        value = self._field(name)
        if type(value) not in {int, float} or not 0 < value <= _NUMBER_MAX:
            raise ValueError(f"{self.place}{name} must be a positive number, not {value!r:.60}")
        return float(value)

    def inner(self, name: str) -> _Fields:
        return _Fields(self._object(self._field(name), f"{self.place}{name}"), f"{self.place}{name}.")

    def several(self, name: str) -> list[_Fields]:
        values = self._field(name)
        if not isinstance(values, list) or not values:
            raise ValueError(f"{self.place}{name} must be a list that is not empty, not {values!r:.60}")
        places = [f"{self.place}{name}[{index}]" for index in range(len(values))]
        return [_Fields(self._object(value, at), f"{at}.") for value, at in zip(values, places, strict=True)]

    def _field(self, name: str) -> Any:
        if name not in self.data:
            raise ValueError(f"{self.place}{name} is missing")
        return self.data[name]

    @staticmethod
    def _object(value: object, place: str) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise ValueError(f"{place} must be an object, not {value!r:.60}")
        return value
