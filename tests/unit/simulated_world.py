"""What the tests of the simulated cloud share: offerings, and a cloud with its clock."""

from __future__ import annotations

from dataclasses import replace

from contract.cloud_world import ARTIFACT

from mark.cloud.simulated import CloudBehaviour, SimulatedCloud
from mark.domain.fleet import Instance, InstanceState
from mark.domain.offering import Market, Offering
from mark.testing import ManualClock

__all__ = ["EXACT", "PLAIN", "SPOT", "TAKEN", "S", "World"]

S = 1_000_000_000
# A dollar a second, so that a bill reads in seconds.
PLAIN = Offering("plain", Market.ON_DEMAND, price_usd_per_hour=3600.0, boot_s=100.0, max_count=1000)
SPOT = replace(PLAIN, name="spot", market=Market.SPOT)
TAKEN = replace(SPOT, interruptions_per_hour=2.0, boot_s=0.0)
EXACT = CloudBehaviour(boot_variation=0.0)


class World:
    """A simulated cloud, its clock, and how instances are rented of it."""

    def __init__(self, *offerings: Offering, behaviour: CloudBehaviour = EXACT, seed: int = 0) -> None:
        self.clock = ManualClock()
        self.cloud = SimulatedCloud(offerings or (PLAIN, SPOT), self.clock, behaviour, seed)
        self.tokens = 0

    def launch(self, offering: str = "plain") -> Instance:
        self.tokens += 1
        return self.cloud.launch(offering, ARTIFACT, f"t{self.tokens}")

    def see(self, instance: Instance) -> Instance:
        return next(known for known in self.cloud.list_instances() if known.id == instance.id)

    def alive(self) -> list[Instance]:
        return [known for known in self.cloud.list_instances() if known.state is not InstanceState.GONE]

    def run_to_next_change(self) -> int | None:
        """Move to when something happens next."""
        at_ns = self.cloud.next_change_ns()
        if at_ns is not None:
            self.clock.advance_s((at_ns - self.clock.now_ns()) / 1e9)
        return at_ns
