"""What a simulated world is made of: roles that real or virtual parts play."""

from __future__ import annotations

from typing import Protocol

from mark._core import Simulation
from mark.domain.fleet import Instance, InstanceId
from mark.domain.offering import Market
from mark.ports import Clock, Cloud

__all__ = ["Feed", "MovableClock", "VirtualCloud"]


class Feed(Protocol):
    """Offers a load to the engine as time passes."""

    @property
    def ended_s(self) -> float | None:
        """When the load ends, once that is known."""
        ...

    def feed(self, engine: Simulation, until_s: float) -> None:
        """Offer everything up to `until_s`, or more."""
        ...


class MovableClock(Clock, Protocol):
    """A clock that the world moves."""

    def advance_s(self, seconds: float) -> None:
        """Move forward."""
        ...


class VirtualCloud(Cloud, Protocol):
    """A cloud that knows when something happens next, and what everything cost."""

    @property
    def interrupted(self) -> int:
        """Spot instances that were taken away, or are about to be."""
        ...

    def next_change_ns(self) -> int | None:
        """When an instance changes next, if nobody calls anything until then."""
        ...

    def take_changed(self) -> list[Instance]:
        """The instances that changed since the last call, as they are now."""
        ...

    def charge(self, instance: InstanceId, usd: float) -> None:
        """Add something to the bill that is no time of an instance."""
        ...

    def usd(self, market: Market) -> float:
        """Dollars spent on a market until now."""
        ...
