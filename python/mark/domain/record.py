"""What happened to a model's fleet and why: one line of the decision log."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from mark.domain.fleet import InstanceId
from mark.domain.forecast import Forecast
from mark.domain.plan import Action, Alternative, Launch, Retire

__all__ = ["Alternative", "Record", "RecordKind", "RecordSnapshot", "RecordedInstance"]

_Kind = TypeVar("_Kind")
_KINDS: dict[type, str] = {str: "a string", int: "a whole number", list: "a list", dict: "an object"}


class RecordKind(enum.Enum):
    """What a record is about."""

    START = "start"  # the model began to be served
    PLAN = "plan"  # the controller planned for a step, whatever came of it
    ADDITION = "addition"  # capacity was added between two plans, for the promise was being broken
    BRIDGE = "bridge"  # standbys were launched for what the cloud takes away
    INTERRUPTION = "interruption"  # the cloud gave notice that it takes instances away
    REFUSAL = "refusal"  # the cloud did not sell what was to be launched
    LOSS = "loss"  # an instance ended that nobody had given back
    SHED = "shed"  # requests were turned away, from the first of a burst to its last
    FALLBACK = "fallback"  # something else stood in: a forecaster, the functions, what they refuse
    BUDGET = "budget"  # what may be spent changed what may be rented
    STOP = "stop"  # the model is not served any more


@dataclass(frozen=True, slots=True)
class RecordedInstance:
    """An instance as a decision saw it.

    Attributes:
        id: of the instance.
        offering: what it was launched from.
        market: "on_demand", "spot" or "burstable".
        state: "pending", "ready" or "draining"; what the cloud will take away drains.
        age_s: since its launch.
        usd_per_hour: what it is billed at.
        taken_in_s: until the cloud takes it away; None as long as it gave no notice.
    """

    id: InstanceId
    offering: str
    market: str
    state: str
    age_s: float
    usd_per_hour: float
    taken_in_s: float | None = None


@dataclass(frozen=True, slots=True)
class RecordSnapshot:
    """What a decision saw.

    Attributes:
        load_per_s: rows per second, the highest of the step that runs now.
        capacity_per_s: rows per second that the fleet serves under the SLO once what was decided is done.
        forecast: the load that was expected; None before the first plan.
        instances: those that run or boot, and stay.
        draining: those that are drained, or that the cloud will take away.
        unavailable_s: how long offerings that were not to be had are still left alone, by name.
        prices_usd_per_hour: what each offering costs.
        capacities_per_s: rows per second that one instance of each offering serves under the SLO.
    """

    load_per_s: float = 0.0
    capacity_per_s: float = 0.0
    forecast: Forecast | None = None
    instances: tuple[RecordedInstance, ...] = ()
    draining: tuple[RecordedInstance, ...] = ()
    unavailable_s: Mapping[str, float] = field(default_factory=dict)
    prices_usd_per_hour: Mapping[str, float] = field(default_factory=dict)
    capacities_per_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """One entry of the decision log.

    As JSON (`as_dict`) it is an object with these very names. `kind` is the value of its `RecordKind`. An entry of
    `actions` is `{"action": "launch", "offering", "token", "reason"}` or `{"action": "retire", "instance", "reason"}`,
    one of `alternatives` `{"what", "extra_usd", "reason"}`. `snapshot` has the names of `RecordSnapshot`, its
    `forecast` those of `Forecast` or null.

    Attributes:
        id: unique among all records of a cluster: model, run and number.
        at_ns: when it happened, by the clock of the process that wrote it.
        unix_s: when it happened, in seconds since 1970; in a simulation since its beginning.
        model: whose fleet.
        kind: what it is about.
        reason: why, in a line that a person understands.
        actions: what was done, in this order.
        alternatives: what was not done, the best first, and what it would have cost more.
        usd_per_hour: what the fleet costs once the actions are carried out, functions left out.
        snapshot: what was seen.
        details: what only this kind has; `docs/decision-log.md` names them.
    """

    id: str
    at_ns: int
    unix_s: float
    model: str
    kind: RecordKind
    reason: str
    actions: tuple[Action, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    usd_per_hour: float = 0.0
    snapshot: RecordSnapshot = RecordSnapshot()
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON-ready values, in the order of its attributes."""
        data: dict[str, Any] = _with_lists(asdict(self))
        data["kind"] = self.kind.value
        data["actions"] = [
            {"action": "launch" if isinstance(action, Launch) else "retire", **asdict(action)}
            for action in self.actions
        ]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Record:
        """Read what `as_dict` wrote; fields that a later version added are passed over.

        Raises:
            ValueError: it is no record; the message names the field that is missing or wrong.
        """
        fields = _Fields(data, "")
        kind = fields.get("kind", str)
        if kind not in {each.value for each in RecordKind}:
            raise ValueError(f"kind must be one of {', '.join(each.value for each in RecordKind)}, not {kind!r}")
        return cls(
            id=fields.get("id", str),
            at_ns=fields.get("at_ns", int),
            unix_s=fields.number("unix_s"),
            model=fields.get("model", str),
            kind=RecordKind(kind),
            reason=fields.get("reason", str),
            actions=tuple(_action_of(each) for each in fields.several("actions")),
            alternatives=tuple(_alternative_of(each) for each in fields.several("alternatives")),
            usd_per_hour=fields.number("usd_per_hour"),
            snapshot=_snapshot_of(fields.inner("snapshot")),
            details=fields.get("details", dict),
        )


def _with_lists(value: Any) -> Any:
    """The value with lists for tuples: what it is when it was written as JSON and read again."""
    if isinstance(value, dict):
        return {name: _with_lists(inner) for name, inner in value.items()}
    return [_with_lists(inner) for inner in value] if isinstance(value, (list, tuple)) else value


@dataclass(frozen=True, slots=True)
class _Fields:
    """An object that was read from JSON, and what to say before the names of its fields."""

    data: Any
    place: str

    def get(self, name: str, kind: type[_Kind]) -> _Kind:
        value = self._value(name)
        if type(value) is not kind:  # to isinstance, true is a whole number
            raise ValueError(f"{self.place}{name} must be {_KINDS[kind]}, not {value!r:.60}")
        return value

    def number(self, name: str) -> float:
        value = self._value(name)
        if type(value) not in {int, float}:
            raise ValueError(f"{self.place}{name} must be a number, not {value!r:.60}")
        return float(value)

    def number_or_none(self, name: str) -> float | None:
        return None if self.is_null(name) else self.number(name)

    def is_null(self, name: str) -> bool:
        return self._value(name) is None

    def numbers(self, name: str) -> tuple[float, ...]:
        values = self.get(name, list)
        return tuple(_Fields({name: value}, self.place).number(name) for value in values)

    def number_by_name(self, name: str) -> dict[str, float]:
        inner = self.inner(name)
        return {key: inner.number(key) for key in self.get(name, dict)}

    def inner(self, name: str) -> _Fields:
        return _Fields(self.get(name, dict), f"{self.place}{name}.")

    def several(self, name: str) -> list[_Fields]:
        return [_Fields(each, f"{self.place}{name}[{index}].") for index, each in enumerate(self.get(name, list))]

    def _value(self, name: str) -> Any:
        if not isinstance(self.data, Mapping):
            raise ValueError(f"{self.place.rstrip('.') or 'a record'} must be an object, not {self.data!r:.60}")
        if name not in self.data:
            raise ValueError(f"{self.place}{name} is missing")
        return self.data[name]


def _action_of(fields: _Fields) -> Action:
    action, reason = fields.get("action", str), fields.get("reason", str)
    if action == "launch":
        return Launch(fields.get("offering", str), fields.get("token", str), reason)
    if action == "retire":
        return Retire(InstanceId(fields.get("instance", str)), reason)
    raise ValueError(f"{fields.place}action must be launch or retire, not {action!r:.60}")


def _alternative_of(fields: _Fields) -> Alternative:
    return Alternative(fields.get("what", str), fields.number_or_none("extra_usd"), fields.get("reason", str))


def _snapshot_of(fields: _Fields) -> RecordSnapshot:
    return RecordSnapshot(
        load_per_s=fields.number("load_per_s"),
        capacity_per_s=fields.number("capacity_per_s"),
        forecast=None if fields.is_null("forecast") else _forecast_of(fields.inner("forecast")),
        instances=tuple(_instance_of(each) for each in fields.several("instances")),
        draining=tuple(_instance_of(each) for each in fields.several("draining")),
        unavailable_s=fields.number_by_name("unavailable_s"),
        prices_usd_per_hour=fields.number_by_name("prices_usd_per_hour"),
        capacities_per_s=fields.number_by_name("capacities_per_s"),
    )


def _forecast_of(fields: _Fields) -> Forecast:
    return Forecast(
        step_s=fields.number("step_s"),
        rates_per_s=fields.numbers("rates_per_s"),
        forecaster=fields.get("forecaster", str),
        levels=fields.numbers("levels"),
        quantiles_per_s=tuple(
            _Fields({"quantiles_per_s": each}, fields.place).numbers("quantiles_per_s")
            for each in fields.get("quantiles_per_s", list)
        ),
        fallback=fields.get("fallback", str),
    )


def _instance_of(fields: _Fields) -> RecordedInstance:
    return RecordedInstance(
        id=InstanceId(fields.get("id", str)),
        offering=fields.get("offering", str),
        market=fields.get("market", str),
        state=fields.get("state", str),
        age_s=fields.number("age_s"),
        usd_per_hour=fields.number("usd_per_hour"),
        taken_in_s=fields.number_or_none("taken_in_s"),
    )
