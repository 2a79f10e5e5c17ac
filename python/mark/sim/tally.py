"""Reads what a simulated request path has done so far."""

from __future__ import annotations

from mark._core import BurstVerdict, Ending, Simulation
from mark.controlplane.tallies import Tally
from mark.domain.offering import Market
from mark.sim.roles import VirtualCloud

__all__ = ["tally_of"]

_REFUSED = (BurstVerdict.AT_LIMIT, BurstVerdict.OVER_BUDGET)


def tally_of(engine: Simulation, cloud: VirtualCloud, *, functions: bool) -> Tally:
    """The tally of an engine and its cloud; requests count from where the engine counts, dollars from the beginning."""
    ended = {ending: engine.ended(ending) for ending in Ending}
    decided = engine.burst_statistics() if functions else None
    return Tally(
        rows=engine.arrived,
        ended=sum(ended.values()),
        in_time=ended[Ending.INSTANCE] + ended[Ending.SERVERLESS],
        usd=sum(cloud.usd(market) for market in Market) + engine.functions_usd,
        shed={"refused": ended[Ending.REFUSED]},
        functions_refused={} if decided is None else {each.name.lower(): decided.decided(each) for each in _REFUSED},
    )
