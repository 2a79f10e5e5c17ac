"""What the controller decided, with its reasons."""

from __future__ import annotations

from dataclasses import dataclass

from mark.domain.fleet import InstanceId
from mark.domain.forecast import Forecast

__all__ = ["Action", "Alternative", "Decision", "Launch", "Retire"]


@dataclass(frozen=True, slots=True)
class Launch:
    """Rent one more instance of an offering.

    `token` makes it safe to apply twice: a cloud that saw it before returns the instance of the first time.
    """

    offering: str
    token: str
    reason: str


@dataclass(frozen=True, slots=True)
class Retire:
    """Drain an instance and give it back."""

    instance: InstanceId
    reason: str


Action = Launch | Retire


@dataclass(frozen=True, slots=True)
class Alternative:
    """What was not chosen.

    Attributes:
        what: in words.
        extra_usd: what it would have cost more over the horizon; None where no price is known, or it was not to be had.
        reason: why it was not chosen, in words.
    """

    what: str
    extra_usd: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Decision:
    """One tick of the controller.

    Attributes:
        at_ns: when it was taken.
        actions: what to do, in this order.
        forecast: the load that it was taken for.
        load_per_s: maximum rate of the step that runs now or, before its first window is done, of the one before; in
            rows per second, 0 before anything was seen.
        capacity_per_s: rows per second that the instances kept and launched serve under the SLO.
        reason: one line that a person understands.
        alternatives: what was not done, the best first.
    """

    at_ns: int
    actions: tuple[Action, ...]
    forecast: Forecast
    load_per_s: float
    capacity_per_s: float
    reason: str
    alternatives: tuple[Alternative, ...] = ()
