"""A fleet that writes down what happens to it, in virtual time: what the tests of the decision log share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from contract.cloud_world import ARTIFACT

from mark.controlplane.chronicle import Chronicle
from mark.controlplane.controller import Controller
from mark.controlplane.controller_params import ControllerParams
from mark.controlplane.fleet_rules import FleetRuleParams, FleetRules
from mark.controlplane.slo_monitor import SloMonitorParams
from mark.domain.offering import Market, Offering
from mark.domain.plan import Retire
from mark.domain.record import Record, RecordKind
from mark.errors import CloudError
from mark.forecast.baselines import MovingMaximum
from mark.live.recorder import MemoryRecorder
from mark.testing import FakeCloud, ManualClock

__all__ = ["RecordedWorld", "settled"]

PLAIN = Offering("plain", Market.ON_DEMAND, price_usd_per_hour=0.10, boot_s=2.0, max_count=9)
SPOT = Offering("spot", Market.SPOT, price_usd_per_hour=0.03, boot_s=2.0, max_count=9)
STANDBY = Offering("standby", Market.BURSTABLE, price_usd_per_hour=0.05, boot_s=0.5, max_count=9)
LATER = replace(STANDBY, name="later", boot_s=1.0, price_usd_per_hour=0.04)
OFFERINGS = (PLAIN, SPOT, STANDBY, LATER)


class RecordedWorld:
    """Rules, a controller and a cloud in virtual time; a second passes between two plans."""

    def __init__(self) -> None:
        self.clock, self.recorder, self.rows = ManualClock(), MemoryRecorder(), 0
        self.cloud = FakeCloud(OFFERINGS, self.clock)
        params = ControllerParams(
            step_s=1.0, window_s=1.0, horizon_steps=5, cooldown_s=2.0, standbys=frozenset({"standby", "later"}),
            monitor=SloMonitorParams(sl_min=0.98, requests=100),
        )  # fmt: skip
        capacities = {each.name: 10.0 for each in OFFERINGS}
        controller = Controller(("c", ARTIFACT.signature.name), OFFERINGS, capacities, MovingMaximum(3, 1.0), params)
        names = (ARTIFACT.signature.name, "run")
        chronicle = Chronicle(names, self.recorder, OFFERINGS, lambda at_ns: 1000.0 + at_ns / 1e9)
        self.rules = FleetRules(names[0], controller, FleetRuleParams(drain_lead_s=0.2, unavailable_s=30.0), chronicle)
        self.sold_out: set[str] = set()

    def records(self, *kinds: RecordKind) -> list[Record]:
        return [each for each in self.recorder.records(ARTIFACT.signature.name) if not kinds or each.kind in kinds]

    def carry_out(self, actions: Any) -> None:
        for action in actions:
            if isinstance(action, Retire):
                self.rules.retired(action.instance)
                self.cloud.terminate(action.instance)
                continue
            try:
                if action.offering in self.sold_out:
                    raise CloudError(f"{action.offering} is sold out")
                self.rules.launched(self.cloud.launch(action.offering, ARTIFACT, action.token))
            except CloudError as error:
                self.rules.refused(action.offering, self.clock.now_ns(), error)

    def see(self) -> None:
        self.carry_out(self.rules.see(self.cloud.list_instances(), self.clock.now_ns()).launches)

    def step(self, rate: int = 60) -> None:
        self.clock.advance_s(1.0)
        self.rows += rate
        self.rules.observe(self.clock.now_ns(), self.rows)
        self.see()
        self.carry_out(self.rules.tick(self.clock.now_ns(), {}).actions)

    def interrupted(self, count: int = 4) -> None:
        spot = [each.id for each in self.cloud.list_instances() if each.offering == "spot" and not each.ended_at_ns]
        self.cloud.interrupt_spot(count / len(spot), notice_s=5.0)
        self.see()


def settled() -> RecordedWorld:
    world = RecordedWorld()
    world.rules.begin(world.clock.now_ns(), {"slo": {"rt_max_ms": 100.0}})
    for _ in range(8):
        world.step()
    return world
