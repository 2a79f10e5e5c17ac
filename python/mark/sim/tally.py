"""Reads what a simulated request path has done so far."""

from __future__ import annotations

from mark._core import BurstVerdict, Ending, Simulation
from mark.controlplane.tallies import Tally
from mark.domain.offering import Market
from mark.sim.roles import VirtualCloud

__all__ = ["attained", "tally_of"]

_REFUSED = (BurstVerdict.AT_LIMIT, BurstVerdict.OVER_BUDGET)


def attained(engine: Simulation) -> tuple[int, int]:
    """As `mark.live.request_path.attained`: none is to be had for what the budget does not pay for."""
    ended = sum(engine.ended(ending) for ending in Ending if ending is not Ending.SHED)
    return ended, engine.ended(Ending.INSTANCE) + engine.ended(Ending.SERVERLESS)


def tally_of(engine: Simulation, cloud: VirtualCloud, *, functions: bool) -> Tally:
    """The tally of an engine and its cloud; requests count from where the engine counts, dollars from the beginning."""
    ended, in_time = attained(engine)
    shed = engine.ended(Ending.SHED)
    decided = engine.burst_statistics() if functions else None
    return Tally(
        rows=engine.arrived,
        ended=ended + shed,
        in_time=in_time,
        usd=sum(cloud.usd(market) for market in Market) + engine.functions_usd,
        shed={"refused": engine.ended(Ending.REFUSED), "beyond_the_budget": shed},
        functions_refused={} if decided is None else {each.name.lower(): decided.decided(each) for each in _REFUSED},
    )
