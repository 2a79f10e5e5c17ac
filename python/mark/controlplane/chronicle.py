"""Writes down what happens to one model's fleet: turns decisions and events into records with what they saw."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mark.controlplane.snapshot import Snapshot
from mark.domain.fleet import Instance
from mark.domain.forecast import Forecast
from mark.domain.offering import Offering
from mark.domain.plan import Action, Alternative, Decision, Launch, Retire
from mark.domain.record import Record, RecordedInstance, RecordKind, RecordSnapshot
from mark.ports import Recorder

__all__ = ["Chronicle", "Entry", "Scene"]

_DIGITS = 3  # a thousandth of a row, or of a second, is as near as anybody wants to know


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be written down, but for what is the same in every record; see `Record`."""

    kind: RecordKind
    reason: str
    actions: tuple[Action, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scene:
    """What is seen when something happens.

    Attributes:
        snapshot: the fleet.
        capacities: rows per second that one instance of each offering serves under the SLO.
    """

    snapshot: Snapshot
    capacities: Mapping[str, float] = field(default_factory=dict)


class Chronicle:
    """Gives a recorder one record for each entry. Knows no clock, cloud or thread.

    Thread safety: none.

    Invariant: no two records have the same id, as long as no two runs have the same name.
    """

    def __init__(
        self,
        names: tuple[str, str],
        recorder: Recorder | None = None,
        offerings: Sequence[Offering] = (),
        unix_s: Callable[[int], float] = lambda at_ns: at_ns / 1e9,
    ) -> None:
        """Make the chronicle of one model.

        Args:
            names: of the model and of this run of the router; they make ids unique.
            recorder: keeps what is written; None for nobody.
            offerings: what can be rented; `priced` says it anew.
            unix_s: seconds since 1970 of an instant; without it the records count from the clock's zero.
        """
        self._model, self._run = names
        self._recorder = recorder
        self._unix_s = unix_s
        self._offerings = {offering.name: offering for offering in offerings}
        self._numbers = itertools.count(1)
        self._decision: Decision | None = None  # the last one
        self._left_alone_until_ns: dict[str, int] = {}

    def priced(self, offerings: Sequence[Offering]) -> None:
        """The offerings, at the prices that they have now."""
        self._offerings = {offering.name: offering for offering in offerings}

    def left_alone(self, offering: str, until_ns: int) -> None:
        """An offering was not to be had, and is not tried again until then."""
        self._left_alone_until_ns[offering] = until_ns

    @property
    def offerings(self) -> Mapping[str, Offering]:
        """What can be rented, by name, at the prices that were told last."""
        return self._offerings

    def decided(self, kind: RecordKind, decision: Decision, scene: Scene, details: Mapping[str, Any]) -> str:
        """Write down a decision of the controller; what is written next was seen under its forecast."""
        self._decision = decision
        return self.write(Entry(kind, decision.reason, decision.actions, decision.alternatives, details), scene)

    def write(self, entry: Entry, scene: Scene) -> str:
        """Write down what happened to the fleet that is seen; returns the id of the record."""
        identity = f"{self._model}-{self._run}-{next(self._numbers)}"
        if self._recorder is None:
            return identity
        seen, capacities = scene.snapshot, scene.capacities
        staying = self._after(entry.actions, seen.instances)
        self._recorder.record(
            Record(
                id=identity,
                at_ns=seen.now_ns,
                unix_s=self._unix_s(seen.now_ns),
                model=self._model,
                kind=entry.kind,
                reason=entry.reason,
                actions=entry.actions,
                alternatives=entry.alternatives,
                usd_per_hour=sum(usd_per_hour for _, usd_per_hour in staying),
                snapshot=self._snapshot(seen, sum(capacities.get(name, 0.0) for name, _ in staying), capacities),
                details=entry.details,
            )
        )
        return identity

    def _after(self, actions: Iterable[Action], instances: Iterable[Instance]) -> list[tuple[str, float]]:
        """Offering and dollars per hour of each instance once the actions are carried out."""
        actions = tuple(actions)
        retired = {action.instance for action in actions if isinstance(action, Retire)}
        staying = [(each.offering, self.usd_per_hour(each)) for each in instances if each.id not in retired]
        launched = [action.offering for action in actions if isinstance(action, Launch)]
        return staying + [(name, self._listed_usd_per_hour(name)) for name in launched]

    def _snapshot(self, seen: Snapshot, capacity_per_s: float, capacities: Mapping[str, float]) -> RecordSnapshot:
        decision, now_ns = self._decision, seen.now_ns
        return RecordSnapshot(
            load_per_s=0.0 if decision is None else round(decision.load_per_s, _DIGITS),
            capacity_per_s=round(capacity_per_s, _DIGITS),
            forecast=None if decision is None else _rounded(decision.forecast),
            instances=tuple(self._seen(each, each.state.value, now_ns) for each in seen.instances),
            draining=tuple(self._seen(each, "draining", now_ns) for each in seen.draining),
            unavailable_s={
                name: round((until_ns - now_ns) / 1e9, _DIGITS)
                for name, until_ns in self._left_alone_until_ns.items()
                if now_ns < until_ns
            },
            prices_usd_per_hour={name: each.price_usd_per_hour for name, each in self._offerings.items()},
            capacities_per_s={name: round(rate, _DIGITS) for name, rate in capacities.items()},
        )

    def _seen(self, instance: Instance, state: str, now_ns: int) -> RecordedInstance:
        offering, taken_at_ns = self._offerings.get(instance.offering), instance.taken_at_ns
        return RecordedInstance(
            id=instance.id,
            offering=instance.offering,
            market="unknown" if offering is None else offering.market.value,
            state=state,
            age_s=round((now_ns - instance.launched_at_ns) / 1e9, _DIGITS),
            usd_per_hour=self.usd_per_hour(instance),
            taken_in_s=None if taken_at_ns is None else round((taken_at_ns - now_ns) / 1e9, _DIGITS),
        )

    def usd_per_hour(self, instance: Instance) -> float:
        """What an instance is billed at: its own price, or that of its offering."""
        billed = instance.price_usd_per_hour
        return self._listed_usd_per_hour(instance.offering) if billed is None else billed

    def _listed_usd_per_hour(self, name: str) -> float:
        offering = self._offerings.get(name)
        return 0.0 if offering is None else offering.price_usd_per_hour


def _rounded(forecast: Forecast) -> Forecast:
    return replace(
        forecast,
        rates_per_s=_rounded_rates(forecast.rates_per_s),
        quantiles_per_s=tuple(_rounded_rates(rates) for rates in forecast.quantiles_per_s),
    )


def _rounded_rates(rates_per_s: Iterable[float]) -> tuple[float, ...]:
    return tuple(round(rate, _DIGITS) for rate in rates_per_s)
