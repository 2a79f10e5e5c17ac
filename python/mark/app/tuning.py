"""Batching knobs of a model, changed while it serves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from mark.app.parts import dispatcher_params
from mark.app.serverless import burst_latency_ns
from mark.config import BatchingConfig, ModelConfig
from mark.errors import InvalidRequest
from mark.live.request_path import RequestPath

__all__ = ["BatchingTuner"]

# Why a knob keeps its value until the router starts anew.
_FIXED = {
    "rows_max": "workers were started for it, and clients were told it",
    "sizes": "workers were started, warmed up and measured for them",
    "batches_in_flight_max": "workers that are up were told it",
    "priority_levels": "requests of the old levels may be queued",
}


class BatchingTuner:
    """Holds the `batching` section of one model as it is now.

    Thread safety: belongs to the router's event loop.

    Invariant: what it shows is what the request path reckons with.
    """

    def __init__(self, model: ModelConfig, dispatch: RequestPath) -> None:
        self._model = model
        self._dispatch = dispatch

    def settings(self) -> dict[str, str]:
        """Every knob and its value, as YAML would have it."""
        values = self._model.batching.model_dump()
        return {name: _text_of(value) for name, value in values.items()}

    def change(self, settings: Mapping[str, str]) -> None:
        """Set knobs, all of them or none.

        Raises:
            InvalidRequest: a name is no knob, a value is none of its values, or it cannot change; the message names it.
        """
        batching = self._model.batching
        asked = {name: _value_of(name, text) for name, text in settings.items()}
        for name, why in _FIXED.items():
            if name in asked and asked[name] != getattr(batching, name):
                raise InvalidRequest(f"batching.{name}: cannot change while the router runs: {why}; restart it")
        try:
            changed = BatchingConfig.model_validate({**batching.model_dump(), **asked})
            model = ModelConfig.model_validate({**self._model.model_dump(), "batching": changed.model_dump()})
        except ValidationError as error:
            raise InvalidRequest(_explanation(error, asked)) from error
        self._dispatch.retune(dispatcher_params(model.as_slo(), model.batching, burst_latency_ns(model)))
        self._model = model


def _text_of(value: Any) -> str:
    """As YAML in one line."""
    return yaml.safe_dump(value, default_flow_style=True, width=math.inf).splitlines()[0]


def _value_of(name: str, text: str) -> Any:
    if name not in BatchingConfig.model_fields:
        known = ", ".join(BatchingConfig.model_fields)
        raise InvalidRequest(f"batching.{name}: is no knob; known are {known}")
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidRequest(f"batching.{name}: {text!r} cannot be read as YAML") from error


def _explanation(error: ValidationError, asked: Mapping[str, Any]) -> str:
    details = error.errors()[0]
    named = [str(part) for part in details["loc"] if part != "batching"]
    what = details.get("ctx", {}).get("what", details["msg"])
    where = named[0] if named else ", ".join(asked)
    return f"batching.{where}: {what}"
